//! Tables for ranking, preference and naming.

use super::*;
use CandidateKind::{Host, Mapped, PeerReflexive, ServerReflexive};

fn candidate(kind: CandidateKind, addr: &str) -> Candidate {
    Candidate {
        kind,
        addr: addr.parse().unwrap(),
    }
}

fn at_home() -> Vec<Candidate> {
    vec![
        candidate(Host, "192.168.1.2:7000"),
        candidate(Host, "[2001:db8:1::2]:7000"),
        candidate(ServerReflexive, "203.0.113.1:40000"),
        candidate(Mapped, "203.0.113.1:50000"),
    ]
}

#[test]
fn paths_are_tried_from_the_nearest_to_the_farthest() {
    let rank = |kind, addr: &str| Rank::of(kind, addr.parse().unwrap(), &at_home());
    let table = [
        (rank(Host, "192.168.1.9:7000"), Rank::SameNetwork),
        (rank(PeerReflexive, "192.168.1.9:7000"), Rank::SameNetwork),
        (rank(Host, "127.0.0.1:7000"), Rank::SameNetwork),
        (rank(Host, "[2001:db8:1::9]:7000"), Rank::SameNetwork),
        (rank(Host, "[2001:db8:2::9]:7000"), Rank::Ipv6),
        (rank(PeerReflexive, "[2001:db8:2::9]:7000"), Rank::Ipv6),
        (rank(Host, "198.51.100.9:7000"), Rank::Public),
        (rank(ServerReflexive, "198.51.100.9:7000"), Rank::Reflexive),
        (rank(Mapped, "198.51.100.9:7000"), Rank::Mapped),
        (
            rank(PeerReflexive, "198.51.100.9:7000"),
            Rank::PeerReflexive,
        ),
        (rank(Host, "10.1.2.3:7000"), Rank::Private),
        (rank(Host, "100.64.2.3:7000"), Rank::Private),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
    assert!(table.windows(2).all(|w| w[0].1 <= w[1].1));
}

#[test]
fn a_path_gives_way_only_to_a_clearly_better_one() {
    use Rank::{Ipv6, Private, Reflexive, SameNetwork};
    let ms = |n| Some(Duration::from_millis(n));
    let (young, old) = (Duration::ZERO, DWELL);
    let table = [
        // A path in the same network wins at once, even if it is a little slower.
        ((Reflexive, ms(1)), (SameNetwork, ms(1)), young, true),
        ((Reflexive, ms(3)), (SameNetwork, ms(5)), young, true),
        ((Reflexive, ms(3)), (SameNetwork, ms(30)), old, false),
        // Kinds that differ little do not cause a change by themselves.
        ((Reflexive, ms(20)), (Ipv6, ms(20)), old, false),
        ((Reflexive, ms(20)), (Private, ms(20)), old, false),
        // A better round-trip time must be clearly better, and the path held for a while.
        ((Reflexive, ms(40)), (Reflexive, ms(36)), old, false),
        ((Reflexive, ms(40)), (Reflexive, ms(25)), young, false),
        ((Reflexive, ms(40)), (Reflexive, ms(25)), old, true),
        ((Reflexive, ms(200)), (Reflexive, ms(170)), old, false),
        ((Reflexive, ms(200)), (Reflexive, ms(150)), old, true),
        // What was never measured does not win.
        ((Reflexive, ms(400)), (SameNetwork, None), old, false),
    ];
    for (current, challenger, held, expected) in table {
        let found = is_better(current, challenger, held);
        assert_eq!(found, expected, "{current:?} against {challenger:?}");
    }
}

#[test]
fn no_two_paths_are_each_better_than_the_other() {
    let all: Vec<_> = [
        Rank::SameNetwork,
        Rank::Ipv6,
        Rank::Reflexive,
        Rank::Private,
    ]
    .into_iter()
    .flat_map(|rank| [0, 1, 5, 9, 20, 40, 100, 400].map(|n| (rank, Some(Duration::from_millis(n)))))
    .collect();
    for &a in &all {
        for &b in &all {
            assert!(
                !(is_better(a, b, DWELL) && is_better(b, a, DWELL)),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn a_strategy_is_the_harder_of_both_ends() {
    let named = |kind, remote: &str, mapped: &str| {
        let rank = Rank::of(kind, remote.parse().unwrap(), &at_home());
        strategy(kind, rank, Some(mapped.parse().unwrap()), &at_home())
    };
    let seen = "203.0.113.1:40000";
    let table = [
        (
            named(Host, "192.168.1.9:1", "192.168.1.2:7000"),
            Strategy::Host,
        ),
        (
            named(Host, "[2001:db8:2::9]:1", "[2001:db8:1::2]:7000"),
            Strategy::Ipv6,
        ),
        (
            named(ServerReflexive, "198.51.100.9:1", seen),
            Strategy::Reflexive,
        ),
        (named(Host, "198.51.100.9:1", seen), Strategy::Reflexive),
        (
            named(Host, "198.51.100.9:1", "203.0.113.1:50000"),
            Strategy::Mapped,
        ),
        (named(Mapped, "198.51.100.9:1", seen), Strategy::Mapped),
        (
            named(PeerReflexive, "198.51.100.9:1", seen),
            Strategy::PeerReflexive,
        ),
        (
            named(Host, "198.51.100.9:1", "203.0.113.1:41234"),
            Strategy::PeerReflexive,
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, Some(expected));
    }
    assert_eq!(strategy(Host, Rank::Relay, None, &[]), None);
}
