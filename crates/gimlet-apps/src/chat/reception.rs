//! The accepting side: which connection asks for a conversation, and which goes on with one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gimlet::{Connection, PeerId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::conversation::{Conversation, incarnation};
use super::driver::Role;
use super::exchange::{ANSWER_TIMEOUT, Exchange};
use super::link::Link;
use super::wire::{ConversationId, Hello, Refusal};

/// Conversations and requests at a time. More is somebody asking for fun.
const MAX_CONVERSATIONS: usize = 256;

/// Connections of one conversation that wait to be taken: the newest counts.
const MAX_LINKS: usize = 4;

type Links = mpsc::Sender<(Link, Hello)>;

/// Tells requests for conversations from connections of those under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reception {
    name: Arc<str>,
    known: Arc<Mutex<HashMap<(PeerId, ConversationId), Links>>>,
}

/// Somebody asks for a conversation. An answer belongs to this request alone; it expires after 60 s, and
/// dropping it says so.
pub struct Request {
    peer: PeerId,
    name: Arc<str>,
    hello: Hello,
    /// `None` once it is answered.
    link: Option<Link>,
    links: mpsc::Receiver<(Link, Hello)>,
    expires_at: Instant,
}

impl Reception {
    /// One for a side that wants to be called so.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            known: Arc::default(),
        }
    }

    /// Takes a connection of [`ALPN`](super::ALPN): a request, or `None` where it belongs to a conversation
    /// under way, or says nothing for 10 s. Not to be waited for by whoever accepts connections: give it
    /// a task.
    pub async fn receive(&self, connection: Connection) -> Option<Request> {
        let peer = connection.peer();
        let (link, hello) = Link::accept(connection).await.ok()?;
        let key = (peer, hello.id);
        let known = self.known().get(&key).cloned();
        let again = match known {
            Some(links) => match links.try_send((link, hello)) {
                // Full: an older one is as good. Closed: it is over by now, and this asks for a new one.
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return None,
                Err(mpsc::error::TrySendError::Closed(again)) => again,
            },
            None => (link, hello),
        };
        let (link, hello) = again;
        let Some(links) = self.register(key) else {
            link.refuse(Refusal::Busy).await;
            return None;
        };
        Some(Request {
            peer,
            name: self.name.clone(),
            hello,
            link: Some(link),
            links,
            expires_at: Instant::now() + ANSWER_TIMEOUT,
        })
    }

    fn register(&self, key: (PeerId, ConversationId)) -> Option<mpsc::Receiver<(Link, Hello)>> {
        let mut known = self.known();
        known.retain(|_, links| !links.is_closed());
        if known.len() >= MAX_CONVERSATIONS {
            return None;
        }
        let (links_by, links) = mpsc::channel(MAX_LINKS);
        known.insert(key, links_by);
        Some(links)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(PeerId, ConversationId), Links>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Who asks; proven by TLS.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The id of the conversation it asks for.
    pub fn id(&self) -> ConversationId {
        self.hello.id
    }

    /// How it calls itself. Nothing vouches for it.
    pub fn name(&self) -> &str {
        &self.hello.name
    }

    /// Whether it wants the person to be asked.
    pub fn asks(&self) -> bool {
        self.hello.asks
    }

    /// Until when an answer counts.
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Whether an answer would still be heard.
    pub fn is_open(&self) -> bool {
        let gone = |link: &Link| link.connection.quic().close_reason().is_some();
        let is_gone = self.link.as_ref().is_none_or(gone) && self.links.is_empty();
        Instant::now() < self.expires_at && !is_gone
    }

    /// Accepts: there is a conversation.
    pub fn accept(mut self) -> Conversation {
        self.take_newest();
        let (peer, id) = (self.peer, self.hello.id);
        let now = Instant::now().into_std();
        let exchange = Exchange::accept(id, incarnation(), self.name.to_string(), now);
        let (_, none) = mpsc::channel(1);
        let links = std::mem::replace(&mut self.links, none);
        let (link, hello) = (self.link.take(), self.hello.clone());
        Conversation::start(peer, id, false, exchange, Role::Accepts(links), |driver| {
            if let Some(link) = link {
                driver.link_up(link, Some(hello));
            }
        })
    }

    /// Says no.
    pub fn deny(mut self) {
        self.refuse(Refusal::Denied);
    }

    /// Who asked may have come over another connection meanwhile.
    fn take_newest(&mut self) {
        while let Ok((link, hello)) = self.links.try_recv() {
            (self.link, self.hello) = (Some(link), hello);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.take_newest();
        if let Some(link) = self.link.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(link.refuse(refusal));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.refuse(Refusal::Unanswered);
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.expires_at.saturating_duration_since(Instant::now());
        f.debug_struct("Request")
            .field("peer", &self.peer)
            .field("left", &Duration::from_secs(left.as_secs()))
            .finish_non_exhaustive()
    }
}
