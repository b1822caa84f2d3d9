//! What to do in a round, given where both sides say they can be found: a pure function.

use std::net::{IpAddr, SocketAddr};

use super::ports::Candidates;
use crate::candidate::{Allocation, Behaviour, NatClass};
use crate::hint::Ports;
use crate::traversal::Strategy;

/// Sockets on a side whose next ports are predicted: they take as many ports in a row, wherever others
/// have moved the beginning to.
pub(super) const SEQUENCE_SOCKETS: u16 = 32;

/// Sockets on a side with random ports. Both sides send 100 packets a second, so the first `t` seconds
/// bring some `(100 t)² / 2` pairs of socket and probe, out of 64,512 ports, and each second after
/// the last socket 100 times their number: 400 sockets hit with 50 % after 3 s, 95 % after 7 and
/// 99.9 % after 13. With 256 it would be 3, 9 and 19.
pub(super) const RANDOM_SOCKETS: u16 = 400;

/// Sockets on a side with random ports out of a block of some 1,000: 64 probes hit one of 64 with
/// 98 %, and the other side sends two or three times as many.
pub(super) const BLOCK_SOCKETS: u16 = 64;

/// Largest range that counts as a block.
const BLOCK: u16 = 4096;

/// What one side does in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Sends from each of its sockets to the one endpoint where the other side waits.
    Open { target: SocketAddr },
    /// Sends from one socket to many ports of the other side.
    Probe { ip: IpAddr, ports: Candidates },
}

/// What both sides do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Both have one endpoint for everybody, and yet it did not work: somebody's port was taken.
    /// Both try from fresh sockets.
    Fresh,
    /// A side's next ports can be told, or both sides' can.
    Predict,
    /// One side has random ports, out of all or out of a block.
    Birthday { wide: bool },
}

impl Kind {
    /// What a path found by it is called.
    pub(super) fn strategy(self) -> Strategy {
        match self {
            // The endpoint was learned from a server, as always.
            Self::Fresh => Strategy::Reflexive,
            Self::Predict => Strategy::Predicted,
            Self::Birthday { .. } => Strategy::Birthday,
        }
    }
}

/// How a side's next mapping comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// It is the one there is.
    Fixed,
    /// It has the port of a socket that was never used.
    Preserved,
    /// It has the next port.
    Sequence,
    /// It has any port.
    Range { wide: bool },
}

/// The shape that a NAT gives its side.
pub(super) fn shape(nat: NatClass) -> Shape {
    match (nat.mapping, nat.allocation) {
        (Some(Behaviour::EndpointIndependent) | None, _) => Shape::Fixed,
        (Some(_), Some(Allocation::Preserving)) => Shape::Preserved,
        (Some(_), Some(Allocation::Sequential)) => Shape::Sequence,
        (Some(_), Some(Allocation::RandomBlock)) => Shape::Range { wide: false },
        (Some(_), Some(Allocation::Random)) => Shape::Range { wide: true },
        // Nobody has looked yet; samples will tell.
        (Some(_), None) => Shape::Sequence,
    }
}

/// The shape if the NAT, against appearances, mapped by destination address.
pub(super) fn if_dependent(nat: NatClass) -> Option<Shape> {
    match nat.allocation? {
        Allocation::Preserving => Some(Shape::Preserved),
        Allocation::Sequential => Some(Shape::Sequence),
        Allocation::RandomBlock => Some(Shape::Range { wide: false }),
        Allocation::Random => Some(Shape::Range { wide: true }),
    }
}

/// The shape of what a side has told, which may be less than its NAT promised.
pub(super) fn shape_of(ports: &Ports) -> Option<Shape> {
    match *ports {
        Ports::Fixed(_) => Some(Shape::Fixed),
        Ports::Sequence { step, .. } => (step != 0).then_some(Shape::Sequence),
        Ports::Range { first, last, .. } => (first <= last).then_some(Shape::Range {
            wide: last - first >= BLOCK,
        }),
        Ports::Unknown | Ports::Busy => None,
    }
}

/// What two shapes can do together; `None` is for the relay.
pub(super) fn kind(a: Shape, b: Shape) -> Option<Kind> {
    use Shape::{Fixed, Preserved, Range, Sequence};
    match (a, b) {
        (Fixed, Fixed) => Some(Kind::Fresh),
        (Fixed, Range { wide }) | (Range { wide }, Fixed) => Some(Kind::Birthday { wide }),
        (Fixed | Preserved | Sequence, Fixed | Preserved | Sequence) => Some(Kind::Predict),
        // A port on either side must be hit by the very packet that opens it: some 170,000 packets
        // from each. Even against a block or a sequence it would take thousands.
        (Range { .. }, Preserved | Sequence | Range { .. })
        | (Preserved | Sequence, Range { .. }) => None,
    }
}

/// Sockets that a side of this shape opens in a round of this kind.
pub(super) fn sockets(shape: Shape, kind: Kind) -> u16 {
    match (kind, shape) {
        (Kind::Fresh, _) | (_, Shape::Preserved) => 1,
        (_, Shape::Fixed) => 0,
        (_, Shape::Sequence) => SEQUENCE_SOCKETS,
        (_, Shape::Range { wide: true }) => RANDOM_SOCKETS,
        (_, Shape::Range { wide: false }) => BLOCK_SOCKETS,
    }
}

