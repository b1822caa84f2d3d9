//! One server: a task that keeps us signed in there while that is wanted, again and again with
//! back-off.

use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::Draining;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{ControlConfig, ControlEvent, Outgoing, ServerId, dial};
use crate::endpoint::Shared;
use crate::error::SignInError;

/// Messages waiting for the control session. Requests of one process are few; a full queue means
/// the server has stopped reading.
const MAX_OUTGOING: usize = 256;

/// First and longest pause between attempts. With the attempt itself, a peer is back within 5 s of
/// its server's return; 20,000 peers of one server then make at most some 10,000 attempts a second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Pause after a refusal that only a person can change, so that an operator's fix takes effect.
const DEFINITE_PAUSE: Duration = Duration::from_secs(30);

/// What the engine wants of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// No session.
    Idle,
    /// A session.
    SignedIn,
    /// No session ever again.
    Stop,
}

/// Reasons to find out whether the server still answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Nudges {
    /// Moves of this host.
    pub(super) moves: u64,
    /// Silences elsewhere.
    pub(super) doubts: u64,
}

/// The engine's end of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: ServerId,
    pub(super) outgoing: mpsc::Sender<Outgoing>,
    /// Dropping it ends the task, as [`Wish::Stop`] does.
    wish: watch::Sender<Wish>,
    nudges: watch::Sender<Nudges>,
}

impl Link {
    /// Starts the task, idle.
    pub(super) fn start(
        id: ServerId,
        addresses: &[ServerAddress],
        shared: &Arc<Shared>,
        config: &ControlConfig,
        events: &mpsc::Sender<(ServerId, ControlEvent)>,
    ) -> Self {
        let (outgoing, from_callers) = mpsc::channel(MAX_OUTGOING);
        let (wish, wishes) = watch::channel(Wish::Idle);
        let (nudge, nudges) = watch::channel(Nudges::default());
        let task = Task {
            id,
            shared: shared.clone(),
            config: config.clone(),
            outgoing: from_callers,
            events: events.clone(),
            wish: wishes,
            nudges,
            online: false,
            draining: None,
        };
        tokio::spawn(task.run(addresses.to_vec()));
        Self {
            id,
            outgoing,
            wish,
            nudges: nudge,
        }
    }

    /// Sets what is wanted; what is stopped stays so.
    pub(super) fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|before| {
            let changes = *before != wish && *before != Wish::Stop;
            if changes {
                *before = wish;
            }
            changes
        });
    }

    pub(super) fn current_wish(&self) -> Wish {
        *self.wish.borrow()
    }

    pub(super) fn moved(&self) {
        self.nudges.send_modify(|nudges| nudges.moves += 1);
    }

    pub(super) fn doubt(&self) {
        self.nudges.send_modify(|nudges| nudges.doubts += 1);
    }
}

/// See the [module docs](self).
pub(super) struct Task {
    id: ServerId,
    pub(super) shared: Arc<Shared>,
    pub(super) config: ControlConfig,
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<(ServerId, ControlEvent)>,
    pub(super) wish: watch::Receiver<Wish>,
    pub(super) nudges: watch::Receiver<Nudges>,
    /// Whether the last session got as far as being signed in.
    pub(super) online: bool,
    /// What the server said about its end.
    pub(super) draining: Option<Draining>,
}

/// How a session or an attempt ended.
pub(super) enum End {
    /// It is not wanted any more.
    SignedOut,
    /// Try again.
    Failed(SignInError),
    /// Try again at once: the server did not answer from where we are now.
    Silent(SignInError),
}

impl Task {
    async fn run(mut self, addresses: Vec<ServerAddress>) {
        let mut pause = BACKOFF.0;
        for address in addresses.iter().cycle() {
            if !self.wanted().await {
                break;
            }
            let end = self.attempt(address).await;
            if std::mem::take(&mut self.online) {
                pause = BACKOFF.0;
            }
            let (error, at_once) = match end {
                End::SignedOut => (SignInError::SignedOut, true),
                End::Failed(error) => (error, false),
                End::Silent(error) => (error, true),
            };
            tracing::debug!(server = %self.id, %error, "not signed in");
            let (definite, replaced) = (error.is_definite(), error == SignInError::Replaced);
            if self.event(ControlEvent::Offline(error)).await.is_err() {
                break;
            }
            if replaced {
                // Coming back would only drive the other one out in turn.
                let _ = self.wish.wait_for(|wish| *wish == Wish::Stop).await;
                break;
            }
            let draining = self.draining.take();
            let wait = match (at_once, definite) {
                (true, _) => Duration::ZERO,
                (false, true) => DEFINITE_PAUSE,
                (false, false) => {
                    let returning = draining.map(|notice| notice.pause(rand::random()));
                    jittered(pause) + returning.unwrap_or_default()
                }
            };
            pause = (pause * 2).min(BACKOFF.1);
            tokio::select! {
                () = tokio::time::sleep(wait) => (),
                () = moved(&mut self.nudges) => pause = BACKOFF.0,
                () = dismissed(&mut self.wish) => (),
            }
        }
    }

    /// Waits until a session is wanted; false when none ever will be. What is to be sent meanwhile
    /// concerns nobody.
    async fn wanted(&mut self) -> bool {
        loop {
            match *self.wish.borrow_and_update() {
                Wish::SignedIn => return true,
                Wish::Stop => return false,
                Wish::Idle => (),
            }
            tokio::select! {
                biased;
                changed = self.wish.changed() => if changed.is_err() {
                    return false;
                },
                message = self.outgoing.recv() => if message.is_none() {
                    return false;
                },
            }
        }
    }

    /// One attempt, and the session if it succeeds.
    async fn attempt(&mut self, address: &ServerAddress) -> End {
        let started = Instant::now();
        let dialled = loop {
            tokio::select! {
                dialled = dial::dial(&self.shared, address) => break dialled,
                () = moved(&mut self.nudges) => (),
                () = dismissed(&mut self.wish) => return End::SignedOut,
            }
        };
        match dialled {
            Ok(mut control) => self.session(&mut control, address, started).await,
            Err(error) => End::Failed(error),
        }
    }

    /// Tells the engine; an error means that it is gone.
    pub(super) async fn event(&mut self, event: ControlEvent) -> Result<(), End> {
        let sent = self.events.send((self.id, event)).await;
        sent.map_err(|_| End::SignedOut)
    }
}

/// Waits until no session is wanted any more.
pub(super) async fn dismissed(wish: &mut watch::Receiver<Wish>) {
    // An error means that every `Control` is gone, which says the same.
    let _ = wish.wait_for(|wish| *wish != Wish::SignedIn).await;
}

/// Waits until then; for ever, if that is never.
pub(super) async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits until this host's network changes.
async fn moved(nudges: &mut watch::Receiver<Nudges>) {
    let before = nudges.borrow().moves;
    let moved = nudges.wait_for(|nudges| nudges.moves != before);
    if moved.await.is_err() {
        // Every `Control` is gone; the task is about to hear of it.
        std::future::pending().await
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.5))
}
