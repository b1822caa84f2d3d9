//! Searches for a port, class against class.

use std::time::Duration;

use gimlet_proto::traversal::{Event, SearchEnd, Strategy};
use gimlet_sim::{Allocation, Filtering, Mapping, NatConfig, Site};

use super::world::{ACCEPTOR, DIALER, Plan};

fn strict() -> Site {
    Site::behind_nat(NatConfig::strict())
}

fn moving(mapping: Mapping, allocation: Allocation) -> Site {
    let filtering = Filtering::AddressAndPortDependent;
    Site::behind_nat(NatConfig::new(mapping, filtering, allocation))
}

fn symmetric(allocation: Allocation) -> Site {
    moving(Mapping::AddressAndPortDependent, allocation)
}

fn plan(seed: u64, dialer: Site, acceptor: Site) -> Plan {
    Plan {
        delay: Duration::from_millis(40),
        search: true,
        ..Plan::new(seed, dialer, acceptor)
    }
}

/// Plays `trials` worlds; returns when each was direct, if ever.
fn play(trials: u64, plan: impl Fn(u64) -> Plan) -> Vec<Option<Duration>> {
    let played = (0..trials).map(|seed| {
        let world = plan(seed).play();
        world.is_direct().then(|| world.direct_at(DIALER)).flatten()
    });
    played.collect()
}

fn within(times: &[Option<Duration>], limit: Duration) -> usize {
    times.iter().flatten().filter(|at| **at <= limit).count()
}

#[test]
fn a_strict_site_meets_one_whose_next_ports_can_be_told_within_three_seconds() {
    let allocations = [
        Allocation::Sequential { step: 1 },
        Allocation::Sequential { step: 4 },
        Allocation::Preserving,
        Allocation::RandomBlock { size: 1024 },
    ];
    for mapping in [Mapping::AddressDependent, Mapping::AddressAndPortDependent] {
        for allocation in allocations {
            let times = play(20, |seed| plan(seed, strict(), moving(mapping, allocation)));
            let back = play(20, |seed| plan(seed, moving(mapping, allocation), strict()));
            for times in [times, back] {
                let met = within(&times, Duration::from_secs(3));
                assert_eq!(met, 20, "{mapping:?} {allocation:?}: {times:?}");
            }
        }
    }
}

#[test]
fn a_strict_site_meets_one_with_random_ports_within_twenty_seconds() {
    let random = || symmetric(Allocation::Random);
    let there = play(30, |seed| plan(seed, strict(), random()));
    let back = play(30, |seed| plan(seed, random(), strict()));
    for times in [there, back] {
        assert_eq!(within(&times, Duration::from_secs(20)), 30, "{times:?}");
    }
}

#[test]
fn two_sequences_meet_with_others_below_the_same_nats() {
    let sequential = || symmetric(Allocation::Sequential { step: 1 });
    let times = play(40, |seed| Plan {
        neighbours: 5,
        ..plan(seed, sequential(), sequential())
    });
    assert!(within(&times, Duration::from_secs(10)) >= 39, "{times:?}");
}

#[test]
fn the_path_is_named_by_how_it_was_found() {
    for (allocation, found_by) in [
        (Allocation::Sequential { step: 1 }, Strategy::Predicted),
        (Allocation::RandomBlock { size: 1024 }, Strategy::Birthday),
        (Allocation::Random, Strategy::Birthday),
    ] {
        // Some of the probes hit what the plain checks of the other side had opened.
        for seed in 0..30 {
            let there = plan(seed, strict(), symmetric(allocation));
            let back = plan(seed, symmetric(allocation), strict());
            for world in [there.play(), back.play()] {
                for who in [DIALER, ACCEPTOR] {
                    let outcome = world.outcome(who);
                    let named = (outcome.strategy, outcome.search.strategy);
                    assert_eq!(
                        named,
                        (Some(found_by), Some(found_by)),
                        "seed {seed}, {who}"
                    );
                    assert!(outcome.search.ended.is_none() && outcome.search.packets > 0);
                }
            }
        }
    }
}

#[test]
fn random_against_random_stays_relayed_without_a_single_search_packet() {
    let random = || symmetric(Allocation::Random);
    let world = plan(1, random(), random()).play();
    assert!(!world.is_direct());
    for who in [DIALER, ACCEPTOR] {
        let search = world.outcome(who).search;
        assert_eq!((search.packets, search.rounds), (0, 0));
    }
    let why = world.outcome(DIALER).search.ended;
    assert_eq!(why, Some(SearchEnd::Infeasible));
}

#[test]
fn what_plain_checks_join_is_not_searched_for() {
    let world = plan(1, strict(), strict()).play();
    assert!(world.is_direct());
    let searched = |(_, event): &(Duration, Event)| {
        matches!(event, Event::SearchWanted | Event::OpenSockets { .. })
    };
    assert!(!world.peers[DIALER].events.iter().any(searched));
}

#[test]
fn a_port_that_an_early_check_took_from_its_owner_is_replaced_by_a_fresh_one() {
    let grudging = || {
        Site::behind_nat(NatConfig {
            early_probe_moves_mapping: true,
            allocation: Allocation::Random,
            ..NatConfig::strict()
        })
    };
    let times = play(20, |seed| Plan {
        hold: false,
        ..plan(seed, grudging(), grudging())
    });
    assert_eq!(within(&times, Duration::from_secs(5)), 20, "{times:?}");
}
