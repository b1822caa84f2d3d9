//! Statistics as JSON: an object a count, each with what it is a share of.

use gimlet::stats::{Reached, Row, Spread, Summary};
use serde::Serialize;

use super::Whose;
use crate::describe;

/// One count.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    /// `"server"` or `"own"`.
    from: &'static str,
    /// Seconds that the server has counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_s: Option<u64>,
    /// `"introduction"`, `"stage"`, `"pair"`, `"strategy"` or `"failure"`.
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_local: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_remote: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pub(super) count: u64,
    pub(super) of: u64,
    /// What `of` counts.
    of_what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_packets: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_packets: Option<u32>,
}

impl Line {
    fn new(whose: Whose, by: &'static str) -> Self {
        let (from, counted_s) = match whose {
            Whose::Server { counted_s } => ("server", Some(counted_s)),
            Whose::Own => ("own", None),
        };
        Self {
            from,
            counted_s,
            by,
            ..Self::default()
        }
    }

    fn share(self, count: u64, of: u64, of_what: &'static str) -> Self {
        Self {
            count,
            of,
            of_what,
            ..self
        }
    }

    fn ms(self, ms: Spread) -> Self {
        Self {
            p50_ms: ms.p50,
            p95_ms: ms.p95,
            ..self
        }
    }

    fn packets(self, packets: Spread) -> Self {
        Self {
            p50_packets: packets.p50,
            p95_packets: packets.p95,
            ..self
        }
    }
}

pub(super) fn lines(whose: Whose, summary: &Summary) -> Vec<Line> {
    let new = |by| Line::new(whose, by);
    let mut lines = Vec::new();
    let introductions = &summary.introductions;
    let accepted = Line {
        stage: Some("accepted"),
        ..new("introduction")
    };
    lines.push(accepted.share(introductions.accepted, introductions.asked, "introductions"));
    for refusal in &introductions.refused {
        let line = Line {
            stage: Some("refused"),
            reason: Some(describe::word(&refusal.reason)),
            ..new("introduction")
        };
        lines.push(line.share(refusal.count, introductions.asked, "introductions"));
    }
    lines.extend(stages(&new("stage"), &summary.all));
    for pair in &summary.pairs {
        let line = Line {
            nat_local: Some(pair.local.name()),
            nat_remote: Some(pair.remote.name()),
            ..new("pair")
        };
        lines.extend(stages(&line, &pair.row));
    }
    let direct = summary.all.stage(Reached::Direct).count;
    for found in &summary.strategies {
        let line = Line {
            strategy: Some(found.strategy.name()),
            ..new("strategy")
        };
        let line = line.share(found.count, direct, "direct paths");
        lines.push(line.ms(found.ms).packets(found.packets));
    }
    for failed in &summary.failures {
        let line = Line {
            stage: Some(failed.failure.stage.name()),
            reason: Some(failed.failure.reason.name().to_owned()),
            ..new("failure")
        };
        lines.push(line.share(failed.count, summary.all.attempts, "attempts"));
    }
    lines
}

fn stages(like: &Line, row: &Row) -> Vec<Line> {
    let line = |stage| Line {
        stage: Some(stage),
        nat_local: like.nat_local,
        nat_remote: like.nat_remote,
        from: like.from,
        counted_s: like.counted_s,
        by: like.by,
        ..Line::default()
    };
    let reached = Reached::ALL.iter().map(|&reached| {
        let stage = row.stage(reached);
        let line = line(reached.name()).share(stage.count, row.attempts, "attempts");
        line.ms(stage.ms)
    });
    let left = line("left").share(row.left, row.attempts, "attempts");
    reached.chain([left.packets(row.packets)]).collect()
}
