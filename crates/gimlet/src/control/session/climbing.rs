//! The way of a session from a tunnel over TLS to UDP, as [`Climb`](crate::control::climb::Climb)
//! decides it.

use std::sync::atomic::Ordering;

use gimlet_proto::stun;
use tokio::time::Instant;

use super::Session;
use super::probe::PROBE_PATIENCE;
use crate::control::StunAnswer;
use crate::control::climb::Action;
use crate::control::dial::OpenTunnel;
use crate::control::link::End;
use crate::error::SignInError;
use crate::event::{SignedIn, Transport};

impl Session<'_> {
    pub(super) fn tunnel_ended(&mut self) -> Result<(), End> {
        let was_in_use =
            Some(self.control.place.socket) == self.control.tunnel.as_ref().map(OpenTunnel::id);
        self.control.tunnel = None;
        match was_in_use {
            true => Err(End::Failed(SignInError::Lost {
                detail: "the TLS connection ended".to_owned(),
            })),
            // It was only kept for a moment.
            false => Ok(()),
        }
    }

    pub(super) fn answered(&mut self, answer: Option<StunAnswer>) {
        // What was missed is asked again.
        if let Some(answer) = answer {
            let (from, seen) = (answer.from, answer.observed);
            let now = Instant::now().into_std();
            self.climb
                .handle_answer(from, answer.transaction, seen, now);
        }
    }

    /// Does what there is to do on the way to UDP.
    pub(super) async fn climb(&mut self) -> Result<(), End> {
        let now = Instant::now().into_std();
        let heard_at = self.control.heard_at();
        self.climb.handle_timeout(heard_at, &mut rand::random, now);
        while let Some(action) = self.climb.poll_action() {
            match action {
                Action::Ask { place, transaction } => {
                    let request = stun::encode_binding_request(transaction);
                    let paths = &self.task.shared.socket;
                    paths.send_plain(place.socket, place.addr, &request);
                }
                Action::Move(place) => {
                    tracing::debug!(addr = %place.addr, "UDP answers; moving there");
                    self.control.redirect(place);
                    self.begin_probe(PROBE_PATIENCE.0).await?;
                }
                Action::Moved { place, observed } => {
                    tracing::info!(addr = %place.addr, "moved from TLS to UDP");
                    self.control.place = place;
                    self.task
                        .shared
                        .udp_is_silent
                        .store(false, Ordering::Relaxed);
                    if let Some((before, stun_ports)) = self.said.take() {
                        let signed_in = SignedIn {
                            observed,
                            server: place.addr,
                            transport: Transport::Udp,
                            ..before
                        };
                        self.say(signed_in, stun_ports).await?;
                    }
                }
                Action::Return => {
                    tracing::debug!("UDP carries nothing more; staying with TLS");
                    self.control.redirect(self.control.place);
                    self.begin_probe(PROBE_PATIENCE.0).await?;
                }
                Action::Close => self.control.tunnel = None,
            }
        }
        Ok(())
    }
}
