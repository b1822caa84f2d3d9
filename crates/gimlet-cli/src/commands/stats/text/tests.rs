//! What a person sees of any numbers.

use super::*;
use gimlet::stats::{Attempt, NatKind, StageTimes, Table as Counts};
use gimlet::{Failure, Reason, Stage, Strategy};

fn summary() -> Summary {
    let mut counts = Counts::default();
    let mut times = StageTimes {
        introduced_ms: Some(80),
        connected_ms: Some(82),
        ..StageTimes::default()
    };
    let reason = Reason::NoRemoteCandidates;
    let failure = Some(Failure {
        stage: Stage::Candidates,
        reason,
    });
    let relayed = Attempt {
        failure,
        times,
        ..Attempt::default()
    };
    times.direct_ms = Some(120);
    let strategy = Some(Strategy::PeerReflexive);
    let direct = Attempt {
        strategy,
        times,
        ..Attempt::default()
    };
    for attempt in [direct, direct, relayed] {
        counts.asked();
        counts.accepted();
        counts.add(&attempt);
    }
    counts.asked();
    counts.refused(gimlet::RefuseReason::Offline);
    counts.summary()
}

#[test]
fn every_share_names_what_it_is_a_share_of_and_fits_a_terminal() {
    for whose in [Whose::Own, Whose::Server { counted_s: 7200 }] {
        let summary = &summary();
        let text = Tables { whose, summary }.to_string();
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.contains("75.0 % of 4"), "{text}");
        assert!(text.contains("66.6 % of 3"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn large_numbers_and_long_words_fit_a_terminal() {
    let mut summary = summary();
    summary.all.attempts = 99_999;
    for stage in &mut summary.all.stages {
        stage.count = 99_999;
    }
    let pair = &mut summary.pairs[0];
    (pair.local, pair.remote) = (NatKind::DependentOpen, NatKind::DependentOpen);
    pair.row = summary.all;
    pair.row.stages[3].ms.p95 = Some(100_000);
    let whose = Whose::Server { counted_s: 1 };
    let summary = &summary;
    let text = Tables { whose, summary }.to_string();
    let text = anstream::adapter::strip_str(&text).to_string();
    let fits = |line: &str| line.chars().count() <= 80;
    assert!(text.lines().all(fits), "{text}");
}

#[test]
fn a_server_may_say_any_number() {
    let mut summary = summary();
    summary.all.attempts = 1;
    summary.all.stages[1].count = u64::MAX;
    summary.ignored = u64::MAX;
    let whose = Whose::Server {
        counted_s: u64::MAX,
    };
    let summary = &summary;
    let text = Tables { whose, summary }.to_string();
    assert!(text.contains("of 1"), "{text}");
}

#[test]
fn nothing_counted_is_said_in_words() {
    let summary = &Summary::default();
    let text = Tables {
        whose: Whose::Own,
        summary,
    }
    .to_string();
    assert!(text.contains("Nobody has dialled yet."), "{text}");
}

#[test]
fn json_has_a_denominator_in_every_line() {
    for line in crate::commands::stats::line::lines(Whose::Own, &summary()) {
        assert!(line.count <= line.of, "{line:?}");
        let value = serde_json::to_value(&line).unwrap();
        assert!(
            value["of_what"]
                .as_str()
                .is_some_and(|what| !what.is_empty())
        );
    }
}
