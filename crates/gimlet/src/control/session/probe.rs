//! Questions whether the server still answers.

use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::control::link::End;
use crate::error::SignInError;

/// Questions, whether the server still answers, that may be lost before it is taken for gone.
const PROBES: u32 = 3;

/// Bounds of the time that an answer may take; two round trips and the time an acknowledgement may
/// be held back are between them. With all three lost, a new session begins within two seconds.
pub(super) const PROBE_PATIENCE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_millis(500));

/// The least time an answer may take where nothing but a silence elsewhere speaks against the server: a
/// radio link's hiccup of a second is no reason to leave it. Sessions that it relays are elsewhere
/// within three seconds all the same.
pub(super) const DOUBT_PATIENCE: Duration = Duration::from_millis(400);

/// The server is asked whether it still answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe {
    /// Datagrams that had come from it when it was first asked.
    heard: u64,
    asked: u32,
    /// The least time an answer may take.
    patience: Duration,
    pub(super) repeat_at: Instant,
}

impl Session<'_> {
    /// Makes the session send from where we are now: the server then follows, and answers.
    pub(super) async fn begin_probe(&mut self, patience: Duration) -> Result<(), End> {
        let heard = self.heard();
        self.ask_again(Probe {
            heard,
            asked: 0,
            patience,
            repeat_at: Instant::now(),
        })
        .await
    }

    pub(super) async fn repeat_probe(&mut self) -> Result<(), End> {
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
}
