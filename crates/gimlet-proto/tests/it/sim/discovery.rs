//! The prober's verdict agrees with the NAT that was configured, for every class.

use std::time::Duration;

use gimlet_proto::candidate::{Allocation as Found, Behaviour, NatClass};
use gimlet_proto::nat::Report;
use gimlet_sim::{Allocation, Filtering, Mapping, NatConfig};

use super::nat_world::{NatWorld, Outcome, Setup};

const ALLOCATIONS: [Allocation; 5] = [
    Allocation::Preserving,
    Allocation::Sequential { step: 1 },
    Allocation::Sequential { step: 2 },
    Allocation::Random,
    Allocation::RandomBlock { size: 1_024 },
];

/// Every class: 3 mappings, 3 filterings, 5 allocations, with and without hairpinning.
fn classes() -> Vec<NatConfig> {
    let mut all = Vec::new();
    for mapping in Mapping::ALL {
        for filtering in Filtering::ALL {
            for allocation in ALLOCATIONS {
                for hairpin in [false, true] {
                    let config = NatConfig::new(mapping, filtering, allocation);
                    all.push(NatConfig { hairpin, ..config });
                }
            }
        }
    }
    all
}

fn mapping(of: Mapping) -> Behaviour {
    match of {
        Mapping::EndpointIndependent => Behaviour::EndpointIndependent,
        Mapping::AddressDependent => Behaviour::AddressDependent,
        Mapping::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
    }
}

fn filtering(of: Filtering) -> Behaviour {
    match of {
        Filtering::EndpointIndependent => Behaviour::EndpointIndependent,
        Filtering::AddressDependent => Behaviour::AddressDependent,
        Filtering::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
    }
}

fn allocation(of: Allocation) -> Found {
    match of {
        Allocation::Preserving => Found::Preserving,
        Allocation::Sequential { .. } => Found::Sequential,
        Allocation::Random => Found::Random,
        Allocation::RandomBlock { .. } => Found::RandomBlock,
    }
}

/// What two server addresses can tell. Hairpinning shows where a mapping can be known beforehand,
/// or everybody is let in.
fn exact(nat: &NatConfig) -> NatClass {
    let tells = nat.mapping == Mapping::EndpointIndependent
        || nat.filtering == Filtering::EndpointIndependent;
    NatClass {
        mapping: Some(mapping(nat.mapping)),
        filtering: Some(filtering(nat.filtering)),
        allocation: Some(allocation(nat.allocation)),
        hairpin: tells.then_some(nat.hairpin),
    }
}

/// What one address with two ports can tell: not whether another address makes a difference.
fn weaker(nat: &NatConfig) -> NatClass {
    let mapping = match nat.mapping {
        Mapping::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        Mapping::EndpointIndependent | Mapping::AddressDependent => Behaviour::EndpointIndependent,
    };
    let filtering = match nat.filtering {
        Filtering::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        Filtering::EndpointIndependent | Filtering::AddressDependent => Behaviour::AddressDependent,
    };
    NatClass {
        mapping: Some(mapping),
        filtering: Some(filtering),
        ..exact(nat)
    }
}

/// The numbers that go with an allocation.
fn check_ports(report: &Report, nat: &NatConfig, most_drift: u16) {
    let numbers = (report.step, report.drift.is_some(), report.next.is_some());
    match nat.allocation {
        Allocation::Sequential { step } => {
            assert_eq!(numbers, (Some(step as i16), true, true));
            assert!(report.drift <= Some(most_drift), "{:?}", report.drift);
        }
        Allocation::Preserving | Allocation::Random | Allocation::RandomBlock { .. } => {
            assert_eq!(numbers, (None, false, false));
        }
    }
    match nat.allocation {
        Allocation::RandomBlock { size } => {
            let (first, last) = report.block.expect("the block's bounds");
            assert_eq!((first - 1_024) % size, 0, "{first} to {last}, {nat:?}");
            assert_eq!(last - first, size - 1, "{first} to {last}, {nat:?}");
        }
        Allocation::Preserving | Allocation::Random | Allocation::Sequential { .. } => {
            assert_eq!(report.block, None);
        }
    }
}

