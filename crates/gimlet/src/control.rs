//! Keeps this endpoint signed in: a [`link`] for each server, of which the engine wants a few.
//!
//! Which ones, and which of them comes first, is decided by [`roles`]. Addresses that name one key
//! are one server, tried in turn.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::{RequestId, ToPeer, ToServer};
use gimlet_proto::name::Name;
use gimlet_proto::stun::TransactionId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::endpoint::Shared;
use crate::error::SignInError;
use crate::event::SignedIn;

mod climb;
mod dial;
mod link;
mod request;
pub(crate) mod roles;
mod session;
mod standing;

pub(crate) use dial::{ServerPlace, places};
use link::{Link, Wish};
pub(crate) use standing::{ControlState, Standing};
pub use standing::{ServerRole, ServerStatus};

/// Servers of an endpoint. Each is measured, and may be signed in to for a dial; more than a few
/// would be traffic for nothing, and a peer is looked for at all of them.
pub(crate) const MAX_SERVERS: usize = 4;

/// Events waiting for the engine.
const MAX_EVENTS: usize = 256;

/// One of an endpoint's servers, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerId(pub(crate) u8);

impl ServerId {
    /// Its place in every list of servers.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Somebody answers a Binding request over UDP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StunAnswer {
    pub(crate) from: ServerPlace,
    pub(crate) transaction: TransactionId,
    /// Where it sees us.
    pub(crate) observed: SocketAddr,
}

/// What the engine hears of a server.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    /// Signed in.
    Online {
        /// Where the server is, from which of our sockets.
        server: ServerPlace,
        /// Its other STUN ports.
        stun_ports: Vec<u16>,
        /// The round trip to it.
        rtt: Duration,
        /// What it says.
        signed_in: SignedIn,
    },
    /// A message that is not the answer to a request.
    Message(ToPeer),
    /// The session is over, or an attempt at one failed.
    Offline(SignInError),
}

/// What the session is to send.
pub(crate) enum Outgoing {
    /// A message without an answer.
    Message(ToServer),
    /// A request.
    Request {
        /// Makes the message, given its id.
        make: Box<dyn FnOnce(RequestId) -> ToServer + Send>,
        /// Where the answer goes.
        reply: oneshot::Sender<ToPeer>,
    },
}

/// What signing in takes.
#[derive(Debug, Clone)]
pub(crate) struct ControlConfig {
    /// The addresses of each server.
    pub(crate) servers: Vec<Vec<ServerAddress>>,
    pub(crate) name: Option<Name>,
    pub(crate) lease: Duration,
    /// Whether peers may be introduced to us.
    pub(crate) reachable: bool,
    pub(crate) software: String,
}

/// The servers that a list of addresses names: those with one key are one server.
pub(crate) fn group(addresses: &[ServerAddress]) -> Vec<Vec<ServerAddress>> {
    let mut servers: Vec<Vec<ServerAddress>> = Vec::new();
    for address in addresses {
        let same = |server: &&mut Vec<ServerAddress>| {
            server[0] == *address || address.key.is_some() && server[0].key == address.key
        };
        match servers.iter_mut().find(same) {
            Some(server) if server.contains(address) => (),
            Some(server) => server.push(address.clone()),
            None => servers.push(vec![address.clone()]),
        }
    }
    servers.truncate(MAX_SERVERS);
    servers
}

/// What the engine holds of the control tasks.
pub(crate) struct ControlEnds {
    /// From every server.
    pub(crate) events: mpsc::Receiver<(ServerId, ControlEvent)>,
    /// For callers to see.
    pub(crate) standing: watch::Sender<Standing>,
}

/// The caller's end of the control tasks.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    links: Arc<[Link]>,
    standing: watch::Receiver<Standing>,
}

