//! What a lab run shows: a table as it goes, a summary, the logs of what failed, a JSON file.

use std::path::Path as FilePath;
use std::process::ExitCode;
use std::time::Instant;

use anstyle::Style;
use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use super::cell::Outcome;
use super::moving::Moved;
use super::plan::Path;
use super::site::Site;
use super::tun::{Spot, Timing};
use super::{Part, oracle, plan, tun};
use crate::term::{BAD, Column, DIM, GOOD, HEAD, NOTE, paint, row};

/// Lines shown of each log of a failed cell. The whole file is named too.
const LOG_LINES: usize = 40;

const COLUMNS: [Column; 10] = [
    text(14),
    text(18),
    text(6),
    text(14),
    number(8),
    number(10),
    number(10),
    number(9),
    text(8),
    number(6),
];
const TITLES: [&str; 10] = [
    "from",
    "to",
    "path",
    "strategy",
    "sign-in",
    "connected",
    "direct",
    "bench",
    "transfer",
    "took",
];

const MOVED_COLUMNS: [Column; 6] = [
    text(18),
    text(14),
    number(9),
    number(9),
    number(9),
    number(7),
];
const MOVED_TITLES: [&str; 6] = ["event", "both at", "back in", "at most", "verified", "took"];

const fn text(width: usize) -> Column {
    Column {
        width,
        right: false,
    }
}

const fn number(width: usize) -> Column {
    Column { width, right: true }
}

/// Collects the outcomes of a run and prints them.
pub(crate) struct Report {
    runs: usize,
    started: Instant,
    outcomes: Vec<Outcome>,
    moved: Vec<Moved>,
    timed: Vec<Timing>,
}

impl Report {
    /// An empty report of `runs` runs.
    pub(crate) fn new(runs: usize) -> Self {
        Self {
            runs,
            started: Instant::now(),
            outcomes: Vec::new(),
            moved: Vec::new(),
            timed: Vec::new(),
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
        anstream::println!(
            "{}",
            row(&COLUMNS, &TITLES.map(|title| (HEAD, title.to_owned())))
        );
    }

    /// Prints one cell's row, with what is wrong below it, and keeps it.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        anstream::println!("{}", row(&COLUMNS, &cells(outcome)));
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
            anstream::println!(
                "{}",
                row(
                    &MOVED_COLUMNS,
                    &MOVED_TITLES.map(|title| (HEAD, title.to_owned()))
                )
            );
        }
        anstream::println!("{}", row(&MOVED_COLUMNS, &moved_cells(moved)));
        if let Some(failure) = &moved.failure {
            anstream::println!("  {}", paint(BAD, format!("✗ {failure}")));
        }
        self.moved.push(moved.clone());
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
            "timed": self.timed,
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
        let (all, failed) = (self.outcomes.len() + self.moved.len(), self.failed());
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
    }
}

fn cells(outcome: &Outcome) -> [(Style, String); 10] {
    let plain = Style::new();
    let path = outcome.word("path").to_owned();
    let path_style = match outcome.expected.path {
        expected if path != expected.word() => BAD,
        Path::Direct => GOOD,
        Path::Relay => NOTE,
    };
    let ms = |key| {
        (
            plain,
            outcome
                .ms(key)
                .map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
        )
    };
    let rate = outcome.bench["mib_per_s"].as_f64();
    let transfer = match outcome.verified_bytes {
        Some(_) => (GOOD, "verified".to_owned()),
        None => (BAD, "failed".to_owned()),
    };
    [
        (plain, outcome.a.to_owned()),
        (plain, outcome.b.to_owned()),
        (path_style, path),
        (plain, outcome.word("strategy").to_owned()),
        ms("sign_in_ms"),
        ms("connected_ms"),
        ms("direct_ms"),
        (
            plain,
            rate.map_or("-".to_owned(), |rate| format!("{rate:.0} MiB/s")),
        ),
        transfer,
        (DIM, format!("{:.1} s", outcome.elapsed_ms as f64 / 1000.0)),
    ]
}

fn moved_cells(moved: &Moved) -> [(Style, String); 6] {
    let plain = Style::new();
    let style = if moved.failure.is_none() { GOOD } else { BAD };
    let ms = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let verified = moved.verified_bytes.map_or("-".to_owned(), mib);
    [
        (plain, moved.event.describe().to_owned()),
        (plain, moved.site.to_owned()),
        (style, ms(moved.back_ms)),
        (DIM, ms(Some(moved.limit_ms))),
        (plain, verified),
        (DIM, format!("{:.1} s", moved.elapsed_ms as f64 / 1000.0)),
    ]
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

/// Prints the end of every log of a failed cell, and of the server's.
pub(crate) fn show_logs(folders: &[&FilePath]) -> anyhow::Result<()> {
    for folder in folders {
        let mut files: Vec<_> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        files.sort();
        for file in files {
            let text = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
            let lines: Vec<_> = text.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            anstream::println!("  {}", paint(HEAD, file.display()));
            for line in tail {
                anstream::println!("  {} {line}", paint(DIM, "│"));
            }
        }
    }
    Ok(())
}

/// Prints the sites, and the pairs of a full run with the path each must get.
pub(crate) fn list() -> anyhow::Result<()> {
    anstream::println!("{}", paint(HEAD, "sites, kernel NATs"));
    for site in Site::value_variants() {
        anstream::println!("  {:<15} {}", site.name(), site.describe());
    }
    anstream::println!("{}", paint(HEAD, "sites, simulated NATs"));
    for spot in Spot::value_variants() {
        anstream::println!("  {:<15} {}", spot.name(), spot.describe());
    }
    anstream::println!("{}", paint(HEAD, "pairs of a full run"));
    let kernel = plan::all().into_iter();
    let kernel = kernel.map(|pair| (pair.a.name(), pair.b.name(), Ok(oracle::expect(pair))));
    let tun = tun::all().into_iter();
    let tun = tun.map(|pair| (pair.a.name(), pair.b.name(), tun::expect(pair)));
    for (a, b, expect) in kernel.chain(tun) {
        let expect = expect?;
        let style = match expect.path {
            Path::Direct => GOOD,
            Path::Relay => NOTE,
        };
        let path = paint(style, expect.path.word());
        let within = expect
            .within_ms
            .map(|ms| format!(" within {} s", ms / 1000));
        anstream::println!(
            "  {:<28} {path}{}",
            format!("{a},{b}"),
            within.unwrap_or_default()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
