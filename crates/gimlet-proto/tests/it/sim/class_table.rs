//! Every cell of the class table: direct if and only if the oracle says so.

use std::time::Duration;

use gimlet_proto::traversal::{Event, Strategy as Found};
use gimlet_sim::{
    Allocation, Family, Filtering, FirewallConfig, Mapping, NatConfig, Site, SiteClass, oracle,
};
use proptest::prelude::*;

use super::world::{ACCEPTOR, DIALER, Plan, World, server_addrs};

/// One site of each class.
fn site(class: SiteClass) -> Site {
    let site = match class {
        SiteClass::Open => Site::behind_nat(NatConfig::open()),
        SiteClass::Strict => Site::behind_nat(NatConfig::strict()),
        SiteClass::Symmetric => Site::behind_nat(NatConfig::symmetric()),
        SiteClass::SymmetricOpen => Site::behind_nat(NatConfig::symmetric_open()),
        SiteClass::ServerOnly => Site::behind_firewall(FirewallConfig::udp_only_to(server_addrs())),
        SiteClass::UdpBlocked => Site::behind_firewall(FirewallConfig::block_udp()),
    };
    assert_eq!(site.class(Family::V4), class);
    site
}

fn assert_as_the_oracle_says(plan: Plan) -> World {
    let classes = [DIALER, ACCEPTOR].map(|who| plan.sites[who].class(Family::V4));
    let expected = oracle(classes[0], classes[1]);
    let described = format!("{plan:?}");
    let world = plan.play();
    assert_eq!(world.is_direct(), expected.is_direct(), "{described}");
    for who in [DIALER, ACCEPTOR] {
        let outcome = world.outcome(who);
        let settled = |e: &&(Duration, Event)| matches!(e.1, Event::Settled(_));
        let reports = world.peers[who].events.iter().filter(settled).count();
        assert!(reports >= 1, "an attempt must end: {described}");
        assert_eq!(
            outcome.failure.is_none(),
            expected.is_direct(),
            "{described}"
        );
        assert_eq!(
            outcome.strategy.is_some(),
            expected.is_direct(),
            "{described}"
        );
    }
    world
}

fn cell(dialer: SiteClass, acceptor: SiteClass, delay_ms: u64) {
    for seed in 0..3 {
        let mut plan = Plan::new(seed, site(dialer), site(acceptor));
        plan.delay = Duration::from_millis(delay_ms);
        assert_as_the_oracle_says(plan.clone());
        plan.hold = false;
        assert_as_the_oracle_says(plan);
    }
}

/// One test a cell, without delay and with 20 ms one way.
macro_rules! cells {
    ($($name:ident: $dialer:ident, $acceptor:ident;)*) => {
        $(mod $name {
            use super::{SiteClass, cell};

            #[test]
            fn without_delay() {
                cell(SiteClass::$dialer, SiteClass::$acceptor, 0);
            }

            #[test]
            fn with_20_ms() {
                cell(SiteClass::$dialer, SiteClass::$acceptor, 20);
            }
        })*
    };
}

cells! {
    open_dials_open: Open, Open;
    open_dials_strict: Open, Strict;
    open_dials_symmetric: Open, Symmetric;
    open_dials_symmetric_open: Open, SymmetricOpen;
    open_dials_server_only: Open, ServerOnly;
    open_dials_udp_blocked: Open, UdpBlocked;
    strict_dials_open: Strict, Open;
    strict_dials_strict: Strict, Strict;
    strict_dials_symmetric: Strict, Symmetric;
    strict_dials_symmetric_open: Strict, SymmetricOpen;
    strict_dials_server_only: Strict, ServerOnly;
    strict_dials_udp_blocked: Strict, UdpBlocked;
    symmetric_dials_open: Symmetric, Open;
    symmetric_dials_strict: Symmetric, Strict;
    symmetric_dials_symmetric: Symmetric, Symmetric;
    symmetric_dials_symmetric_open: Symmetric, SymmetricOpen;
    symmetric_dials_server_only: Symmetric, ServerOnly;
    symmetric_dials_udp_blocked: Symmetric, UdpBlocked;
    symmetric_open_dials_open: SymmetricOpen, Open;
    symmetric_open_dials_strict: SymmetricOpen, Strict;
    symmetric_open_dials_symmetric: SymmetricOpen, Symmetric;
    symmetric_open_dials_symmetric_open: SymmetricOpen, SymmetricOpen;
    symmetric_open_dials_server_only: SymmetricOpen, ServerOnly;
    symmetric_open_dials_udp_blocked: SymmetricOpen, UdpBlocked;
    server_only_dials_open: ServerOnly, Open;
    server_only_dials_strict: ServerOnly, Strict;
    server_only_dials_symmetric: ServerOnly, Symmetric;
    server_only_dials_symmetric_open: ServerOnly, SymmetricOpen;
    server_only_dials_server_only: ServerOnly, ServerOnly;
    server_only_dials_udp_blocked: ServerOnly, UdpBlocked;
    udp_blocked_dials_open: UdpBlocked, Open;
    udp_blocked_dials_strict: UdpBlocked, Strict;
    udp_blocked_dials_symmetric: UdpBlocked, Symmetric;
    udp_blocked_dials_symmetric_open: UdpBlocked, SymmetricOpen;
    udp_blocked_dials_server_only: UdpBlocked, ServerOnly;
    udp_blocked_dials_udp_blocked: UdpBlocked, UdpBlocked;
}

