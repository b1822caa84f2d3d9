//! What a rendezvous reports: for the log, the counters and the tests.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::CloseReason;
use crate::id::PeerId;
use crate::message::{FailReason, PathKind, RefuseReason, ThrottleReason};
use crate::name::Name;
use crate::secret::SessionId;
use crate::stats::Attempt;

/// A peer as a person reads it: `alice (k3xf9ay6tw)`, or the short id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The key.
    pub peer: PeerId,
    /// The name it is signed in with.
    pub name: Option<Name>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.peer.short()),
            None => f.write_str(&self.peer.short()),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A peer signed in.
    SignedIn {
        /// Who.
        who: Who,
        /// Where the server sees it.
        observed: SocketAddr,
        /// The lease granted.
        lease: Duration,
        /// Whether others may be introduced to it.
        reachable: bool,
        /// What it says it runs; printable ASCII only.
        software: String,
    },
    /// A sign-in was refused.
    SignInRefused {
        /// The key that tried.
        peer: PeerId,
        /// From where.
        observed: SocketAddr,
        /// Why.
        reason: FailReason,
    },
    /// A signed-in peer left or was made to.
    SignedOut {
        /// Who.
        who: Who,
        /// Why.
        reason: CloseReason,
    },
    /// Somebody asked to be introduced, and the other side was told.
    Asked {
        /// The session.
        session: SessionId,
        /// Who asks.
        dialer: Who,
        /// Who is asked.
        acceptor: Who,
    },
    /// The accepting side accepted.
    Introduced {
        /// The session.
        session: SessionId,
        /// Who asked.
        dialer: Who,
        /// Who accepted.
        acceptor: Who,
    },
    /// An introduction did not come about.
    Refused {
        /// The session.
        session: SessionId,
        /// Who asked.
        dialer: Who,
        /// Who was asked.
        acceptor: Who,
        /// Why.
        reason: RefuseReason,
    },
    /// The dialer said which path its session uses.
    PathReported {
        /// The session.
        session: SessionId,
        /// Who dialled.
        dialer: Who,
        /// Who accepted.
        acceptor: Who,
        /// The path.
        path: PathKind,
    },
    /// The dialer said what came of its attempt at a direct path, and it was counted.
    AttemptReported {
        /// The session.
        session: SessionId,
        /// Who dialled.
        dialer: Who,
        /// Who accepted.
        acceptor: Who,
        /// What came of it.
        attempt: Attempt,
    },
    /// A session is over.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Who dialled.
        dialer: Who,
        /// Who accepted.
        acceptor: Who,
        /// The path it used last.
        path: PathKind,
        /// Who closed it; `None` when nothing was heard of it for long.
        closed_by: Option<PeerId>,
    },
    /// The relay let go of a session.
    RelayEnded {
        /// The session.
        session: SessionId,
        /// What was relayed, both ways.
        relayed_bytes: u64,
    },
    /// The relay dropped what a side sent, for being too much.
    Throttled {
        /// The session.
        session: SessionId,
        /// Who sent it.
        who: Who,
        /// Why.
        reason: ThrottleReason,
        /// Bytes dropped since the last time.
        dropped_bytes: u64,
    },
}
