//! Counting attempts, and the bounds of the table.

use super::*;
use crate::candidate::{Allocation, Behaviour, NatClass};
use crate::message::Stats;
use crate::stats::StageTimes;
use crate::traversal::{Reason, Stage as FailedStage};
use crate::wire::{MAX_RECORD, encode};

const STRICT: NatClass = NatClass {
    mapping: Some(Behaviour::EndpointIndependent),
    filtering: Some(Behaviour::AddressAndPortDependent),
    allocation: None,
    hairpin: None,
};

const RANDOM: NatClass = NatClass {
    mapping: Some(Behaviour::AddressAndPortDependent),
    filtering: Some(Behaviour::AddressAndPortDependent),
    allocation: Some(Allocation::Random),
    hairpin: None,
};

const FAILURE: Failure = Failure {
    stage: FailedStage::Checks,
    reason: Reason::NothingArrived,
};

fn direct(direct_ms: u32) -> Attempt {
    Attempt {
        nat_local: STRICT,
        nat_remote: STRICT,
        strategy: Some(Strategy::Reflexive),
        times: StageTimes {
            introduced_ms: Some(80),
            connected_ms: Some(80),
            answered_ms: Some(direct_ms),
            direct_ms: Some(direct_ms),
            confirmed_ms: Some(direct_ms + 20),
        },
        packets: 3,
        ..Attempt::default()
    }
}

fn relayed() -> Attempt {
    Attempt {
        nat_local: STRICT,
        nat_remote: RANDOM,
        failure: Some(FAILURE),
        times: StageTimes {
            introduced_ms: Some(80),
            connected_ms: Some(80),
            ..StageTimes::default()
        },
        packets: 40,
        ..Attempt::default()
    }
}

#[test]
fn every_count_has_the_attempts_it_is_a_share_of() {
    let mut table = Table::default();
    (0..3).for_each(|_| table.add(&direct(120)));
    table.add(&relayed());
    let all = table.summary();
    assert_eq!(all.all.attempts, 4);
    assert_eq!(all.all.stage(Reached::Connected).count, 4);
    assert_eq!(all.all.stage(Reached::Direct).count, 3);
    assert_eq!(all.all.stage(Reached::Confirmed).count, 3);
    let kinds = |pair: &PairRow| (pair.local, pair.remote, pair.row.attempts);
    assert_eq!(
        all.pairs.iter().map(kinds).collect::<Vec<_>>(),
        [
            (NatKind::Strict, NatKind::Strict, 3),
            (NatKind::Strict, NatKind::Random, 1)
        ]
    );
    assert_eq!(all.strategies[0].count, 3);
    assert_eq!(
        all.failures,
        [FailureRow {
            failure: FAILURE,
            count: 1
        }]
    );
}

#[test]
fn an_attempt_that_was_left_early_is_neither_a_success_nor_a_failure() {
    let mut table = Table::default();
    table.add(&Attempt {
        failure: None,
        ..relayed()
    });
    let summary = table.summary();
    assert_eq!((summary.all.attempts, summary.all.left), (1, 1));
    assert!(summary.failures.is_empty());
    assert_eq!(summary.all.stage(Reached::Direct).count, 0);
}

#[test]
fn times_are_those_of_the_attempts_that_got_there() {
    let mut table = Table::default();
    (1..=100).for_each(|n| table.add(&direct(n * 10)));
    (0..100).for_each(|_| table.add(&relayed()));
    let direct = table.summary().all.stage(Reached::Direct).ms;
    let (p50, p95) = (direct.p50.unwrap(), direct.p95.unwrap());
    assert!((500..=625).contains(&p50), "{p50}");
    assert!((950..=1188).contains(&p95), "{p95}");
}

#[test]
fn the_fullest_table_fits_into_one_record() {
    let mut table = Table::default();
    let mappings = [
        None,
        Some(Behaviour::EndpointIndependent),
        Some(Behaviour::AddressDependent),
        Some(Behaviour::AddressAndPortDependent),
    ];
    let allocations = [
        None,
        Some(Allocation::Preserving),
        Some(Allocation::Sequential),
        Some(Allocation::Random),
        Some(Allocation::RandomBlock),
    ];
    let mut classes = Vec::new();
    for mapping in mappings {
        for filtering in mappings {
            for allocation in allocations {
                classes.push(NatClass {
                    mapping,
                    filtering,
                    allocation,
                    hairpin: None,
                });
            }
        }
    }
    for &nat_local in &classes {
        for &nat_remote in &classes {
            table.add(&Attempt {
                nat_local,
                nat_remote,
                ..direct(100)
            });
        }
    }
    let summary = table.summary();
    assert_eq!(summary.pairs.len(), NatKind::ALL.len().pow(2));
    let record = Stats {
        id: 1,
        counted_s: 1,
        summary,
    };
    let length = encode(&crate::message::ToPeer::from(record)).len();
    assert!(length < MAX_RECORD / 2, "{length}");
}
