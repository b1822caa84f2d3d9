//! One control session: sign-in first, then messages both ways until it ends.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::{
    FailReason, NatReport, RequestId, SignIn, SignOut, SignedIn as SignedInMessage, ToPeer,
    ToServer,
};
use gimlet_proto::rendezvous::CloseReason;
use gimlet_proto::stun;
use gimlet_proto::wire::{self, DecodeError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::climb::{Action, Climb};
use super::dial::{Dialled, OpenTunnel};
use super::link::{End, Task, dismissed, sleep_until};
use super::{ControlEvent, Outgoing, StunAnswer};
use crate::endpoint::farewell_time;
use crate::error::SignInError;
use crate::event::{SignedIn, Transport};

/// The sign-in is the first request.
const SIGN_IN: RequestId = 0;

/// How long the server may take to answer the sign-in.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(5);

/// Questions, whether the server still answers, that may be lost before it is taken for gone.
const PROBES: u32 = 3;

/// Bounds of the time that an answer may take; two round trips and the time an acknowledgement may
/// be held back are between them. With all three lost, a new session begins within two seconds.
const PROBE_PATIENCE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_millis(500));

/// The least time an answer may take where nothing but a silence elsewhere speaks against the server: a
/// radio link's hiccup of a second is no reason to leave it. Sessions that it relays are elsewhere
/// within three seconds all the same.
const DOUBT_PATIENCE: Duration = Duration::from_millis(400);

/// How long the reason for an end may take to come after it.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// Requests awaiting their answer. More than any program has at once; the oldest callers time out.
const MAX_PENDING: usize = 1024;

/// Bytes read at once.
const READ: usize = 16 * 1024;

struct Session<'a> {
    task: &'a mut Task,
    control: &'a mut Dialled,
    send: quinn::SendStream,
    reader: wire::Reader,
    pending: HashMap<RequestId, oneshot::Sender<ToPeer>>,
    next_id: RequestId,
    started: Instant,
    /// When the lease is refreshed next; `None` before sign-in.
    refresh_at: Option<Instant>,
    lease: Duration,
    probe: Option<Probe>,
    /// The way from a tunnel to UDP.
    climb: Climb,
    /// What was last said to everybody.
    said: Option<(SignedIn, Vec<u16>)>,
}

/// The server is asked whether it still answers.
#[derive(Debug, Clone, Copy)]
struct Probe {
    /// Datagrams that had come from it when it was first asked.
    heard: u64,
    asked: u32,
    /// The least time an answer may take.
    patience: Duration,
    repeat_at: Instant,
}

impl Task {
    pub(super) async fn session(
        &mut self,
        control: &mut Dialled,
        server: &ServerAddress,
        started: Instant,
    ) -> End {
        let (send, recv) = match control.connection.open_bi().await {
            Ok(streams) => streams,
            Err(error) => return End::Failed(lost(error)),
        };
        let sign_in = SignIn {
            id: SIGN_IN,
            token: server.token.clone(),
            name: self.config.name.clone(),
            lease_s: self.config.lease.as_secs() as u32,
            reachable: self.config.reachable,
            software: self.config.software.clone(),
        };
        let connection = control.connection.clone();
        let climb = match control.tunnel {
            Some(_) => Climb::new(control.places.clone(), Instant::now().into_std()),
            None => Climb::off(),
        };
        let mut session = Session {
            lease: self.config.lease,
            task: self,
            control,
            climb,
            said: None,
            send,
            reader: wire::Reader::default(),
            pending: HashMap::new(),
            next_id: SIGN_IN + 1,
            started,
            refresh_at: None,
            probe: None,
        };
        let end = match session.write(sign_in.into()).await {
            Ok(()) => session.run(recv).await,
            Err(end) => end,
        };
        connection.close(0u8.into(), b"");
        // The way to the server goes with us: its end leaves before.
        tokio::task::yield_now().await;
        end
    }
}

