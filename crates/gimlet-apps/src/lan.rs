//! `gimlet/lan/1`: peers on the same network find one another and talk, with no server and no internet.
//!
//! Multicast DNS (RFC 6762, 6763: service `_gimlet._udp.local.`) only finds peers: each announces its id,
//! its name, and the port of [`Endpoint::lan_port`]. Everything else is QUIC between two of them, over
//! [`Endpoint::connect_at`], where the key is proven; what mDNS says is a stranger's word, of which
//! only addresses on local networks are used.
//!
//! A *message* is one bidirectional stream of the sender: the bytes, at most 64 KiB, and the end. Whoever
//! hears it answers with one byte, 0, or with 1 when nobody there has read the messages before it.
//!
//! The endpoint has to be bound with [`Builder::lan`](gimlet::Builder::lan); to hear messages, also with
//! [`ALPN`], and its connections for it have to be handed to [`Lan::door`].

mod broadcast;
mod discovery;
mod message;
mod roster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gimlet::{ConnectAtError, Connection, Endpoint, Name, PeerId};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub use broadcast::{Answer, Outcome};
pub use discovery::DiscoveryError;
pub use message::{Door, MAX_MESSAGE, Message};

use discovery::Discovery;

/// ALPN of messages on the local network.
pub const ALPN: &[u8] = b"gimlet/lan/1";

/// Messages that may wait to be read.
const MAX_HEARD: usize = 64;

/// A peer on this network, as mDNS says. Nothing vouches for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanPeer {
    /// Who; proven when connected to.
    pub peer: PeerId,
    /// What it calls itself.
    pub name: Option<Name>,
    /// Where, local addresses alone.
    pub addrs: Vec<SocketAddr>,
}

/// How to be on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether others find us. Default: no.
    pub announce: bool,
    /// What to call ourselves there. Default: nothing.
    pub name: Option<Name>,
}

/// Peers on this network. While it is kept, [`Endpoint::connect`] dials those that were found where they
/// are, whatever it is used for. Dropping it takes the announcement back. One for an endpoint.
#[derive(Debug)]
pub struct Lan {
    endpoint: Endpoint,
    /// Ends with us.
    discovery: Discovery,
    peers: watch::Receiver<BTreeMap<PeerId, LanPeer>>,
    door: Door,
    heard: mpsc::Receiver<Message>,
}

impl Lan {
    /// Begins to look for peers, and to announce this one if wanted.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`]: the endpoint does not use the local network, or mDNS can't be had.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(endpoint: &Endpoint, options: Options) -> Result<Self, DiscoveryError> {
        let (discovery, peers) = Discovery::start(endpoint, &options)?;
        let (door, heard) = message::door(MAX_HEARD);
        Ok(Self {
            endpoint: endpoint.clone(),
            discovery,
            peers,
            door,
            heard,
        })
    }

    /// Leaves the network: like dropping this, but waits until the others were told, a tenth of a second
    /// at most.
    pub async fn close(self) {
        self.discovery.close().await;
    }

    /// Everybody found so far but ourselves, by id.
    pub fn peers(&self) -> Vec<LanPeer> {
        self.peers.borrow().values().cloned().collect()
    }

    /// How many there are.
    pub fn peer_count(&self) -> usize {
        self.peers.borrow().len()
    }

    /// Follows who is there.
    pub fn changes(&self) -> watch::Receiver<BTreeMap<PeerId, LanPeer>> {
        self.peers.clone()
    }

    /// Waits until so many are there, or for that long; how many there are then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_for(&self, count: usize, at_most: Duration) -> usize {
        let mut peers = self.peers.clone();
        // Whichever way it ends, those that are there are the answer.
        let _ = timeout(at_most, peers.wait_for(|peers| peers.len() >= count)).await;
        self.peer_count()
    }

    /// Connects to a peer that was found.
    ///
    /// # Errors
    ///
    /// [`ConnectAtError`]; [`NoAddress`](ConnectAtError::NoAddress) also where it was not found.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives the attempt up.
    pub async fn connect(&self, peer: PeerId, alpn: &[u8]) -> Result<Connection, ConnectAtError> {
        let found = self.peers.borrow().get(&peer).cloned();
        let addrs = found.map(|found| found.addrs).unwrap_or_default();
        self.endpoint.connect_at(peer, &addrs, alpn).await
    }

    /// Sends a message to everybody found so far and says, by id, what became of it with each: all of
    /// them within ten seconds.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves some with the message and some without.
    pub async fn broadcast(&self, message: &[u8]) -> Vec<Answer> {
        broadcast::to_all(&self.endpoint, self.peers(), message).await
    }

    /// Where connections for messages are handed in.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Waits for the next message of a peer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no message is lost.
    pub async fn message(&mut self) -> Message {
        // We hold a door ourselves, so it is never closed.
        match self.heard.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}
