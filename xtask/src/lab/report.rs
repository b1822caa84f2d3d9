//! What a lab run shows: a table as it goes, a summary, the logs of what failed, a JSON file.

mod list;
mod logs;
mod rows;

use std::path::Path as FilePath;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde_json::json;

use super::Part;
use super::cell::Outcome;
use super::files::Carried;
use super::moving::Moved;
use super::plan::Path;
use super::tun::{Probed, Timing};
use crate::term::{BAD, DIM, GOOD, HEAD, NOTE, paint};
pub(crate) use list::list;
pub(crate) use logs::show_logs;
use rows::{CARRIED, MOVED, PAIRS, PROBED, carried_cells, cells, moved_cells, probed_cells};

/// Collects the outcomes of a run and prints them.
pub(crate) struct Report {
    runs: usize,
    started: Instant,
    outcomes: Vec<Outcome>,
    moved: Vec<Moved>,
    carried: Vec<Carried>,
    timed: Vec<Timing>,
    probed: Vec<Probed>,
}

impl Report {
    /// An empty report of `runs` runs.
    pub(crate) fn new(runs: usize) -> Self {
        Self {
            runs,
            started: Instant::now(),
            outcomes: Vec::new(),
            moved: Vec::new(),
            carried: Vec::new(),
            timed: Vec::new(),
            probed: Vec::new(),
        }
    }

    /// Opens a table: the cells of one run that have something in common.
    pub(crate) fn heading(&self, run: usize, about: &str) {
        let about = paint(NOTE, about);
        if self.runs > 1 {
            let run = paint(HEAD, format!("run {run} of {}", self.runs));
            anstream::println!("\n{about}, {run}");
        } else {
            anstream::println!("\n{about}");
        }
        PAIRS.titles();
    }

