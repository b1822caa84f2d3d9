//! Which cells are played, and how pairs are written.

use super::*;
use crate::lab::oracle::expected;

#[test]
fn a_pair_is_written_as_two_sites() {
    let pair: Pair = "open, strict".parse().unwrap();
    assert_eq!(
        pair,
        Pair {
            a: Site::Open,
            b: Site::Strict
        }
    );
    assert_eq!("symmetric,none".parse::<Pair>().unwrap().a, Site::Strict);
    for wrong in ["", "open", "open,nowhere", "lan,open", "none,hairpin"] {
        assert!(wrong.parse::<Pair>().is_err(), "{wrong:?}");
    }
    assert!("lan,lan".parse::<Pair>().is_ok());
}

#[test]
fn the_plan_has_no_cell_twice_and_the_whole_square() {
    let pairs = all();
    let unique: BTreeSet<_> = pairs.iter().collect();
    assert_eq!(unique.len(), pairs.len());
    assert!(
        SQUARE
            .iter()
            .all(|&a| SQUARE.iter().all(|&b| unique.contains(&Pair { a, b })))
    );
}

#[test]
fn every_planned_pair_can_also_be_asked_for_by_name() {
    for pair in all() {
        let text = format!("{},{}", pair.a.name(), pair.b.name());
        assert_eq!(text.parse::<Pair>().unwrap(), pair);
    }
}

#[test]
fn only_what_no_sending_can_join_is_expected_to_stay_relayed() {
    let relayed: Vec<_> = all()
        .into_iter()
        .filter(|&pair| expected(pair) == Path::Relay)
        .map(Pair::name)
        .collect();
    assert_eq!(
        relayed,
        [
            "moderate-strict",
            "strict-moderate",
            "strict-strict",
            "firewall-strict",
            "double-strict",
            "moderate-carrier",
            "server-only-none",
            "moderate-server-only",
            "ipv6-moderate",
            "shared-shared",
            "moderate-upnp",
            "upnp-strict",
            "upnp-carrier-strict",
            "blocked-none",
            "strict-blocked",
            "blocked-blocked",
            "proxied-none",
            "strict-proxied",
            "blocked-proxied",
        ]
    );
}
