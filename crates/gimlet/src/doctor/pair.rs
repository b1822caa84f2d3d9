//! What two routers allow together: a table.

use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
use gimlet_proto::stats::NatKind;
use serde::Serialize;

use super::Words;

/// How two sides can be joined directly over IPv4, by what their NATs are known to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joining {
    /// Both send to the addresses that they told each other.
    Plain,
    /// One answers to where the other's packets really come from.
    PeerReflexive,
    /// The next ports can be told in advance.
    Predicted,
    /// A search over many ports finds one.
    Search,
    /// Not by anything that is worth its packets.
    Never,
    /// Too little is known.
    Unknown,
}

/// One side's part in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// One port for everybody; `open` to whoever knows it.
    Fixed { open: bool },
    /// Another port for every destination, each open to everybody.
    DependentOpen,
    /// Another port for every destination, which can be told in advance.
    Predictable,
    /// Another port for every destination, out of many.
    Unpredictable,
}

impl Side {
    fn of(nat: &NatClass) -> Option<Self> {
        use Behaviour::{AddressAndPortDependent, EndpointIndependent};
        let filtering = nat.filtering.unwrap_or(AddressAndPortDependent);
        Some(match (nat.mapping?, filtering) {
            (EndpointIndependent, AddressAndPortDependent) => Self::Fixed { open: false },
            (EndpointIndependent, _) => Self::Fixed { open: true },
            (_, EndpointIndependent) => Self::DependentOpen,
            (_, _) => match nat.allocation {
                Some(Allocation::Preserving | Allocation::Sequential) => Self::Predictable,
                Some(Allocation::Random | Allocation::RandomBlock) | None => Self::Unpredictable,
            },
        })
    }
}

/// Looks a pair up. The kinds that plain sending joins are what a lab of real NATs showed.
pub fn joining(a: &NatClass, b: &NatClass) -> Joining {
    use Side::{DependentOpen, Fixed, Predictable, Unpredictable};
    let (Some(a), Some(b)) = (Side::of(a), Side::of(b)) else {
        return Joining::Unknown;
    };
    match (a, b) {
        (Fixed { .. }, Fixed { .. }) | (DependentOpen, DependentOpen) => Joining::Plain,
        (Fixed { open: true }, DependentOpen) | (DependentOpen, Fixed { open: true }) => {
            Joining::Plain
        }
        (DependentOpen | Fixed { open: true }, _) | (_, DependentOpen | Fixed { open: true }) => {
            Joining::PeerReflexive
        }
        (Fixed { open: false } | Predictable, Predictable)
        | (Predictable, Fixed { open: false }) => Joining::Predicted,
        (Fixed { open: false }, Unpredictable) | (Unpredictable, Fixed { open: false }) => {
            Joining::Search
        }
        (Predictable | Unpredictable, Unpredictable) | (Unpredictable, Predictable) => {
            Joining::Never
        }
    }
}

/// Found at [`Stage::Pair`](super::Stage::Pair).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum PairFact {
    /// There is a way for routers like these.
    Joinable {
        /// Ours.
        local: NatKind,
        /// Theirs.
        remote: NatKind,
        /// Which way.
        by: Joining,
    },
    /// There is none, and there was no other either.
    Hopeless {
        /// Ours.
        local: NatKind,
        /// Theirs.
        remote: NatKind,
    },
    /// There is none, but the two met in another way: on the same network, over IPv6, or because a
    /// router gave a port when asked.
    AroundThem {
        /// Ours.
        local: NatKind,
        /// Theirs.
        remote: NatKind,
    },
}

impl PairFact {
    /// `direct`: whether the two are connected directly after all.
    pub(super) fn new(local: &NatClass, remote: &NatClass, direct: bool) -> Self {
        let by = joining(local, remote);
        let [local, remote] = [local, remote].map(NatKind::from);
        match (by, direct) {
            (Joining::Never, true) => Self::AroundThem { local, remote },
            (Joining::Never, false) => Self::Hopeless { local, remote },
            (_, _) => Self::Joinable { local, remote, by },
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Joinable { by, .. } => Words::good(match by {
                Joining::Plain => "They let a direct path through when both sides send first.",
                Joining::PeerReflexive => {
                    "They let a direct path through: one side answers to where packets come from."
                }
                Joining::Predicted => {
                    "One changes ports in a way that can be foreseen: a direct path takes seconds."
                }
                Joining::Search => {
                    "One changes ports at will; a search over many ports finds one in some 20 s."
                }
                Joining::Never | Joining::Unknown => {
                    "Too little is known of them to tell what they let through."
                }
            }),
            Self::Hopeless { .. } => Words::bad(
                "Both change ports for every destination, and they can't be foreseen: neither side \
                 can tell the other where to send.",
                "one side needs another way in: switch on UPnP, NAT-PMP or PCP in one router, \
                 forward a UDP port there, or use IPv6 on both sides. The relay works meanwhile",
            ),
            Self::AroundThem { .. } => Words::good(
                "Both change ports for every destination, but the two met in another way.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Allocation::{Random, RandomBlock, Sequential};
    use Behaviour::{AddressAndPortDependent as Port, EndpointIndependent as Any};

    fn nat(mapping: Behaviour, filtering: Behaviour, allocation: Option<Allocation>) -> NatClass {
        NatClass {
            mapping: Some(mapping),
            filtering: Some(filtering),
            allocation,
            hairpin: None,
        }
    }

    #[test]
    fn every_pair_of_classes_has_its_way_and_both_sides_see_the_same() {
        let open = nat(Any, Any, None);
        let strict = nat(Any, Port, None);
        let dependent_open = nat(Port, Any, Some(Random));
        let sequential = nat(Port, Port, Some(Sequential));
        let block = nat(Port, Port, Some(RandomBlock));
        let random = nat(Port, Port, Some(Random));
        let unknown = NatClass::default();
        for (a, b, by) in [
            (open, open, Joining::Plain),
            (open, strict, Joining::Plain),
            (strict, strict, Joining::Plain),
            (open, dependent_open, Joining::Plain),
            (dependent_open, dependent_open, Joining::Plain),
            (open, random, Joining::PeerReflexive),
            (strict, dependent_open, Joining::PeerReflexive),
            (random, dependent_open, Joining::PeerReflexive),
            (strict, sequential, Joining::Predicted),
            (sequential, sequential, Joining::Predicted),
            (strict, block, Joining::Search),
            (strict, random, Joining::Search),
            (sequential, random, Joining::Never),
            (block, block, Joining::Never),
            (random, random, Joining::Never),
            (unknown, random, Joining::Unknown),
        ] {
            assert_eq!(joining(&a, &b), by, "{a:?} {b:?}");
            assert_eq!(joining(&b, &a), by, "{b:?} {a:?}");
        }
    }
}