fn probe_all(
    change: impl Fn(&mut Setup),
    expected: impl Fn(&NatConfig) -> NatClass,
    most_drift: u16,
) -> Vec<Outcome> {
    let classes = classes();
    assert_eq!(classes.len(), 90);
    let mut outcomes = Vec::new();
    for (nth, nat) in classes.into_iter().enumerate() {
        let mut setup = Setup::new(nth as u64 + 1, std::slice::from_ref(&nat));
        change(&mut setup);
        let outcome = NatWorld::new(setup.clone()).probe();
        let report = &outcome.report;
        let mut wanted = expected(&nat);
        // Where one address takes address-dependent mapping for independent, hairpin says what works.
        let guessed = !setup.two_addresses && nat.mapping == Mapping::AddressDependent;
        if guessed
            || (!setup.two_addresses && wanted.mapping != Some(Behaviour::EndpointIndependent))
        {
            wanted.hairpin = report.class.hairpin;
        }
        assert_eq!(report.class, wanted, "{setup:?} {report:?}");
        assert_eq!(report.two_addresses, setup.two_addresses, "{setup:?}");
        assert_eq!(report.translated, Some(true));
        assert!(!report.blocked);
        check_ports(report, &nat, most_drift);
        assert_eq!(outcome.open_at_end, 0);
        assert!(
            outcome.finished <= Duration::from_millis(1_900),
            "{outcome:?}"
        );
        assert!(
            outcome.settled <= Duration::from_millis(1_000),
            "{outcome:?}"
        );
        outcomes.push(outcome);
    }
    outcomes
}

#[test]
fn every_class_is_told_exactly_with_two_server_addresses() {
    let outcomes = probe_all(|_| (), exact, 0);
    // One round trip of 80 ms, then the rest.
    assert!(
        outcomes
            .iter()
            .all(|o| o.first == Some(Duration::from_millis(80)))
    );
    assert!(
        outcomes
            .iter()
            .all(|o| o.settled <= Duration::from_millis(900))
    );
    assert!(
        outcomes.iter().all(|o| o.sent <= 70),
        "{:?}",
        outcomes.iter().map(|o| o.sent).max()
    );
}

#[test]
fn every_class_is_told_as_far_as_one_address_can_tell() {
    probe_all(|setup| setup.two_addresses = false, weaker, 0);
}

#[test]
fn loss_of_two_percent_on_every_link_changes_no_verdict() {
    for round in 0..5 {
        let change = |setup: &mut Setup| {
            setup.loss = 0.02;
            setup.seed += 1_000 * (round + 1);
        };
        probe_all(change, exact, 2);
    }
}

#[test]
fn neighbours_making_mappings_change_no_verdict_and_show_as_drift() {
    let outcomes = probe_all(|setup| setup.cross_traffic = 50, exact, 10);
    let drifts = outcomes.iter().filter_map(|o| o.report.drift);
    assert!(
        drifts.clone().count() == 36 && drifts.min() >= Some(4),
        "5 in a tenth of a second"
    );
}

#[test]
fn long_and_short_ways_to_the_server_change_no_verdict() {
    probe_all(|setup| setup.delay = Duration::ZERO, exact, 0);
    // 300 ms there and back: sampled and filtered in time all the same.
    probe_all(|setup| setup.delay = Duration::from_millis(75), exact, 0);
}