impl Session<'_> {
    async fn run(&mut self, mut recv: quinn::RecvStream) -> End {
        let sign_in_by = self.started + SIGN_IN_TIMEOUT;
        let mut buffer = vec![0; READ];
        let mut nat = self.task.shared.nat.subscribe();
        let mut wish = self.task.wish.clone();
        let mut nudges = self.task.nudges.clone();
        let mut moves = nudges.borrow_and_update().moves;
        let mut answers = self.task.shared.stun_answers.subscribe();
        let tunnel = self.control.tunnel.as_ref().map(OpenTunnel::ended);
        let mut tunnel = pin!(async move {
            match tunnel {
                Some(ended) => ended.await,
                None => std::future::pending().await,
            }
        });
        loop {
            let signed_in = self.refresh_at.is_some();
            let refresh_at = self.refresh_at.unwrap_or(sign_in_by);
            let probe_at = self.probe.map_or(refresh_at, |probe| probe.repeat_at);
            let climb_at = self.climb.poll_timeout(Instant::now().into_std());
            let ended = tokio::select! {
                read = recv.read(&mut buffer) => match read {
                    Ok(Some(count)) => self.read(&buffer[..count]).await,
                    Ok(None) => Err(End::Failed(self.closed_reason().await)),
                    Err(_) => Err(End::Failed(self.closed_reason().await)),
                },
                outgoing = self.task.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.send(outgoing).await,
                    None => Err(self.goodbye().await),
                },
                () = dismissed(&mut wish) => Err(self.goodbye().await),
                Ok(()) = nudges.changed(), if signed_in => {
                    let now = nudges.borrow_and_update().moves;
                    let moved = std::mem::replace(&mut moves, now) != now;
                    if moved {
                        self.climb.restart(Instant::now().into_std());
                    }
                    // Doubts do not begin anew what is under way, or it would never end.
                    match (moved, self.probe) {
                        (true, _) => self.begin_probe(PROBE_PATIENCE.0).await,
                        (false, None) => self.begin_probe(DOUBT_PATIENCE).await,
                        (false, Some(_)) => Ok(()),
                    }
                }
                () = &mut tunnel, if self.control.tunnel.is_some() => self.tunnel_ended(),
                answer = answers.recv(), if climb_at.is_some() => {
                    self.answered(answer.ok());
                    self.climb().await
                }
                () = sleep_until(climb_at), if signed_in && climb_at.is_some() => {
                    self.climb().await
                }
                () = tokio::time::sleep_until(probe_at), if self.probe.is_some() => {
                    self.repeat_probe().await
                }
                Ok(()) = nat.changed(), if signed_in => self.refresh().await,
                () = tokio::time::sleep_until(refresh_at) => match signed_in {
                    true => self.refresh().await,
                    false => Err(End::Failed(SignInError::Lost {
                        detail: "the sign-in was not answered".to_owned(),
                    })),
                },
            };
            if let Err(end) = ended {
                return end;
            }
        }
    }

    async fn read(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.reader.extend(bytes);
        while let Some(message) = self
            .reader
            .poll::<ToPeer>()
            .map_err(|e| self.malformed(e))?
        {
            match message {
                ToPeer::SignedIn(message) if message.id == SIGN_IN => self.online(message).await?,
                ToPeer::Failed(failed) if failed.id == SIGN_IN => {
                    return Err(End::Failed(refusal(failed.reason)));
                }
                message => self.dispatch(message).await?,
            }
        }
        Ok(())
    }

    async fn online(&mut self, message: SignedInMessage) -> Result<(), End> {
        self.lease = Duration::from_secs(u64::from(message.lease_s.max(3)));
        self.refresh_at = Some(Instant::now() + self.lease / 3);
        let signed_in = SignedIn {
            observed: message.observed,
            server: self.control.place.addr,
            transport: match self.control.tunnel {
                Some(_) => Transport::Tls,
                None => Transport::Udp,
            },
            name: message.name,
            lease: self.lease,
            elapsed: self.started.elapsed(),
            clock_ahead_s: self.task.shared.network.clock_ahead_s(message.time_s),
        };
        self.say(signed_in, message.stun_ports).await
    }

    /// Tells everybody that we are signed in, and how.
    async fn say(&mut self, signed_in: SignedIn, stun_ports: Vec<u16>) -> Result<(), End> {
        let event = ControlEvent::Online {
            server: self.control.place,
            stun_ports: stun_ports.clone(),
            rtt: self.control.connection.min_rtt(),
            signed_in: signed_in.clone(),
        };
        self.said = Some((signed_in, stun_ports));
        self.task.online = true;
        self.task.event(event).await
    }

    async fn dispatch(&mut self, message: ToPeer) -> Result<(), End> {
        if let ToPeer::Draining(notice) = &message {
            self.task.draining = Some(*notice);
        }
        let id = match &message {
            ToPeer::SignedIn(message) => Some(message.id),
            ToPeer::Failed(message) => Some(message.id),
            ToPeer::Page(message) => Some(message.id),
            ToPeer::Resolved(message) => Some(message.id),
            ToPeer::Stats(message) => Some(message.id),
            ToPeer::NumberHeld(message) => Some(message.id),
            ToPeer::Introduction(_)
            | ToPeer::Accepted(_)
            | ToPeer::Refused(_)
            | ToPeer::Candidates(_)
            | ToPeer::SessionClosed(_)
            | ToPeer::Presence(_)
            | ToPeer::Draining(_)
            | ToPeer::Coordinated(_)
            | ToPeer::Throttled(_) => None,
        };
        match id {
            Some(id) => {
                if let Some(reply) = self.pending.remove(&id) {
                    // The caller may have given up.
                    let _ = reply.send(message);
                }
                Ok(())
            }
            None => self.task.event(ControlEvent::Message(message)).await,
        }
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<(), End> {
        match outgoing {
            Outgoing::Message(message) => self.write(message).await,
            Outgoing::Request { reply, .. } if reply.is_closed() => Ok(()),
            Outgoing::Request { make, reply } => {
                if self.pending.len() >= MAX_PENDING {
                    self.pending.retain(|_, reply| !reply.is_closed());
                }
                let id = self.next_id;
                self.next_id = self.next_id.wrapping_add(1).max(SIGN_IN + 1);
                if self.pending.len() < MAX_PENDING {
                    self.pending.insert(id, reply);
                    self.write(make(id)).await?;
                }
                Ok(())
            }
        }
    }

    /// Makes the session send from where we are now: the server then follows, and answers.
    async fn begin_probe(&mut self, patience: Duration) -> Result<(), End> {
        let heard = self.heard();
        self.ask_again(Probe {
            heard,
            asked: 0,
            patience,
            repeat_at: Instant::now(),
        })
        .await
    }

    async fn repeat_probe(&mut self) -> Result<(), End> {
        match self.probe.take() {
            Some(probe) if self.heard() == probe.heard && probe.asked >= PROBES => {
                Err(End::Silent(SignInError::Lost {
                    detail: "the server does not answer".to_owned(),
                }))
            }
            Some(probe) if self.heard() == probe.heard => self.ask_again(probe).await,
            Some(_) | None => Ok(()),
        }
    }

    async fn ask_again(&mut self, probe: Probe) -> Result<(), End> {
        let patience = 2 * self.control.connection.rtt() + Duration::from_millis(50);
        let patience = patience.clamp(probe.patience, PROBE_PATIENCE.1);
        self.probe = Some(Probe {
            asked: probe.asked + 1,
            repeat_at: Instant::now() + patience,
            ..probe
        });
        self.refresh().await
    }

    fn heard(&self) -> u64 {
        self.control.connection.stats().udp_rx.datagrams
    }

    fn tunnel_ended(&mut self) -> Result<(), End> {
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

    fn answered(&mut self, answer: Option<StunAnswer>) {
        // What was missed is asked again.
        if let Some(answer) = answer {
            let (from, seen) = (answer.from, answer.observed);
            let now = Instant::now().into_std();
            self.climb
                .handle_answer(from, answer.transaction, seen, now);
        }
    }

    /// Does what there is to do on the way to UDP.
    async fn climb(&mut self) -> Result<(), End> {
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

    /// Any message refreshes the lease; this one says something as well.
    async fn refresh(&mut self) -> Result<(), End> {
        self.refresh_at = Some(Instant::now() + self.lease / 3);
        let nat = *self.task.shared.nat.borrow();
        self.write(NatReport { nat }.into()).await
    }

    async fn write(&mut self, message: ToServer) -> Result<(), End> {
        let bytes = wire::encode(&message);
        match self.send.write_all(&bytes).await {
            Ok(()) => Ok(()),
            Err(_) => Err(End::Failed(self.closed_reason().await)),
        }
    }

    async fn goodbye(&mut self) -> End {
        let patience = farewell_time(self.control.connection.rtt());
        let farewell = async {
            // What was said before the goodbye comes before it.
            while let Ok(outgoing) = self.task.outgoing.try_recv() {
                if self.send(outgoing).await.is_err() {
                    return;
                }
            }
            if self.write(SignOut {}.into()).await.is_ok() && self.send.finish().is_ok() {
                // The server closes; either way we are done.
                let _ = self.send.stopped().await;
            }
        };
        // What is lost is said by the end of the connection, right after.
        let _ = tokio::time::timeout(patience, farewell).await;
        End::SignedOut
    }

    /// Why the stream ended: the server closes the connection right after.
    async fn closed_reason(&self) -> SignInError {
        let closed = self.control.connection.closed();
        match tokio::time::timeout(REASON_TIMEOUT, closed).await {
            Ok(error) => lost(error),
            Err(_) => SignInError::Lost {
                detail: "the server ended the stream".to_owned(),
            },
        }
    }

    fn malformed(&self, error: DecodeError) -> End {
        End::Failed(SignInError::Protocol {
            addr: self.control.place.addr,
            detail: error.to_string(),
        })
    }
}

fn refusal(reason: FailReason) -> SignInError {
    match reason {
        FailReason::BadToken => SignInError::BadToken,
        FailReason::NotAllowed => SignInError::NotAllowed,
        FailReason::NameTaken => SignInError::NameTaken,
        FailReason::ShuttingDown => SignInError::ShuttingDown,
        FailReason::Busy
        | FailReason::UnknownPeer
        | FailReason::Ambiguous
        | FailReason::BadRequest => SignInError::Busy,
    }
}

fn lost(error: quinn::ConnectionError) -> SignInError {
    let reason = match &error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseReason::from_code(close.error_code.into_inner())
        }
        _ => None,
    };
    match reason {
        Some(CloseReason::Replaced) => SignInError::Replaced,
        Some(CloseReason::ShuttingDown) => SignInError::ShuttingDown,
        Some(_) | None => SignInError::Lost {
            detail: error.to_string(),
        },
    }
}
