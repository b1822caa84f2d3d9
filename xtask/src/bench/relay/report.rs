//! What `cargo xtask bench relay` shows: tables, targets, a JSON file.

use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use anyhow::Context;
use serde::Serialize;

use super::crowd::{self, Crowd};
use super::fairness::Fairness;
use super::forwarding::Case;
use super::targets;
use crate::bench::machine::Machine;
use crate::bench::report::{Target, heading, print_targets};
use crate::term::{BAD, Column, DIM, GOOD, HEAD, paint, row};

/// Collects the parts and prints each as it comes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    quick: bool,
    forwarding: Vec<Case>,
    fairness: Vec<Fairness>,
    crowd: Option<Crowd>,
    targets: Vec<Target>,
}

/// A column of words.
pub(super) const fn text(width: usize) -> Column {
    Column {
        width,
        right: false,
    }
}

/// A column of figures.
pub(super) const fn number(width: usize) -> Column {
    Column { width, right: true }
}

/// Prints one line of a table.
pub(super) fn row_of<const N: usize>(columns: &[Column; N], style: Style, cells: [String; N]) {
    anstream::println!("{}", row(columns, &cells.map(|cell| (style, cell))));
}

impl Report {
    /// An empty one.
    pub(super) fn new(machine: Machine, quick: bool) -> Self {
        Self {
            machine,
            quick,
            forwarding: Vec::new(),
            fairness: Vec::new(),
            crowd: None,
            targets: Vec::new(),
        }
    }

    /// Prints on what it is measured.
    pub(super) fn open(&self) {
        self.machine.print();
    }

    /// Takes the floods.
    pub(super) fn forwarding(&mut self, cases: Vec<Case>) {
        const COLUMNS: [Column; 6] = [
            text(20),
            number(10),
            number(12),
            number(10),
            number(11),
            number(9),
        ];
        heading("forwarding; CPU in seconds per GiB of payload; ratios are medians of the rounds");
        for case in &cases {
            let title = format!("{} x {} bytes", case.sessions, case.size);
            let titles = [
                "CPU s/GiB",
                "packets/s",
                "came out",
                "/copy loop",
                "/Gimlet",
            ];
            let [cpu, packets, share, copier, gimlet] = titles.map(str::to_owned);
            row_of(&COLUMNS, HEAD, [title, cpu, packets, share, copier, gimlet]);
            for line in &case.lines {
                let cells = [
                    line.kind.label().to_owned(),
                    format!("{:.3}", line.cpu.median),
                    format!("{:.0}", line.packets.median),
                    format!("{:.0} %", line.share.median * 100.0),
                    format!("{:.2}", line.over_copier.median),
                    format!("{:.2}", line.over_gimlet.median),
                ];
                row_of(&COLUMNS, Style::new(), cells);
            }
        }
        self.targets.extend(targets::forwarding(&cases));
        self.forwarding = cases;
    }

    /// Takes the flooder's neighbours.
    pub(super) fn fairness(&mut self, fairness: Vec<Fairness>) {
        const COLUMNS: [Column; 4] = [text(20), number(12), number(24), number(10)];
        heading("20 sessions, one sends 20 times as much as each other");
        let titles = ["", "Jain's index", "worst of its fair share", "came out"];
        row_of(&COLUMNS, HEAD, titles.map(str::to_owned));
        for line in &fairness {
            let cells = [
                line.kind.label().to_owned(),
                format!("{:.3}", line.jain.median),
                format!("{:.0} %", line.worst.median * 100.0),
                format!("{:.0} %", line.share.median * 100.0),
            ];
            row_of(&COLUMNS, Style::new(), cells);
        }
        self.targets.extend(targets::fairness(&fairness));
        self.fairness = fairness;
    }

    /// Takes the peers.
    pub(super) fn crowd(&mut self, crowd: Crowd) {
        crowd::print(&crowd);
        self.targets.extend(targets::crowd(&crowd));
        self.crowd = Some(crowd);
    }

    /// Prints the targets and writes the file; whether all were met.
    pub(super) fn close(&self, file: &Path, took: Duration) -> anyhow::Result<bool> {
        print_targets(&self.targets);
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("{} can't be written", file.display()))?;
        anstream::println!("{}", paint(DIM, format!("results in {}", file.display())));
        let missed = self.targets.iter().filter(|target| !target.met()).count();
        let (all, seconds) = (self.targets.len(), took.as_secs_f64());
        let (style, text) = match missed {
            0 => (GOOD, format!("all {all} targets met")),
            _ => (BAD, format!("{missed} of {all} targets missed")),
        };
        let text = format!("bench relay: {text}, in {seconds:.0} s");
        anstream::println!("{}", paint(style, text));
        Ok(missed == 0)
    }
}