    /// Prints one cell's row, with what is wrong below it, and keeps it.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        PAIRS.painted(cells(outcome));
        for failure in &outcome.failures {
            anstream::println!("  {}", paint(BAD, format!("✗ {failure}")));
        }
        self.outcomes.push(outcome.clone());
    }

    /// Prints the row of one transfer that had to survive something, and keeps it. The first
    /// opens the table.
    pub(crate) fn moved(&mut self, moved: &Moved) {
        if self.moved.is_empty() {
            let about = Part::Move.network(0.0);
            anstream::println!("\n{}", paint(NOTE, about));
            MOVED.titles();
        }
        MOVED.painted(moved_cells(moved));
        if let Some(failure) = &moved.failure {
            anstream::println!("  {}", paint(BAD, format!("✗ {failure}")));
        }
        self.moved.push(moved.clone());
    }

    /// Prints the row of one file, and keeps it. The first opens the table.
    pub(crate) fn carried(&mut self, carried: &Carried) {
        if self.carried.is_empty() {
            anstream::println!("\n{}", paint(NOTE, Part::Files.network(0.0)));
            CARRIED.titles();
        }
        CARRIED.painted(carried_cells(carried));
        if let Some(failure) = &carried.failure {
            let failure = format!("✗ {failure} (seed {})", carried.seed);
            anstream::println!("  {}", paint(BAD, failure));
        }
        self.carried.push(carried.clone());
    }

    /// Prints what the prober says of one NAT, and keeps it. The first opens the table.
    pub(crate) fn probed(&mut self, probed: &Probed) {
        if self.probed.is_empty() {
            anstream::println!("\n{}", paint(NOTE, "what whoami says of each NAT"));
            PROBED.titles();
        }
        PROBED.painted(probed_cells(probed));
        if !probed.is_right() {
            let failure = format!("✗ it is {}", probed.must.join(", "));
            anstream::println!("  {}", paint(BAD, failure));
        }
        self.probed.push(probed.clone());
    }

    /// Keeps what was timed, for the summary.
    pub(crate) fn timed(&mut self, timed: Vec<Timing>) {
        self.timed = timed;
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, file: &FilePath) -> anyhow::Result<()> {
        let failed = self.failed();
        let (cells, moved) = (&self.outcomes, &self.moved);
        let all = json!({
            "runs": self.runs,
            "failed": failed,
            "cells": cells,
            "moved": moved,
            "files": self.carried,
            "timed": self.timed,
            "probed": self.probed,
        });
        std::fs::write(file, serde_json::to_vec_pretty(&all)?)
            .with_context(|| format!("{} can't be written", file.display()))
    }

    /// Prints the summary; the exit status says whether everything was as it must be.
    pub(crate) fn close(&self, file: &FilePath) -> ExitCode {
        for part in [Part::Kernel, Part::Tun] {
            self.times(part);
        }
        self.targets();
        anstream::println!("{}", paint(DIM, format!("results in {}", file.display())));
        let (all, failed) = (
            self.outcomes.len() + self.moved.len() + self.carried.len() + self.probed.len(),
            self.failed(),
        );
        let seconds = self.started.elapsed().as_secs_f64();
        if failed == 0 {
            let text = format!("lab: all {all} cells as the oracle says, in {seconds:.0} s");
            anstream::println!("{}", paint(GOOD, text));
            return ExitCode::SUCCESS;
        }
        let text = format!("lab: {failed} of {all} cells failed, in {seconds:.0} s");
        anstream::println!("{}", paint(BAD, text));
        ExitCode::FAILURE
    }

    /// Prints how long things took in one part, a line for each network.
    fn times(&self, part: Part) {
        let mut losses: Vec<f64> = self.of(part).map(|outcome| outcome.loss).collect();
        losses.sort_by(f64::total_cmp);
        losses.dedup();
        for loss in losses {
            anstream::println!("\n{}", paint(NOTE, part.network(loss)));
            for (label, key, only) in [
                ("sign-in, every cell", "sign_in_ms", None),
                ("connected, every cell", "connected_ms", None),
                ("direct, where it must be", "direct_ms", Some(Path::Direct)),
            ] {
                let counts = |outcome: &&Outcome| {
                    outcome.loss == loss && only.is_none_or(|path| outcome.expected.path == path)
                };
                let outcomes = self.of(part).filter(counts);
                let times = outcomes.filter_map(|outcome| outcome.ms(key)).collect();
                if let Some((p50, p95)) = percentiles(times) {
                    anstream::println!("{label:<26} p50 {p50:.1} ms, p95 {p95:.1} ms");
                }
            }
        }
    }

    /// Prints what was timed beside what it may be. A miss fails nothing: the machine may have
    /// had other things to do.
    fn targets(&self) {
        let targets: Vec<_> = self.timed.iter().map(target).collect();
        if let Some(timing) = self.timed.first() {
            let about = format!(
                "strict x strict, 40 ms round trip, {} times",
                timing.attempts
            );
            anstream::println!("\n{}: {}", paint(NOTE, about), targets.join(", "));
        }
    }

    fn of(&self, part: Part) -> impl Iterator<Item = &Outcome> {
        let of = move |outcome: &&Outcome| outcome.part == part;
        self.outcomes.iter().filter(of)
    }

    fn failed(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.failures.is_empty())
            .count()
            + self
                .moved
                .iter()
                .filter(|moved| moved.failure.is_some())
                .count()
            + self
                .carried
                .iter()
                .filter(|carried| carried.failure.is_some())
                .count()
            + self
                .probed
                .iter()
                .filter(|probed| !probed.is_right())
                .count()
    }
}

fn target(timing: &Timing) -> String {
    let met = timing.p50_ms <= timing.target_ms;
    let text = format!("{} p50 {:.0} ms", timing.what, timing.p50_ms);
    let text = paint(if met { GOOD } else { BAD }, text);
    format!("{text} of {:.0}", timing.target_ms)
}

/// The median and the 95th percentile, of nothing nothing.
pub(crate) fn percentiles(mut times: Vec<f64>) -> Option<(f64, f64)> {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let rank = (share * times.len() as f64).ceil() as usize;
        times.get(rank.saturating_sub(1)).copied()
    };
    Some((at(0.5)?, at(0.95)?))
}

#[cfg(test)]
mod tests;
