//! A session with one peer that comes back by itself.
//!
//! A task of its own keeps it up ([`keeper`]). Whoever needs the session waits a bounded time for it,
//! and makes the next attempt sooner.

mod keeper;
mod session;

use std::fmt;
use std::future::{Future, ready};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gimlet::{CloseReason, ConnectError, Connection, Endpoint, PeerId};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::event::{Event, Events};
use keeper::Keeper;

pub use session::Session;

/// How long a new connection of a program waits for a peer that is away: long enough for one that is
/// being restarted, short of what programs themselves put up with.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session with one peer, as long as anybody holds the link. Cheap to clone.
#[derive(Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    peer: Arc<OnceLock<PeerId>>,
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
    /// The peer has signed in anew, and nothing comes over the session of before.
    #[error("the peer was restarted")]
    Restarted,
}

impl Link {
    /// Begins to connect, in the background.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(endpoint: Endpoint, peer: PeerId) -> Self {
        Self::begin(endpoint, Arc::new(OnceLock::from(peer)), ready(Some(peer)))
    }

    /// The same where it is still to be found out who the peer is: begins once `sought` tells, and never
    /// where that is nobody. Sockets that lead there may be had meanwhile.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn to(
        endpoint: Endpoint,
        sought: impl Future<Output = Option<PeerId>> + Send + 'static,
    ) -> Self {
        Self::begin(endpoint, Arc::default(), sought)
    }

    fn begin(
        endpoint: Endpoint,
        peer: Arc<OnceLock<PeerId>>,
        sought: impl Future<Output = Option<PeerId>> + Send + 'static,
    ) -> Self {
        let (states, state) = watch::channel(LinkState::Connecting);
        let wanted = Arc::new(Notify::new());
        let (known, asked) = (peer.clone(), wanted.clone());
        let keeper = tokio::spawn(async move {
            if let Some(peer) = sought.await {
                let peer = *known.get_or_init(|| peer);
                Keeper::new(endpoint, peer, states, asked).run().await;
            }
        });
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

    /// With whom; `None` while that is still to be found out.
    pub fn peer(&self) -> Option<PeerId> {
        self.inner.peer.get().copied()
    }

    /// With whom, waited for as long as for the session where it is still to be found out.
    pub(crate) async fn known(&self) -> Result<PeerId, LinkError> {
        match self.peer() {
            Some(peer) => Ok(peer),
            None => Ok(self.session().await?.connection.peer()),
        }
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
            .field("peer", &self.peer())
            .field("state", &*self.inner.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}
