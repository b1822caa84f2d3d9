//! On what it was measured.

use std::fs::read_to_string;
use std::process::Command;

use serde::Serialize;

/// The machine, as far as it matters for the numbers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) rustc: String,
    /// Runnable tasks over the last minute before the run: what else it did.
    pub(super) load: f64,
}

impl Machine {
    /// This one. What the system does not tell is left empty.
    pub(super) fn look() -> Self {
        let read = |file| read_to_string(file).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        Self {
            cpu: model.map_or(String::new(), |model| {
                model.trim_start_matches([' ', '\t', ':']).to_owned()
            }),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: rustc().unwrap_or_default(),
            load: load.unwrap_or_default(),
        }
    }

    /// Says on what it is measured.
    pub(super) fn print(&self) {
        let Self {
            cpu,
            cores,
            kernel,
            rustc,
            load,
        } = self;
        anstream::println!("{cpu}, {cores} cores, Linux {kernel}, {rustc}; load before {load:.1}");
    }
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
