//! Finds direct paths between two introduced peers and keeps the best one selected.
//!
//! An ICE agent (RFC 8445) cut down to what Gimlet needs: roles are fixed by the introduction, the
//! relay is one more path, and checks start on both sides the moment they can be sent.
//!
//! # Driving it
//!
//! [`Agent`] performs no I/O and reads no clock. After **every** call that takes `&mut self`, drain
//! [`poll_transmit`](Agent::poll_transmit), then [`poll_event`](Agent::poll_event), then sleep until
//! [`poll_timeout`](Agent::poll_timeout).
//!
//! # Life of a path
//!
//! ```text
//!  Waiting ──▶ Checking ──answer──▶ Valid ◀──answer── Probing ──silence──▶ Dead
//!                 │                   │  ──suspect──▶    ▲                   │
//!              silence             too many           silence              answer
//!                 ▼                   ▼                  │                   ▼
//!               Idle                Idle                 ╰──────────── Probation ──▶ Valid
//! ```
//!
//! # Invariants
//!
//! - The controlling side (the dialer) chooses; each choice is a nomination with a higher number.
//! - The controlled side takes a nomination only if its number is higher than any before, and only
//!   sends on a direct path that answered a check of its own.
//! - A message that does not prove knowledge of the right password changes nothing and is not answered.
//! - Both sides fall back to the relay on their own; when packets flow again, the controlled side
//!   ends on the path last nominated, so both converge.

mod agent;
mod budget;
mod config;
mod dropped;
pub(crate) mod entropy;
mod outcome;
mod path;
mod rank;
mod search;

use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::hint::Hint;

pub use agent::Agent;
pub use config::Config;
pub use dropped::Dropped;
pub use outcome::{Counts, Failure, Outcome, Reason, Stage, Strategy, Times};
pub use search::{PortKnowledge, SearchEnd, SearchFacts, SearchOutcome};

/// One of the caller's UDP sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u16);

/// Which addresses a socket can send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both, on one dual-stack socket.
    Both,
}

impl Family {
    /// Whether a socket of this family reaches `addr`, which must be in canonical form.
    pub fn reaches(self, addr: SocketAddr) -> bool {
        match self {
            Self::V4 => addr.is_ipv4(),
            Self::V6 => addr.is_ipv6(),
            Self::Both => true,
        }
    }
}

/// Over what a datagram travels. The relay sorts first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// In a frame through the server.
    Relay,
    /// Straight to the peer.
    Direct {
        /// From which of our sockets.
        socket: SocketId,
        /// To which address; IPv4-mapped IPv6 addresses are taken as IPv4.
        remote: SocketAddr,
    },
}

impl Route {
    /// Whether this is a direct path.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Direct { .. })
    }

    /// The same route with its address in canonical form, so that it compares equal however the
    /// operating system spelled it.
    pub fn canonical(self) -> Self {
        match self {
            Self::Relay => Self::Relay,
            Self::Direct { socket, remote } => Self::Direct {
                socket,
                remote: canonical(remote),
            },
        }
    }
}

/// An address in the one spelling used for comparing. The scope of a link-local address is kept.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}

/// Who decides (RFC 8445 section 6.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The dialer of the session: nominates.
    Controlling,
    /// The accepting side: follows.
    Controlled,
}

/// One datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Over what.
    pub via: Route,
    /// A STUN message.
    pub payload: Vec<u8>,
}

/// Something the owner should know about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer has proven itself at this address: QUIC from there is the session's.
    Allowed {
        /// Our socket.
        socket: SocketId,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// The address is no longer the peer's as far as we know.
    Disallowed {
        /// Our socket.
        socket: SocketId,
        /// The peer's address.
        remote: SocketAddr,
    },
    /// Send over this route from now on.
    Selected {
        /// The route.
        route: Route,
        /// How it was found; `None` for the relay.
        strategy: Option<Strategy>,
        /// Its round-trip time, where a check measured it.
        rtt: Option<Duration>,
    },
    /// QUIC was heard on the selected direct path for the first time in this attempt.
    Confirmed {
        /// The route.
        route: Route,
    },
    /// The attempt is over: a direct path is selected, or the outcome says why there is none.
    Settled(Outcome),
    /// The selected route answers again after it was doubted: what was sent meanwhile may be lost.
    Recovered {
        /// The route.
        route: Route,
        /// For how long it was doubted.
        after: Duration,
    },
    /// A search would help: [permit](Agent::permit_search) it when no other runs on this host.
    SearchWanted,
    /// The search has ended, or did not begin.
    SearchOver,
    /// The search needs IPv4 sockets, each on a port of its own that was not used before. Hand them
    /// over with [`Agent::handle_sockets`].
    OpenSockets {
        /// How many.
        count: u16,
    },
    /// The search is done with these sockets.
    CloseSockets(Vec<SocketId>),
    /// Tell the other side this, through the server.
    Say(Hint),
}
