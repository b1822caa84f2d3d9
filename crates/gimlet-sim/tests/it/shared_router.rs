//! Hosts and homes behind one router: hairpin and LAN.

use gimlet_sim::{Family, NatConfig, Site, Verdict, oracle_behind_one_router};
use proptest::prelude::*;

use crate::class_table::{any_nat, any_site};
use crate::prober::play;

fn home(hairpin: bool) -> Site {
    Site::behind_nat(NatConfig {
        hairpin,
        ..NatConfig::strict()
    })
}

#[test]
fn two_hosts_of_one_home_meet_outside_only_if_it_hairpins() {
    let hosts = [&Site::public(), &Site::public()];
    assert_eq!(
        play(1, &home(true), hosts, Family::V4, false),
        Verdict::Direct
    );
    assert_eq!(
        play(1, &home(false), hosts, Family::V4, false),
        Verdict::Relay
    );
}

#[test]
fn two_hosts_of_one_home_meet_on_the_lan_whatever_the_router_is() {
    let hosts = [&Site::public(), &Site::public()];
    for nat in [
        NatConfig::open(),
        NatConfig::strict(),
        NatConfig::symmetric(),
    ] {
        let shared = Site::behind_nat(NatConfig {
            hairpin: false,
            ..nat
        });
        assert_eq!(play(1, &shared, hosts, Family::V4, true), Verdict::Direct);
    }
}

#[test]
fn two_homes_behind_one_carrier_meet_only_if_it_hairpins() {
    let homes = [&home(false), &home(false)];
    let carrier = |hairpin| {
        Site::behind_nat(NatConfig {
            hairpin,
            ..NatConfig::carrier()
        })
    };
    assert_eq!(
        play(1, &carrier(true), homes, Family::V4, true),
        Verdict::Direct
    );
    assert_eq!(
        play(1, &carrier(false), homes, Family::V4, true),
        Verdict::Relay
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn hosts_below_one_nat_are_joined_as_the_oracle_says(
        seed: u64,
        shared in any_nat(),
        a in any_site(2),
        b in any_site(2),
    ) {
        let shared = Site::behind_nat(shared);
        let expected = oracle_behind_one_router(&shared, &a, &b, Family::V4);
        let outside = play(seed, &shared, [&a, &b], Family::V4, false);
        prop_assert_eq!(outside, expected.outside);
        let both = play(seed, &shared, [&a, &b], Family::V4, true);
        prop_assert_eq!(both.is_direct(), expected.best().is_direct());
    }

    #[test]
    fn hosts_below_a_shared_chain_are_joined_as_the_oracle_says(
        seed: u64,
        shared in any_site(3),
        a in any_site(2),
        b in any_site(2),
    ) {
        let expected = oracle_behind_one_router(&shared, &a, &b, Family::V4);
        let outside = play(seed, &shared, [&a, &b], Family::V4, false);
        prop_assert_eq!(outside, expected.outside);
        let both = play(seed, &shared, [&a, &b], Family::V4, true);
        prop_assert_eq!(both.is_direct(), expected.best().is_direct());
    }
}