impl Control {
    /// Starts a task for each server. They end on sign-out, or when every `Control` is dropped.
    pub(crate) fn start(shared: &Arc<Shared>, config: &ControlConfig) -> (Self, ControlEnds) {
        let (to_engine, events) = mpsc::channel(MAX_EVENTS);
        let (publish, standing) = watch::channel(Standing::new(&config.servers));
        let links = config.servers.iter().enumerate().map(|(nth, addresses)| {
            let id = ServerId(nth as u8);
            Link::start(id, addresses, shared, config, &to_engine)
        });
        let control = Self {
            links: links.collect(),
            standing,
        };
        let ends = ControlEnds {
            events,
            standing: publish,
        };
        (control, ends)
    }

    /// Whether we are signed in.
    pub(crate) fn state(&self) -> ControlState {
        match self.is_stopped() {
            true => ControlState::Failed(SignInError::SignedOut),
            false => self.standing.borrow().state.clone(),
        }
    }

    /// How it stands with every server.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits for the first attempts to end, however they end.
    pub(crate) async fn online(&self) -> Result<SignedIn, SignInError> {
        let mut standing = self.standing.clone();
        let settled = standing
            .wait_for(|standing| !matches!(standing.state, ControlState::Connecting))
            .await;
        match settled.as_deref().map(|standing| &standing.state) {
            _ if self.is_stopped() => Err(SignInError::SignedOut),
            Ok(ControlState::Online(signed_in)) => Ok(signed_in.clone()),
            Ok(ControlState::Failed(error)) => Err(error.clone()),
            Ok(ControlState::Connecting) | Err(_) => Err(SignInError::SignedOut),
        }
    }

    /// Sets which servers to be signed in to.
    pub(crate) fn want(&self, wanted: &BTreeSet<ServerId>) {
        for link in self.links.iter() {
            link.wish(match wanted.contains(&link.id) {
                true => Wish::SignedIn,
                false => Wish::Idle,
            });
        }
    }

    /// This host's network changed: whether sessions still work is found out at once, and where there
    /// is none, the next attempt begins now.
    pub(crate) fn moved(&self) {
        self.links.iter().for_each(Link::moved);
    }

    /// Finds out whether a server still answers.
    pub(crate) fn doubt(&self, server: ServerId) {
        if let Some(link) = self.links.get(server.index()) {
            link.doubt();
        }
    }

    /// Sends a message, or drops it when the queue is full: all of them are repeated or repaired.
    pub(crate) fn send(&self, server: ServerId, message: impl Into<ToServer>) {
        let message = Outgoing::Message(message.into());
        let link = self.links.get(server.index());
        if link.is_none_or(|link| link.outgoing.try_send(message).is_err()) {
            tracing::debug!(%server, "control queue is full or closed");
        }
    }

    /// Says goodbye everywhere; returns when the servers have heard it or cannot.
    pub(crate) async fn sign_out(&self) {
        for link in self.links.iter() {
            link.wish(Wish::Stop);
        }
        for link in self.links.iter() {
            link.outgoing.closed().await;
        }
    }

    fn is_stopped(&self) -> bool {
        let mut wishes = self.links.iter().map(Link::current_wish);
        wishes.any(|wish| wish == Wish::Stop)
    }
}

/// A server's first address, as people know it.
fn shown(address: &ServerAddress) -> String {
    match address.host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => SocketAddr::from((ip, address.port)).to_string(),
        Err(_) => format!("{}:{}", address.host, address.port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<ServerAddress> {
        let addresses = addresses.iter();
        addresses.map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_with_one_key_are_one_server() {
        let key = gimlet_proto::id::PeerId::from_bytes([7; 32]);
        let lan = format!("gimlet://192.168.1.2:13000?key={key}");
        let wan = format!("gimlet://example.org:13000?key={key}");
        let servers = group(&list(&[&lan, "other.example.org:443", &wan, &lan]));
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[0].len(), 2);
    }

    #[test]
    fn addresses_without_a_key_are_servers_of_their_own_and_bounded() {
        let servers = group(&list(&["a:1", "b:1", "a:1", "c:1", "d:1", "e:1"]));
        assert_eq!(servers.len(), MAX_SERVERS);
        assert_eq!(shown(&servers[0][0]), "a:1");
    }
}
