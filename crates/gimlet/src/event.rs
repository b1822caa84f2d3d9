//! What happens at an endpoint, for whoever wants to show it.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::id::PeerId;
use gimlet_proto::name::Name;

use crate::error::{CloseReason, SignInError};
use crate::peer::Path;

/// A control session that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Where the server sees this endpoint.
    pub observed: SocketAddr,
    /// Where the server is.
    pub server: SocketAddr,
    /// The name held.
    pub name: Option<Name>,
    /// How long the server keeps this sign-in without hearing from us.
    pub lease: Duration,
    /// From the first packet to the server's word.
    pub elapsed: Duration,
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
    /// A session uses another path now.
    PathChanged {
        /// With whom.
        peer: PeerId,
        /// Which one.
        path: Path,
    },
    /// A connection is over.
    Closed {
        /// With whom.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
}
