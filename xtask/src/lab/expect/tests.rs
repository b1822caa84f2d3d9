//! What a search must come to.

use clap::ValueEnum;
use gimlet_sim::Verdict;

use super::*;
use crate::lab::tun::Spot;

fn found(a: Spot, b: Spot) -> Option<Search> {
    between(&a.site(), &b.site())
}

#[test]
fn each_kind_of_symmetric_nat_has_its_own_search() {
    for (spot, search) in [
        (Spot::Random, Search::Birthday),
        (Spot::Block, Search::Block),
        (Spot::Sequential, Search::Sequence),
        (Spot::SequentialTwo, Search::Sequence),
        (Spot::Address, Search::Birthday),
        (Spot::AddressSequential, Search::Sequence),
    ] {
        assert_eq!(found(Spot::Apdf, spot), Some(search), "{spot:?}");
        assert_eq!(found(spot, Spot::Nested), Some(search), "{spot:?}");
    }
}

#[test]
fn two_symmetric_sites_join_only_if_both_count() {
    assert_eq!(
        found(Spot::Sequential, Spot::SequentialTwo),
        Some(Search::BothSequences)
    );
    for other in [Spot::Random, Spot::Block, Spot::Address] {
        assert_eq!(found(Spot::Random, other), None);
        assert_eq!(found(Spot::Sequential, other), None);
    }
}

#[test]
fn what_plain_checks_join_needs_no_search() {
    for &a in Spot::value_variants() {
        for &b in Spot::value_variants() {
            let (site_a, site_b) = (a.site(), b.site());
            let plain = gimlet_sim::oracle(site_a.class(Family::V4), site_b.class(Family::V4));
            if plain != Verdict::Relay {
                assert_eq!(between(&site_a, &site_b), None, "{a:?} {b:?}");
                let expect = Expect::of(Path::Direct, &site_a, &site_b);
                assert_eq!(expect, Expect::plain(Path::Direct));
            }
        }
    }
}
