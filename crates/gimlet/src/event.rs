//! What happens at an endpoint, for whoever wants to show it.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::id::PeerId;
use gimlet_proto::message::{RefuseReason, ThrottleReason};
use gimlet_proto::name::Name;
use gimlet_proto::stats::Attempt;

use crate::error::{CloseReason, SignInError};
use crate::peer::Path;

/// What a control session goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TLS over TCP: there was no answer over UDP. Left by itself when there is.
    Tls,
}

/// A control session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Where the server sees this endpoint. Over TLS, an address that means nothing elsewhere.
    pub observed: SocketAddr,
    /// Where the server is.
    pub server: SocketAddr,
    /// How its packets get there.
    pub transport: Transport,
    /// The name held.
    pub name: Option<Name>,
    /// How long the server keeps this sign-in without hearing from us.
    pub lease: Duration,
    /// From the first packet to the server's word.
    pub elapsed: Duration,
    /// Seconds that this host's clock is ahead of the server's, or behind it where negative; off by
    /// a round trip and a second.
    pub clock_ahead_s: i64,
}

/// Something happened. Later versions add variants.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// Signed in, for the first time or again.
    SignedIn(SignedIn),
    /// The control session is over or could not be had; unless the reason is definite, the
    /// endpoint keeps trying.
    SignedOut {
        /// Why.
        reason: SignInError,
    },
    /// A peer was introduced and the policy accepted it.
    Introduced {
        /// Who.
        peer: PeerId,
        /// Its name as the server knows it.
        name: Option<Name>,
    },
    /// A peer was introduced and the policy declined it.
    Declined {
        /// Who.
        peer: PeerId,
    },
    /// A connection is up, whoever dialled.
    Connected {
        /// With whom.
        peer: PeerId,
        /// For which application protocol.
        alpn: Vec<u8>,
    },
    /// An attempt of ours at a direct path is settled, or was left before it was.
    Attempted {
        /// With whom.
        peer: PeerId,
        /// What came of it.
        attempt: Attempt,
        /// Why there was no introduction, where that is where it ended.
        refused: Option<RefuseReason>,
    },
    /// A session uses another path now.
    PathChanged {
        /// With whom.
        peer: PeerId,
        /// Which one.
        path: Path,
    },
    /// The relay drops some of what is sent to a peer. At most once in a few seconds; connections slow
    /// down by themselves.
    Throttled {
        /// To whom.
        peer: PeerId,
        /// Why; where there were several reasons, the one that cost most.
        reason: ThrottleReason,
        /// Bytes dropped since the last time.
        dropped_bytes: u64,
    },
    /// A connection is over.
    Closed {
        /// With whom.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
}
