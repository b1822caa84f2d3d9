//! How long it takes, to the millisecond.

use std::time::Duration;

use gimlet_sim::{NatConfig, Site};

use super::world::{ACCEPTOR, DIALER, Plan};

fn strict() -> Site {
    Site::behind_nat(NatConfig::strict())
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn two_strict_sites_20_ms_apart_are_direct_after_120_ms() {
    for hold in [false, true] {
        let mut plan = Plan::new(1, strict(), strict());
        plan.delay = ms(20);
        plan.hold = hold;
        let world = plan.play();
        assert_eq!(world.direct_at(DIALER), Some(ms(120)));
        assert!(world.direct_at(ACCEPTOR).unwrap() <= ms(140));
    }
}

#[test]
fn without_delay_they_are_direct_at_once() {
    let world = Plan::new(1, strict(), strict()).play();
    for who in [DIALER, ACCEPTOR] {
        assert_eq!(world.direct_at(who), Some(ms(0)));
    }
}

#[test]
fn with_two_percent_loss_nineteen_of_twenty_are_direct_within_180_ms() {
    let mut times: Vec<_> = (0..200)
        .map(|seed| {
            let mut plan = Plan::new(seed, strict(), strict());
            plan.delay = ms(20);
            plan.loss = 0.02;
            let world = plan.play();
            assert!(world.is_direct());
            world.direct_at(DIALER).unwrap()
        })
        .collect();
    times.sort();
    assert_eq!(times[100], ms(120));
    assert!(times[190] <= ms(180), "{:?}", times[190]);
    assert!(times[199] <= ms(400), "{:?}", times[199]);
}

#[test]
fn a_side_that_is_seconds_late_is_still_joined() {
    let mut plan = Plan::new(1, strict(), strict());
    plan.delay = ms(3000);
    plan.hold = false;
    let world = plan.play();
    assert!(world.is_direct());
}
