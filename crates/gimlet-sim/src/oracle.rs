//! What plain simultaneous sending can join, without sending anything.
//!
//! Plain means: both sides learn their outside endpoint from a server, tell each other, and keep
//! sending there, from the start at about the same time. No port is guessed. The table is what a lab of kernel
//! NATs showed, and what RFC 4787 predicts; this crate's tests play every cell of it on a
//! [`Net`](crate::Net).

mod shared;
mod site;

use serde::{Deserialize, Serialize};

pub use shared::{SharedVerdict, oracle_behind_one_router};
pub use site::{Family, Layer, Site};

/// How a site looks from outside. Derived from its layers by [`Site::class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteClass {
    /// One outside endpoint for everybody, and a peer that is being sent to can send to it from
    /// any port.
    Open,
    /// One outside endpoint for everybody, but only exact endpoints that were sent to get in.
    Strict,
    /// Another outside endpoint for each peer, and only who was sent to through it gets in.
    Symmetric,
    /// Another outside endpoint for each peer, each open to others too.
    SymmetricOpen,
    /// UDP passes to the server and to nobody else.
    ServerOnly,
    /// No UDP passes.
    UdpBlocked,
}

impl SiteClass {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::Strict,
        Self::Symmetric,
        Self::SymmetricOpen,
        Self::ServerOnly,
        Self::UdpBlocked,
    ];
}

/// What can be had, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Sending to the announced endpoints is enough.
    Direct,
    /// Only if a side also answers to where a packet really came from.
    DirectPeerReflexive,
    /// Not by plain sending: relay, or guess ports.
    Relay,
}

impl Verdict {
    /// Whether an agent that answers to where packets came from gets a direct path.
    pub fn is_direct(self) -> bool {
        match self {
            Self::Direct | Self::DirectPeerReflexive => true,
            Self::Relay => false,
        }
    }
}

/// Whether plain simultaneous sending joins two sites that share no router.
pub fn oracle(a: SiteClass, b: SiteClass) -> Verdict {
    use SiteClass::{Open, ServerOnly, Strict, Symmetric, SymmetricOpen, UdpBlocked};
    match (a, b) {
        (ServerOnly | UdpBlocked, _) | (_, ServerOnly | UdpBlocked) => Verdict::Relay,
        (Open | Strict, Open | Strict) => Verdict::Direct,
        (Open | SymmetricOpen, SymmetricOpen) | (SymmetricOpen, Open) => Verdict::Direct,
        (Open, Symmetric) | (Symmetric, Open) => Verdict::DirectPeerReflexive,
        (Strict | Symmetric, SymmetricOpen) | (SymmetricOpen, Strict | Symmetric) => {
            Verdict::DirectPeerReflexive
        }
        (Strict | Symmetric, Symmetric) | (Symmetric, Strict) => Verdict::Relay,
    }
}

#[cfg(test)]
mod tests;
