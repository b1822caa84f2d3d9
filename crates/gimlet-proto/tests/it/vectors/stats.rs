//! Examples of the messages about statistics.

use gimlet_proto::candidate::NatClass;
use gimlet_proto::message::{AskStats, Outcome, RefuseReason, Stats, ToPeer, ToServer};
use gimlet_proto::secret::SessionId;
use gimlet_proto::stats::{
    Attempt, FailureRow, Introductions, NatKind, PairRow, RefusalRow, Row, Spread, StageRow,
    StageTimes, StrategyRow, Summary,
};
use gimlet_proto::traversal::{Failure, Reason, Stage, Strategy};

use super::messages::{Example, NAT, nat};

const FAILURE: Failure = Failure {
    stage: Stage::Checks,
    reason: Reason::NothingArrived,
};

fn spread(p50: u32, p95: u32) -> Spread {
    Spread {
        p50: Some(p50),
        p95: Some(p95),
    }
}

fn row() -> Row {
    let stage = |count, p50, p95| StageRow {
        count,
        ms: spread(p50, p95),
    };
    Row {
        attempts: 3,
        stages: [
            stage(3, 80, 100),
            stage(3, 81, 101),
            stage(2, 120, 150),
            stage(1, 121, 121),
            StageRow::default(),
        ],
        left: 1,
        packets: spread(4, 43),
    }
}

const ROW: &str = "row: attempts 3; stages count, p50, p95: introduced 3 80 100, connected 3 81 101, \
                   answered 2 120 150, direct 1 121 121, confirmed 0 none none; left 1; packets 4 43";

pub(super) fn to_server() -> Vec<Example<ToServer>> {
    let outcome = Outcome {
        session: SessionId([1, 2, 3, 4, 5, 6, 7, 8]),
        attempt: Attempt {
            nat_local: nat(),
            nat_remote: NatClass::default(),
            strategy: None,
            failure: Some(FAILURE),
            times: StageTimes {
                introduced_ms: Some(80),
                connected_ms: Some(81),
                ..StageTimes::default()
            },
            packets: 43,
        },
    };
    let fields: &[&str] = &[
        "session: 0102030405060708",
        NAT,
        "nat of the other side: nothing known",
        "strategy: none",
        "failure: stage checks, reason nothing-arrived",
        "introduced after 80 ms, connected after 81 ms, no further",
        "packets: 43",
    ];
    vec![
        ("outcome", outcome.into(), fields),
        ("ask_stats", AskStats { id: 4 }.into(), &["id: 4"]),
    ]
}

pub(super) fn to_peer() -> Vec<Example<ToPeer>> {
    let refused = vec![RefusalRow {
        reason: RefuseReason::Offline,
        count: 2,
    }];
    let stats = Stats {
        id: 4,
        counted_s: 3600,
        summary: Summary {
            introductions: Introductions {
                asked: 5,
                accepted: 3,
                refused,
            },
            ignored: 1,
            all: row(),
            pairs: vec![PairRow {
                local: NatKind::Strict,
                remote: NatKind::Random,
                row: row(),
            }],
            strategies: vec![StrategyRow {
                strategy: Strategy::Birthday,
                count: 1,
                ms: spread(121, 121),
                packets: spread(4, 4),
            }],
            failures: vec![FailureRow {
                failure: FAILURE,
                count: 1,
            }],
        },
    };
    vec![(
        "stats",
        stats.into(),
        &[
            "id: 4",
            "counted_s: 3600",
            "introductions: asked 5, accepted 3, refused 1: offline 2",
            "ignored: 1",
            ROW,
            "pairs: 1: strict, random, then the same row",
            "strategies: 1: birthday, count 1, ms 121 121, packets 4 4",
            "failures: 1: stage checks, reason nothing-arrived, count 1",
        ],
    )]
}
