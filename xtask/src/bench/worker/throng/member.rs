//! One peer: signs in, and again when it was cut off, with the pauses of the client library.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use gimlet_proto::message::{Draining, ToPeer, ToServer};
use gimlet_proto::secret::SessionId;
use quinn::{Endpoint, SendStream};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::super::client::{Account, say};
use super::super::flood::{acceptance, introduction};

/// Pauses between attempts: the first, doubled up to the last, half more or less by chance.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Time for a handshake and the sign-in.
const PATIENCE: Duration = Duration::from_secs(9);

/// Time for an introduction.
const MEETING: Duration = Duration::from_secs(10);

/// A peer.
pub(super) struct Member {
    account: Account,
    endpoint: Endpoint,
    bare: bool,
    /// Microseconds of the monotonic clock when it last signed in.
    signed_in_us: AtomicU64,
    /// What the server said about its end.
    draining: Mutex<Option<Draining>>,
    sender: tokio::sync::Mutex<Option<SendStream>>,
    meeting: Mutex<HashMap<SessionId, oneshot::Sender<()>>>,
}

impl Member {
    /// A peer that is not signed in yet; a bare one only connects.
    pub(super) fn new(account: Account, endpoint: Endpoint, bare: bool) -> Self {
        Self {
            account,
            endpoint,
            bare,
            signed_in_us: AtomicU64::new(0),
            draining: Mutex::default(),
            sender: Default::default(),
            meeting: Mutex::default(),
        }
    }

    /// When it last signed in, seconds of the system's monotonic clock; 0 if never.
    pub(super) fn signed_in(&self) -> f64 {
        self.signed_in_us.load(Ordering::Acquire) as f64 / 1e6
    }

    /// Stays signed in for good. Only the first time it waits at the gate.
    pub(super) async fn run(self: Arc<Self>, gate: Arc<Semaphore>) {
        let mut entering = gate.acquire_owned().await.ok();
        let mut pause = BACKOFF.0;
        loop {
            let before = self.signed_in_us.load(Ordering::Relaxed);
            // Why it ended does not matter: it comes back.
            let _ = self.session(|| drop(entering.take())).await;
            if self.signed_in_us.load(Ordering::Relaxed) != before {
                pause = BACKOFF.0;
            }
            let notice = self
                .draining
                .lock()
                .ok()
                .and_then(|mut notice| notice.take());
            let returning = notice.map(|notice| notice.pause(chance()));
            sleep(pause.mul_f64(0.5 + chance()) + returning.unwrap_or_default()).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Has the server introduce it to another.
    pub(super) async fn meet(&self, other: &Self, session: SessionId) -> anyhow::Result<()> {
        let (sender, accepted) = oneshot::channel();
        self.meetings().insert(session, sender);
        self.say(introduction(session, other.account.id)).await?;
        let met = timeout(MEETING, accepted).await;
        met.context("no answer to an introduction")?
            .context("an introduction was refused")
    }

    /// Says something to the server.
    pub(super) async fn say(&self, message: impl Into<ToServer>) -> anyhow::Result<()> {
        let mut sender = self.sender.lock().await;
        let sender = sender.as_mut().context("a peer is not signed in yet")?;
        say(sender, message).await
    }

    async fn session(&self, entered: impl FnOnce()) -> anyhow::Result<()> {
        if self.bare {
            let connecting = self.account.connect(&self.endpoint);
            let connection = timeout(PATIENCE, connecting).await??;
            self.enter();
            entered();
            return Err(connection.closed().await.into());
        }
        let signing_in = self.account.sign_in(&self.endpoint);
        let client = timeout(PATIENCE, signing_in).await??;
        let (sender, mut hearing) = client.split();
        *self.sender.lock().await = Some(sender);
        self.enter();
        entered();
        loop {
            let message = hearing.next().await?;
            if let ToPeer::Draining(notice) = &message
                && let Ok(mut draining) = self.draining.lock()
            {
                *draining = Some(*notice);
            }
            if let ToPeer::Introduction(introduction) = &message {
                self.say(acceptance(introduction.session)).await?;
            }
            if let ToPeer::Accepted(accepted) = &message
                && let Some(waiting) = self.meetings().remove(&accepted.session)
            {
                // Whoever asked may have given up.
                let _ = waiting.send(());
            }
            if let ToPeer::Refused(refused) = &message {
                self.meetings().remove(&refused.session);
            }
        }
    }

    fn enter(&self) {
        let now = (monotonic_s() * 1e6) as u64;
        self.signed_in_us.store(now, Ordering::Release);
    }

    fn meetings(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, oneshot::Sender<()>>> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Seconds of a clock that is the same in every process.
pub(in crate::bench) fn monotonic_s() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
