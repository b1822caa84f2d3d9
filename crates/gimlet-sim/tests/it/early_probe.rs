//! A probe that comes before the inside host has sent takes its port away on some routers.

use std::time::Duration;

use gimlet_sim::{Family, NatConfig, Site};

use crate::prober::Prober;

/// One side starts `late` after the other; whether they are joined by answering everything.
fn joined_with_a_late_side(moves: bool, late: Duration) -> bool {
    let linux = NatConfig {
        early_probe_moves_mapping: moves,
        ..NatConfig::strict()
    };
    let site = Site::behind_nat(linux);
    let mut prober = Prober::new(1, &Site::public(), [&site, &site], Family::V4);
    prober.learn();
    prober.exchange(false);
    prober.probe(0);
    let both_at = prober.net.now() + late;
    prober.run(both_at);
    prober.probe_both(true)
}

#[test]
fn an_early_probe_does_no_harm_where_routers_drop_it() {
    assert!(joined_with_a_late_side(false, Duration::from_millis(100)));
}

#[test]
fn an_early_probe_moves_the_mapping_and_plain_sending_fails() {
    assert!(!joined_with_a_late_side(true, Duration::from_millis(100)));
}

#[test]
fn sides_that_start_together_never_see_it() {
    assert!(joined_with_a_late_side(true, Duration::ZERO));
}

#[test]
fn it_is_over_once_the_router_has_forgotten_the_probe() {
    // The announced mappings end as well, but preserving routers give the same ports again.
    assert!(joined_with_a_late_side(true, Duration::from_secs(121)));
}
