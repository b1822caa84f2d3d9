//! What a bench run shows: a table a part, the targets, a JSON file.

mod tables;
mod target;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::files::Files;
use super::forward;
use super::machine::Machine;
use super::memory::Memory;
use super::relay::Relays;
use super::setup::Times;
use super::simulated::Simulated;
use super::throughput::Line;
use super::topic::Topics;
use crate::term::{BAD, DIM, GOOD, HEAD, paint};
pub(super) use target::{Limit, Target};

/// Collects the parts and prints each as it comes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Machine,
    quick: bool,
    simulated: Option<Simulated>,
    loopback: Option<Times>,
    throughput: Vec<Line>,
    tls: Vec<Line>,
    tls_link: Vec<Line>,
    relay: Option<Relays>,
    memory: Option<Memory>,
    forward: Vec<forward::Line>,
    topic: Option<Topics>,
    files: Option<Files>,
    targets: Vec<Target>,
}

impl Report {
    /// An empty one.
    pub(super) fn new(machine: Machine, quick: bool) -> Self {
        Self {
            machine,
            quick,
            simulated: None,
            loopback: None,
            throughput: Vec::new(),
            tls: Vec::new(),
            tls_link: Vec::new(),
            relay: None,
            memory: None,
            forward: Vec::new(),
            topic: None,
            files: None,
            targets: Vec::new(),
        }
    }

    /// Prints on what it is measured.
    pub(super) fn open(&self) {
        self.machine.print();
    }

    /// Takes the times in the simulator.
    pub(super) fn simulated(&mut self, times: Simulated) {
        tables::times(
            "40 ms round trip, both NATs strict (simulated)",
            &times.clean,
            true,
        );
        tables::times(
            "the same, 2 % loss and 5 ms jitter a link",
            &times.lossy,
            true,
        );
        self.targets.extend(target::simulated(&times.clean));
        self.simulated = Some(times);
    }

    /// Takes the times over loopback.
    pub(super) fn setup(&mut self, times: Times) {
        tables::times("loopback, three processes", &times, false);
        self.targets.extend(target::loopback(&times));
        self.loopback = Some(times);
    }

    /// Takes the streams.
    pub(super) fn throughput(&mut self, lines: Vec<Line>) {
        tables::throughput("one stream over loopback", &lines);
        self.targets.extend(target::throughput(&lines));
        self.throughput = lines;
    }

    /// Takes the streams over TLS.
    pub(super) fn tls(&mut self, lines: Vec<Line>) {
        tables::throughput("four streams over loopback", &lines);
        self.targets.extend(target::tls(&lines));
        self.tls = lines;
    }

    /// Takes those where the link is the limit.
    pub(super) fn tls_link(&mut self, lines: Vec<Line>) {
        tables::throughput("four streams over 1 Gbit/s", &lines);
        self.targets.extend(target::tls_link(&lines));
        self.tls_link = lines;
    }

    /// Takes the floods.
    pub(super) fn relay(&mut self, relays: Relays) {
        tables::relay(&relays);
        self.targets.push(target::relay(&relays));
        self.relay = Some(relays);
    }

    /// Takes the crowds.
    pub(super) fn memory(&mut self, memory: Memory) {
        tables::memory(&memory);
        self.memory = Some(memory);
    }

    /// Takes the forwards.
    pub(super) fn forward(&mut self, lines: Vec<forward::Line>) {
        tables::forward(&lines);
        self.targets.extend(target::forward(&lines));
        self.forward = lines;
    }

    /// Takes the topics.
    pub(super) fn topic(&mut self, topics: Topics) {
        tables::topic(&topics);
        self.targets.push(target::topic(&topics));
        self.topic = Some(topics);
    }

    /// Takes the files.
    pub(super) fn files(&mut self, files: Files) {
        tables::files(&files);
        self.targets.extend(target::files(&files));
        self.files = Some(files);
    }

    /// Prints the targets and writes the file; whether all were met.
    pub(super) fn close(&self, file: &Path, took: Duration) -> anyhow::Result<bool> {
        close("bench", self, &self.targets, file, took)
    }
}

/// Prints the targets of a report and writes it to a file; whether all were met.
pub(super) fn close(
    name: &str,
    report: &impl Serialize,
    targets: &[Target],
    file: &Path,
    took: Duration,
) -> anyhow::Result<bool> {
    target::print(targets);
    std::fs::write(file, serde_json::to_vec_pretty(report)?)
        .with_context(|| format!("{} can't be written", file.display()))?;
    anstream::println!("{}", paint(DIM, format!("results in {}", file.display())));
    let missed = targets.iter().filter(|target| !target.met()).count();
    let all = targets.len();
    let (style, text) = match missed {
        0 => (GOOD, format!("all {all} targets met")),
        _ => (BAD, format!("{missed} of {all} targets missed")),
    };
    let text = format!("{name}: {text}, in {:.0} s", took.as_secs_f64());
    anstream::println!("{}", paint(style, text));
    Ok(missed == 0)
}

/// Prints a table's title.
pub(super) fn heading(text: &str) {
    anstream::println!("\n{}", paint(HEAD, text));
}
