//! Which pairs are played, and how they are written.

use std::collections::BTreeSet;

use super::*;
use crate::lab::plan::Path;
use crate::lab::{Site, tun};

#[test]
fn a_pair_is_written_as_two_sites() {
    let pair: Pair = "apdf, random".parse().unwrap();
    let (a, b) = (Spot::Apdf, Spot::Random);
    assert_eq!(pair, Pair { a, b });
    for wrong in ["", "apdf", "apdf,nowhere", "twins,apdf", "eif,twins"] {
        assert!(wrong.parse::<Pair>().is_err(), "{wrong:?}");
    }
}

#[test]
fn no_name_is_also_one_of_the_kernel_part() {
    for spot in Spot::value_variants() {
        assert!(Site::from_str(spot.name(), true).is_err(), "{spot:?}");
        assert_eq!(Spot::from_str(spot.name(), true), Ok(*spot));
    }
}

#[test]
fn the_plan_has_no_pair_twice_and_every_site() {
    let pairs = all();
    let unique: BTreeSet<_> = pairs.iter().collect();
    assert_eq!(unique.len(), pairs.len());
    for spot in Spot::value_variants() {
        assert!(
            pairs.iter().any(|pair| pair.a == *spot || pair.b == *spot),
            "{spot:?}"
        );
    }
}

#[test]
fn plain_checks_join_all_but_the_search_pairs() {
    for pair in all() {
        let plain = tun::plain(pair).unwrap();
        let search = SEARCH.contains(&(pair.a, pair.b));
        assert_eq!(plain == Path::Relay, search, "{pair:?}");
    }
}
