//! What each cell must come to: what plain checks join, and what a search joins beyond them.
//!
//! The one place where a strategy is switched on in the lab: see [`LANDED`].

use std::time::Duration;

use gimlet_sim::{Allocation, Family, Layer, Mapping, NatConfig, Site, SiteClass};
use serde::Serialize;

use super::plan::Path;

/// A way of going direct where plain checks can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// Guessing the next port of a sequence.
    Sequence,
    /// The same where both sides count.
    BothSequences,
    /// Many sockets against many ports, all within a block that was inferred.
    Block,
    /// Many sockets against many ports of the whole range.
    Birthday,
    /// An opening the router was asked for.
    PortMap,
}

/// Searches that the client has. A pair that only others can join must stay relayed and work.
const LANDED: &[Search] = &[
    Search::Sequence,
    Search::BothSequences,
    Search::Block,
    Search::Birthday,
    Search::PortMap,
];

impl Search {
    /// How long it may take, from the start of `connect`.
    fn within(self) -> Duration {
        Duration::from_secs(match self {
            Self::Sequence | Self::BothSequences | Self::Block => 3,
            Self::Birthday => 20,
            Self::PortMap => 5,
        })
    }
}

/// What one cell must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Expect {
    /// The path at the end.
    pub(crate) path: Path,
    /// Direct no later than this after the start of `connect`, where a search joins it.
    pub(crate) within_ms: Option<u64>,
    /// How it may have come to it, where plain checks can't.
    pub(crate) strategies: &'static [&'static str],
}

impl Expect {
    /// What plain checks come to.
    pub(crate) fn plain(path: Path) -> Self {
        Self {
            path,
            within_ms: None,
            strategies: &[],
        }
    }

    /// Direct by a search, if the client has it.
    pub(crate) fn search(search: Search) -> Self {
        if !LANDED.contains(&search) {
            return Self::plain(Path::Relay);
        }
        Self {
            path: Path::Direct,
            within_ms: u64::try_from(search.within().as_millis()).ok(),
            strategies: match search {
                Search::Sequence | Search::BothSequences => &["predicted"],
                Search::Block | Search::Birthday => &["birthday"],
                // A check through the opening may be there before the word of it.
                Search::PortMap => &["mapped", "peer-reflexive"],
            },
        }
    }

    /// What two sites come to that plain checks bring to `plain`.
    pub(crate) fn of(plain: Path, a: &Site, b: &Site) -> Self {
        match (plain, between(a, b)) {
            (Path::Relay, Some(search)) => Self::search(search),
            (Path::Direct | Path::Relay, _) => Self::plain(plain),
        }
    }
}

/// The search that joins two sites which plain checks do not join.
fn between(a: &Site, b: &Site) -> Option<Search> {
    use SiteClass::{Strict, Symmetric};
    match (a.class(Family::V4), b.class(Family::V4)) {
        (Strict, Symmetric) => Some(towards(hard(b)?)),
        (Symmetric, Strict) => Some(towards(hard(a)?)),
        (Symmetric, Symmetric) => match (towards(hard(a)?), towards(hard(b)?)) {
            (Search::Sequence, Search::Sequence) => Some(Search::BothSequences),
            _ => None,
        },
        _ => None,
    }
}

/// The outermost NAT that hides where a packet will come from.
fn hard(site: &Site) -> Option<&NatConfig> {
    site.layers.iter().rev().find_map(|layer| match layer {
        Layer::Nat(nat) if nat.mapping != Mapping::EndpointIndependent => Some(nat),
        Layer::Nat(_) | Layer::Firewall(_) => None,
    })
}

/// How a side whose own port is known gets to know the other's: by how ports are given out. How
/// many of them one mapping serves makes no difference to it.
fn towards(nat: &NatConfig) -> Search {
    match nat.allocation {
        Allocation::Sequential { .. } => Search::Sequence,
        Allocation::RandomBlock { .. } => Search::Block,
        Allocation::Random | Allocation::Preserving => Search::Birthday,
    }
}

#[cfg(test)]
mod tests;
