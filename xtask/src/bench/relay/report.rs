//! What `cargo xtask bench relay` shows: tables, targets, a JSON file.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::crowd::{self, Crowd};
use super::fairness::Fairness;
use super::forwarding::Case;
use super::targets;
use crate::bench::machine::Machine;
use crate::bench::report::{Target, close, heading};
use crate::term::table::{Table, number, text};

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
        heading("forwarding; CPU in seconds per GiB of payload; ratios are medians of the rounds");
        for case in &cases {
            let title = format!("{} x {} bytes", case.sessions, case.size);
            let table = Table([
                text(&title, 20),
                number("CPU s/GiB", 10),
                number("packets/s", 12),
                number("came out", 10),
                number("/copy loop", 11),
                number("/Gimlet", 9),
            ]);
            table.titles();
            for line in &case.lines {
                let cells = [
                    line.kind.label().to_owned(),
                    format!("{:.3}", line.cpu.median),
                    format!("{:.0}", line.packets.median),
                    format!("{:.0} %", line.share.median * 100.0),
                    format!("{:.2}", line.over_copier.median),
                    format!("{:.2}", line.over_gimlet.median),
                ];
                table.row(cells);
            }
        }
        self.targets.extend(targets::forwarding(&cases));
        self.forwarding = cases;
    }

    /// Takes the flooder's neighbours.
    pub(super) fn fairness(&mut self, fairness: Vec<Fairness>) {
        heading("20 sessions, one sends 20 times as much as each other");
        let table = Table([
            text("", 20),
            number("Jain's index", 12),
            number("worst of its fair share", 24),
            number("came out", 10),
        ]);
        table.titles();
        for line in &fairness {
            let cells = [
                line.kind.label().to_owned(),
                format!("{:.3}", line.jain.median),
                format!("{:.0} %", line.worst.median * 100.0),
                format!("{:.0} %", line.share.median * 100.0),
            ];
            table.row(cells);
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
        close("bench relay", self, &self.targets, file, took)
    }
}
