//! NATs by what can be done about them: few enough kinds to count pairs of them.

use std::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::candidate::{Allocation, Behaviour, NatClass};

/// What sort of NAT a peer is behind, for the traversal.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// No NAT, or one that keeps a port for everybody and lets in whoever knows the address.
    Open,
    /// Keeps a port for everybody, and lets in only who was sent to.
    Strict,
    /// Keeps a port for everybody; whom it lets in is not known.
    Easy,
    /// Gives every destination another port, and lets everybody in through each.
    DependentOpen,
    /// Gives every destination address another port.
    PerAddress,
    /// Gives every destination another port, except that a fresh socket's first keeps its own.
    Preserving,
    /// Gives every destination another port, one after the other.
    Sequential,
    /// Gives every destination another port, out of a small block.
    Block,
    /// Gives every destination another port, anywhere.
    Random,
    /// Gives every destination another port; how is not known.
    Dependent,
    /// Nothing is known.
    Unknown,
}

impl NatKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Strict,
        Self::Easy,
        Self::DependentOpen,
        Self::PerAddress,
        Self::Preserving,
        Self::Sequential,
        Self::Block,
        Self::Random,
        Self::Dependent,
        Self::Unknown,
    ];

    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Strict => "strict",
            Self::Easy => "easy",
            Self::DependentOpen => "dependent-open",
            Self::PerAddress => "per-address",
            Self::Preserving => "preserving",
            Self::Sequential => "sequential",
            Self::Block => "block",
            Self::Random => "random",
            Self::Dependent => "dependent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<&NatClass> for NatKind {
    fn from(nat: &NatClass) -> Self {
        match (nat.mapping, nat.filtering, nat.allocation) {
            (None, _, _) => Self::Unknown,
            (Some(Behaviour::EndpointIndependent), filtering, _) => match filtering {
                // The peer's address has been sent to through the one mapping there is.
                Some(Behaviour::EndpointIndependent | Behaviour::AddressDependent) => Self::Open,
                Some(Behaviour::AddressAndPortDependent) => Self::Strict,
                None => Self::Easy,
            },
            (Some(_), Some(Behaviour::EndpointIndependent), _) => Self::DependentOpen,
            (Some(Behaviour::AddressDependent), _, _) => Self::PerAddress,
            (Some(Behaviour::AddressAndPortDependent), _, allocation) => match allocation {
                Some(Allocation::Sequential) => Self::Sequential,
                Some(Allocation::RandomBlock) => Self::Block,
                Some(Allocation::Random) => Self::Random,
                Some(Allocation::Preserving) => Self::Preserving,
                None => Self::Dependent,
            },
        }
    }
}
