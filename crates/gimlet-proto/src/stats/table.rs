//! Counts attempts. Bounded by the number of kinds, strategies and reasons there are: some 120 pairs
//! of 2 KB each at most, whoever reports what.

use std::collections::BTreeMap;

use super::attempt::{Attempt, Reached};
use super::histogram::Histogram;
use super::kind::NatKind;
use super::summary::{
    FailureRow, Introductions, PairRow, RefusalRow, Row, Spread, StageRow, StrategyRow, Summary,
};
use crate::message::RefuseReason;
use crate::traversal::{Failure, Strategy};

/// Counts of attempts, from which [`summary`](Self::summary) makes rows. Holds no more than there are
/// sorts of them.
#[derive(Debug, Clone, Default)]
pub struct Table {
    asked: u64,
    accepted: u64,
    refused: BTreeMap<RefuseReason, u64>,
    ignored: u64,
    all: Tally,
    pairs: BTreeMap<(NatKind, NatKind), Tally>,
    strategies: BTreeMap<Strategy, Found>,
    failures: BTreeMap<Failure, u64>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    attempts: u64,
    stages: [Stage; 5],
    left: u64,
    packets: Histogram,
}

#[derive(Debug, Clone, Default)]
struct Stage {
    count: u64,
    ms: Histogram,
}

#[derive(Debug, Clone, Default)]
struct Found {
    count: u64,
    ms: Histogram,
    packets: Histogram,
}

impl Table {
    /// Counts an attempt.
    pub fn add(&mut self, attempt: &Attempt) {
        self.all.add(attempt);
        let pair = [&attempt.nat_local, &attempt.nat_remote].map(NatKind::from);
        self.pairs.entry(pair.into()).or_default().add(attempt);
        if let (Some(strategy), Some(ms)) = (attempt.strategy, attempt.times.direct_ms) {
            let found = self.strategies.entry(strategy).or_default();
            found.count += 1;
            found.ms.add(ms);
            found.packets.add(attempt.packets);
        }
        if let Some(failure) = attempt.failure {
            *self.failures.entry(failure).or_default() += 1;
        }
    }

    /// Counts a report that is not taken.
    pub fn ignore(&mut self) {
        self.ignored += 1;
    }

    /// Counts an introduction asked for.
    pub fn asked(&mut self) {
        self.asked += 1;
    }

    /// Counts an introduction accepted.
    pub fn accepted(&mut self) {
        self.accepted += 1;
    }

    /// Counts an introduction refused.
    pub fn refused(&mut self, reason: RefuseReason) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// What all of it comes to.
    pub fn summary(&self) -> Summary {
        let refused = self.refused.iter();
        let pairs = self.pairs.iter();
        let strategies = self.strategies.iter();
        let failures = self.failures.iter();
        Summary {
            introductions: Introductions {
                asked: self.asked,
                accepted: self.accepted,
                refused: refused
                    .map(|(&reason, &count)| RefusalRow { reason, count })
                    .collect(),
            },
            ignored: self.ignored,
            all: self.all.row(),
            pairs: pairs
                .map(|(&(local, remote), tally)| PairRow {
                    local,
                    remote,
                    row: tally.row(),
                })
                .collect(),
            strategies: strategies
                .map(|(&strategy, found)| StrategyRow {
                    strategy,
                    count: found.count,
                    ms: spread(&found.ms),
                    packets: spread(&found.packets),
                })
                .collect(),
            failures: failures
                .map(|(&failure, &count)| FailureRow { failure, count })
                .collect(),
        }
    }
}

impl Tally {
    fn add(&mut self, attempt: &Attempt) {
        self.attempts += 1;
        for (stage, reached) in self.stages.iter_mut().zip(Reached::ALL) {
            if let Some(ms) = attempt.times.at(reached) {
                stage.count += 1;
                stage.ms.add(ms);
            }
        }
        if !attempt.is_direct() && attempt.failure.is_none() {
            self.left += 1;
        }
        self.packets.add(attempt.packets);
    }

    fn row(&self) -> Row {
        let stage = |stage: &Stage| StageRow {
            count: stage.count,
            ms: spread(&stage.ms),
        };
        Row {
            attempts: self.attempts,
            stages: self.stages.each_ref().map(stage),
            left: self.left,
            packets: spread(&self.packets),
        }
    }
}

fn spread(histogram: &Histogram) -> Spread {
    Spread {
        p50: histogram.percentile(50),
        p95: histogram.percentile(95),
    }
}

#[cfg(test)]
mod tests;
