//! A session with one peer that comes back by itself.
//!
//! It dials at once, and again after every end, with growing pauses ([`Retry`]) while the peer is
//! away. Whoever needs the session waits a bounded time for it, and makes the next attempt sooner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gimlet::{CloseReason, ConnectError, Connection, Endpoint, PeerId};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use super::event::{Event, Events};
use super::exchange::Exchange;
use super::retry::Retry;

/// How long a new connection of a program waits for a peer that is away: long enough for one that is
/// being restarted, short of what programs themselves put up with.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session with one peer, as long as anybody holds the link. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    peer: PeerId,
    state: watch::Receiver<LinkState>,
    wanted: Arc<Notify>,
    events: Events,
    keeper: JoinHandle<()>,
}

/// How a link stands.
#[derive(Debug, Clone)]
pub enum LinkState {
    /// The first attempt is under way.
    Connecting,
    /// The session is up.
    Connected(Session),
    /// There is no session; it is tried again by itself.
    Away(LinkError),
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Connecting failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The session ended.
    #[error("the session ended: {0}")]
    Closed(CloseReason),
    /// Nothing came of it in time.
    #[error("the peer was not reached in time")]
    TimedOut,
}

/// A session that is up.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) connection: Connection,
    pub(super) exchange: Arc<Exchange>,
    /// Streams whose data may lie unread.
    streams: Arc<AtomicUsize>,
}

/// A stream that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted(Session);

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.streams.fetch_sub(1, Ordering::Relaxed) - 1;
        self.0.connection.expect_unread(left);
    }
}

impl Session {
    /// The connection below, with its path.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn new(connection: Connection) -> Self {
        let exchange = Exchange::start(&connection);
        Self {
            connection,
            exchange,
            streams: Arc::default(),
        }
    }

    /// Makes room for one more stream whose data may lie unread.
    pub(super) fn count(&self) -> Counted {
        let streams = self.streams.fetch_add(1, Ordering::Relaxed) + 1;
        self.connection.expect_unread(streams);
        Counted(self.clone())
    }

    fn is_open(&self) -> bool {
        self.connection.quic().close_reason().is_none()
    }

    /// Packets that have come so far.
    pub(super) fn heard(&self) -> u64 {
        self.connection.quic().stats().udp_rx.datagrams
    }

    /// Nobody answered. Where nothing at all has come since then, the peer has vanished without a
    /// word, and dialling it anew is faster than waiting for QUIC to give up.
    pub(super) fn doubt(&self, heard: u64) {
        if self.heard() == heard {
            self.connection.close(0, b"silent");
        }
    }
}

impl Link {
    /// Begins to connect, in the background.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(endpoint: Endpoint, peer: PeerId) -> Self {
        let (states, state) = watch::channel(LinkState::Connecting);
        let wanted = Arc::new(Notify::new());
        let keeper = tokio::spawn(keep(endpoint, peer, states, wanted.clone()));
        Self {
            inner: Arc::new(Inner {
                peer,
                state,
                wanted,
                events: Events::new(),
                keeper,
            }),
        }
    }

    /// With whom.
    pub fn peer(&self) -> PeerId {
        self.inner.peer
    }

    /// How it stands, and how that changes.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.inner.state.clone()
    }

    /// What happens to the flows over it. A receiver that falls behind by 4,096 events misses the
    /// oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The session, waited for 10 s at most: its path has both addresses.
    ///
    /// # Errors
    ///
    /// [`LinkError`]: why it was not there in time.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connection(&self) -> Result<Connection, LinkError> {
        self.session().await.map(|session| session.connection)
    }

    pub(crate) async fn session(&self) -> Result<Session, LinkError> {
        let mut state = self.inner.state.clone();
        let connected = async {
            loop {
                match &*state.borrow_and_update() {
                    LinkState::Connected(session) if session.is_open() => {
                        return Some(session.clone());
                    }
                    LinkState::Connecting | LinkState::Connected(_) | LinkState::Away(_) => (),
                }
                self.inner.wanted.notify_one();
                // An error means that the keeper is gone, with its runtime.
                state.changed().await.ok()?;
            }
        };
        match timeout(PATIENCE, connected).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) | Err(_) => Err(match &*self.inner.state.borrow() {
                LinkState::Away(error) => error.clone(),
                LinkState::Connecting | LinkState::Connected(_) => LinkError::TimedOut,
            }),
        }
    }

    pub(crate) fn announcer(&self) -> &Events {
        &self.inner.events
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("peer", &self.inner.peer)
            .field("state", &*self.inner.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Keeps the session up, for ever.
async fn keep(
    endpoint: Endpoint,
    peer: PeerId,
    states: watch::Sender<LinkState>,
    wanted: Arc<Notify>,
) {
    let mut retry = Retry::new();
    loop {
        let error = match endpoint.connect(peer, super::ALPN).await {
            Ok(connection) => {
                let began_at = now();
                states.send_replace(LinkState::Connected(Session::new(connection.clone())));
                let reason = connection.closed().await;
                retry.handle_lost(now(), now() - began_at, rand::random());
                LinkError::Closed(reason)
            }
            Err(error) => {
                retry.handle_failed(now(), rand::random());
                LinkError::Connect(error)
            }
        };
        tracing::debug!(peer = %peer.short(), %error, "peer is away");
        states.send_replace(LinkState::Away(error));
        pause(&retry, &wanted).await;
    }
}

async fn pause(retry: &Retry, wanted: &Notify) {
    let until = async |at: Option<Instant>| {
        if let Some(at) = at {
            sleep_until(at.into()).await;
        }
    };
    tokio::select! {
        () = until(retry.next_at(false)) => (),
        () = wanted.notified() => until(retry.next_at(true)).await,
    }
}

/// Tokio's time, which tests may stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
