//! Beyond one box a side: double NAT, one router for both, IPv6, routers that spoil early checks.

use std::time::Duration;

use gimlet_proto::traversal::Strategy;
use gimlet_sim::{FirewallConfig, Layer, NatConfig, Site};

use super::world::{ACCEPTOR, DIALER, Plan, World};

fn strict() -> Site {
    Site::behind_nat(NatConfig::strict())
}

/// Plays a plan and holds it against the network's own oracle.
fn play(plan: Plan) -> World {
    let described = format!("{plan:?}");
    let world = plan.play();
    let [a, b] = [DIALER, ACCEPTOR].map(|who| world.peers[who].host);
    let expected = world.net.verdict(a, b).is_direct();
    assert_eq!(world.is_direct(), expected, "{described}");
    world
}

#[test]
fn double_nats_are_joined_through_both() {
    let double = Site {
        layers: vec![
            Layer::Nat(NatConfig::strict()),
            Layer::Nat(NatConfig::carrier()),
        ],
    };
    for (a, b) in [
        (double.clone(), strict()),
        (strict(), double.clone()),
        (double.clone(), double),
    ] {
        play(Plan::new(1, a, b));
    }
}

#[test]
fn two_hosts_of_one_network_meet_there() {
    let mut plan = Plan::new(1, Site::public(), Site::public());
    plan.shared = strict();
    plan.delay = Duration::from_millis(10);
    let world = play(plan);
    assert!(world.is_direct());
    assert_eq!(world.outcome(DIALER).strategy, Some(Strategy::Host));
}

#[test]
fn two_homes_behind_one_carrier_meet_only_over_its_hairpin() {
    for hairpin in [false, true] {
        let mut plan = Plan::new(1, strict(), strict());
        plan.shared = Site::behind_nat(NatConfig {
            hairpin,
            ..NatConfig::strict()
        });
        let world = play(plan);
        assert_eq!(world.is_direct(), hairpin);
    }
}

#[test]
fn ipv6_joins_what_ipv4_cannot() {
    let symmetric = || Site::behind_nat(NatConfig::symmetric());
    let mut plan = Plan::new(1, symmetric(), symmetric());
    plan.ipv6 = true;
    let world = play(plan.clone());
    assert!(world.is_direct());
    assert_eq!(world.outcome(DIALER).strategy, Some(Strategy::Ipv6));
    plan.ipv4 = false;
    assert!(play(plan).is_direct());
}

#[test]
fn ipv6_is_joined_through_stateful_firewalls() {
    let firewall = || Site::behind_firewall(FirewallConfig::stateful());
    let mut plan = Plan::new(1, firewall(), firewall());
    (plan.ipv4, plan.ipv6) = (false, true);
    assert!(play(plan).is_direct());
}

#[test]
fn holding_checks_back_saves_the_ports_of_routers_that_early_packets_take_them_from() {
    let linux = || {
        Site::behind_nat(NatConfig {
            early_probe_moves_mapping: true,
            ..NatConfig::strict()
        })
    };
    for delay in [0, 2, 20, 80] {
        for hold in [false, true] {
            let mut plan = Plan::new(1, linux(), linux());
            plan.delay = Duration::from_millis(delay);
            plan.hold = hold;
            let direct = plan.play().is_direct();
            assert_eq!(direct, hold || delay == 0, "{delay} ms, hold {hold}");
        }
    }
}

#[test]
fn holding_back_for_one_own_round_trip_is_right_however_far_the_sides_are() {
    let linux = || {
        Site::behind_nat(NatConfig {
            early_probe_moves_mapping: true,
            ..NatConfig::strict()
        })
    };
    for far in [[0, 0], [200, 0], [0, 200], [50, 130], [1, 0], [0, 1]] {
        let mut plan = Plan::new(1, linux(), linux());
        plan.delay = Duration::from_millis(10);
        plan.extra_delay = far.map(Duration::from_millis);
        let world = play(plan);
        assert!(world.is_direct(), "{far:?}");
        // Relayed there and back, then one direct round trip: the floor.
        let [a, b] = far;
        let floor = Duration::from_millis(40 + 2 * (a + b) + 20 + 2 * (a + b));
        assert_eq!(world.direct_at(DIALER), Some(floor), "{far:?}");
    }
}