/// Sockets of those that ask the server how they are seen.
pub(super) fn samples(shape: Shape) -> usize {
    match shape {
        Shape::Fixed => 1,
        Shape::Sequence => 4,
        Shape::Preserved | Shape::Range { .. } => 0,
    }
}

/// This side's part of a round, for its own shape and where the other side says it is.
pub(super) fn plan(mine: Shape, theirs: &Ports) -> Option<Plan> {
    kind(mine, shape_of(theirs)?)?;
    match (mine, *theirs) {
        (_, Ports::Fixed(target)) => Some(Plan::Open { target }),
        (
            Shape::Fixed,
            Ports::Sequence {
                ip,
                next,
                step,
                drift,
            },
        ) => Some(Plan::Probe {
            ip,
            ports: Candidates::around(next, step, drift, SEQUENCE_SOCKETS),
        }),
        (
            _,
            Ports::Sequence {
                ip,
                next,
                step,
                drift,
            },
        ) => Some(Plan::Open {
            target: SocketAddr::new(ip, meeting_port(next, step, drift)),
        }),
        (Shape::Fixed, Ports::Range { ip, first, last }) => Some(Plan::Probe {
            ip,
            ports: Candidates::within(first, last),
        }),
        (_, Ports::Range { .. } | Ports::Unknown | Ports::Busy) => None,
    }
}

/// The one port that a side with a sequence surely takes in a round: as far behind the next as
/// others may have come between, and then some.
pub(super) fn meeting_port(next: u16, step: i16, drift: u16) -> u16 {
    let ahead = drift
        .saturating_mul(2)
        .saturating_add(8)
        .min(SEQUENCE_SOCKETS * 3 / 4);
    super::ports::ahead(next, step, ahead)
}

/// Whether plain checks cannot join the two, as far as is known: then a search need not wait for them
/// to fail.
pub(super) fn is_needed(a: NatClass, b: NatClass) -> bool {
    let moves = |nat: NatClass| match nat.mapping {
        Some(Behaviour::AddressDependent | Behaviour::AddressAndPortDependent) => true,
        Some(Behaviour::EndpointIndependent) | None => false,
    };
    let exact = |nat: NatClass| nat.filtering == Some(Behaviour::AddressAndPortDependent);
    // A NAT that moves the port needs the other to let a new one in, at the address it has sent to.
    let stuck = |a: NatClass, b: NatClass| moves(a) && (exact(b) || moves(b));
    stuck(a, b) || stuck(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Shape::{Fixed, Preserved, Range, Sequence};

    const RANDOM: Shape = Range { wide: true };
    const BLOCK: Shape = Range { wide: false };

    #[test]
    fn what_can_be_done_does_not_depend_on_who_asks() {
        let shapes = [Fixed, Preserved, Sequence, RANDOM, BLOCK];
        for a in shapes {
            for b in shapes {
                assert_eq!(kind(a, b), kind(b, a), "{a:?} with {b:?}");
            }
        }
    }

    #[test]
    fn random_ports_are_searched_for_from_a_fixed_one_only() {
        for other in [Preserved, Sequence, RANDOM, BLOCK] {
            assert_eq!(kind(RANDOM, other), None);
            assert_eq!(kind(BLOCK, other), None);
        }
        assert_eq!(kind(RANDOM, Fixed), Some(Kind::Birthday { wide: true }));
        assert_eq!(kind(Fixed, BLOCK), Some(Kind::Birthday { wide: false }));
    }

    #[test]
    fn two_sequences_meet_at_ports_that_both_surely_take() {
        let target = |next, step, drift| match plan(
            Sequence,
            &Ports::Sequence {
                ip: [192, 0, 2, 1].into(),
                next,
                step,
                drift,
            },
        ) {
            Some(Plan::Open { target }) => target.port(),
            other => panic!("{other:?}"),
        };
        assert_eq!(target(4000, 1, 0), 4008);
        assert_eq!(target(4000, -2, 1), 3980);
        assert_eq!(target(4000, 1, u16::MAX), 4000 + SEQUENCE_SOCKETS * 3 / 4);
    }

    #[test]
    fn plain_checks_are_given_up_early_only_where_both_nats_are_known_to_be_in_the_way() {
        use Behaviour::{AddressAndPortDependent as Exact, EndpointIndependent as Any};
        let nat = |mapping, filtering| NatClass {
            mapping,
            filtering,
            ..NatClass::default()
        };
        let strict = nat(Some(Any), Some(Exact));
        let symmetric = nat(Some(Exact), Some(Exact));
        assert!(is_needed(strict, symmetric));
        assert!(is_needed(symmetric, strict));
        assert!(is_needed(symmetric, symmetric));
        assert!(!is_needed(strict, strict));
        assert!(!is_needed(nat(Some(Any), Some(Any)), symmetric));
        assert!(!is_needed(symmetric, NatClass::default()));
    }
}