#[test]
fn a_home_router_behind_a_carriers_is_told_as_both_together_and_as_two() {
    let carrier = NatConfig::carrier();
    for inner in [
        NatConfig::strict(),
        NatConfig::open(),
        NatConfig::moderate(),
    ] {
        let report = NatWorld::new(Setup::new(3, &[carrier.clone(), inner]))
            .probe()
            .report;
        assert_eq!(report.class, exact(&carrier));
        assert_eq!(report.double_nat, Some(true));
    }
    let symmetric = NatConfig::symmetric();
    let report = NatWorld::new(Setup::new(3, &[carrier.clone(), symmetric.clone()]))
        .probe()
        .report;
    assert_eq!(report.class.mapping, exact(&symmetric).mapping);
    assert_eq!(report.class.filtering, exact(&symmetric).filtering);
    assert_eq!(report.class.allocation, exact(&carrier).allocation);
    let report = NatWorld::new(Setup::new(3, &[symmetric.clone(), NatConfig::open()]))
        .probe()
        .report;
    assert_eq!(report.class, exact(&symmetric));
    assert_eq!(report.double_nat, None);
}

#[test]
fn a_public_host_has_no_nat() {
    let outcome = NatWorld::new(Setup::new(3, &[])).probe();
    let report = outcome.report;
    assert_eq!(report.translated, Some(false));
    assert_eq!(report.double_nat, Some(false));
    let class = NatClass {
        mapping: Some(Behaviour::EndpointIndependent),
        filtering: Some(Behaviour::EndpointIndependent),
        allocation: Some(Found::Preserving),
        hairpin: None,
    };
    assert_eq!(report.class, class);
}

#[test]
fn silence_is_reported_as_blocked_after_a_second_and_a_half() {
    let mut setup = Setup::new(3, &[NatConfig::strict()]);
    setup.dark = true;
    let outcome = NatWorld::new(setup).probe();
    assert!(outcome.report.blocked);
    assert_eq!(outcome.report.class, NatClass::default());
    assert_eq!(outcome.settled, Duration::from_millis(1_500));
}

#[test]
fn a_server_without_discovery_leaves_filtering_open_and_tells_the_rest() {
    let mut setup = Setup::new(3, &[NatConfig::strict()]);
    setup.plain = true;
    let report = NatWorld::new(setup).probe().report;
    let class = exact(&NatConfig::strict());
    assert_eq!(
        report.class,
        NatClass {
            filtering: None,
            ..class
        }
    );
}

#[test]
fn an_ipv6_firewall_is_told_from_none() {
    for ipv6_firewall in [false, true] {
        let nat = NatConfig {
            ipv6_firewall,
            ..NatConfig::strict()
        };
        let mut setup = Setup::new(3, &[nat]);
        setup.ipv6 = true;
        let report = NatWorld::new(setup).probe().report;
        assert_eq!(report.firewall_v6, Some(ipv6_firewall));
        assert!(report.reflexive_v6.is_some());
    }
}

#[test]
fn the_lifetime_of_a_mapping_is_bracketed_within_three_minutes() {
    for (seconds, expected) in [(5, 0), (25, 20), (30, 20), (65, 60), (125, 120), (300, 170)] {
        for inbound_refreshes in [false, true] {
            for loss in [0.0, 0.02] {
                let nat = NatConfig {
                    mapping_lifetime: Duration::from_secs(seconds),
                    inbound_refreshes,
                    ..NatConfig::symmetric()
                };
                let mut setup = Setup::new(seconds, &[nat]);
                setup.loss = loss;
                let (lifetime, took) = NatWorld::new(setup).lifetime();
                assert_eq!(
                    lifetime,
                    Some(Duration::from_secs(expected)),
                    "{seconds} s, loss {loss}"
                );
                assert!(took < Duration::from_secs(180), "{took:?}");
            }
        }
    }
}

#[test]
fn a_server_that_answers_to_no_other_port_leaves_the_lifetime_open() {
    let mut setup = Setup::new(3, &[NatConfig::strict()]);
    setup.plain = true;
    let (lifetime, took) = NatWorld::new(setup).lifetime();
    assert_eq!(lifetime, None);
    assert!(took < Duration::from_secs(5));
}