#[test]
fn lossy_links_change_the_time_and_not_the_outcome() {
    let classes = &SiteClass::ALL[..4];
    for &dialer in classes {
        for &acceptor in classes {
            for seed in 0..4 {
                let mut plan = Plan::new(seed, site(dialer), site(acceptor));
                plan.delay = Duration::from_millis(20);
                plan.loss = 0.02;
                assert_as_the_oracle_says(plan);
            }
        }
    }
}

#[test]
fn strategies_are_named_after_what_it_took() {
    let table = [
        (SiteClass::Strict, SiteClass::Strict, Found::Reflexive),
        (SiteClass::Open, SiteClass::Symmetric, Found::PeerReflexive),
        (SiteClass::Symmetric, SiteClass::Open, Found::PeerReflexive),
    ];
    for (dialer, acceptor, expected) in table {
        let world = Plan::new(1, site(dialer), site(acceptor)).play();
        for who in [DIALER, ACCEPTOR] {
            assert_eq!(world.outcome(who).strategy, Some(expected));
        }
    }
}

#[test]
fn two_peers_with_the_same_private_address_do_not_take_themselves_for_each_other() {
    for acceptor in [SiteClass::Strict, SiteClass::Symmetric] {
        let mut plan = Plan::new(1, site(SiteClass::Strict), site(acceptor));
        plan.same_private_address = true;
        assert_as_the_oracle_says(plan);
    }
}

fn any_nat() -> impl Strategy<Value = NatConfig> {
    let allocation = prop_oneof![
        Just(Allocation::Preserving),
        Just(Allocation::Sequential { step: 1 }),
        Just(Allocation::Random),
        Just(Allocation::RandomBlock { size: 512 }),
    ];
    (0..3usize, 0..3usize, allocation, any::<bool>()).prop_map(|(m, f, allocation, hairpin)| {
        NatConfig {
            hairpin,
            ..NatConfig::new(Mapping::ALL[m], Filtering::ALL[f], allocation)
        }
    })
}

fn any_site() -> impl Strategy<Value = Site> {
    let layer = prop_oneof![
        8 => any_nat().prop_map(gimlet_sim::Layer::Nat),
        1 => Just(gimlet_sim::Layer::Firewall(FirewallConfig::stateful())),
    ];
    proptest::collection::vec(layer, 0..=3).prop_map(|layers| Site { layers })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_two_sites_are_joined_as_the_oracle_says(
        seed: u64,
        dialer in any_site(),
        acceptor in any_site(),
        delay in 0..40u64,
    ) {
        let classes = [dialer.class(Family::V4), acceptor.class(Family::V4)];
        let mut plan = Plan::new(seed, dialer, acceptor);
        plan.delay = Duration::from_millis(delay / 2 * 2);
        assert_as_the_oracle_says(plan.clone());
        // The oracle lets both sides start together. A side that starts early may open a chain of
        // boxes that would stay shut, but must never lose a path by it.
        plan.hold = false;
        let possible = oracle(classes[0], classes[1]).is_direct();
        prop_assert!(plan.play().is_direct() || !possible);
    }
}
