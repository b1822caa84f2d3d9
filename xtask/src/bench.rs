//! `cargo xtask bench`: what Gimlet costs beside the same without it, measured in one run.
//!
//! Every sender, receiver and relay is a process of its own (this binary again, see [`worker`]), so
//! that the processor time of each can be told. Variants take turns within a round, and what is
//! judged is the median of the ratios of neighbours: absolute numbers drift with whatever else the
//! machine does, ratios within a round hardly.

mod cpu;
mod crew;
mod figures;
mod files;
mod forward;
mod link;
mod machine;
mod memory;
mod message;
mod relay;
mod report;
mod setup;
mod simulated;
mod throughput;
mod topic;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;

use crate::sandbox::{self, Sandbox};
use crate::term::{DIM, NOTE, paint};
use crate::workspace;
use link::Network;
use message::Threads;
use report::Report;
use throughput::{Course, Variant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Few and short rounds: for a look, not for the record
    #[arg(long, global = true)]
    quick: bool,
    /// Exit with status 1 when a target is missed
    #[arg(long, global = true)]
    check: bool,
    /// Only this part; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Use this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Be one of the processes measured, told on standard input what to do
    #[arg(long, hide = true)]
    worker: bool,
    #[command(subcommand)]
    what: Option<What>,
}

/// What is measured instead of all that peers notice.
#[derive(clap::Subcommand)]
enum What {
    /// The server: forwarding beside coturn and a copy loop, fairness, thousands of peers
    Relay(relay::Args),
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Bytes a second and processor time of streams, direct and relayed
    Throughput,
    /// The same of relayed streams, over UDP and over TLS
    Tls,
    /// Processor time of relays that are flooded
    Relay,
    /// Time until signed in, connected and direct
    Times,
    /// Memory of idle endpoints and connections
    Memory,
    /// iperf3 through a forward beside the bare session, with the real binary
    Forward,
    /// Publish/subscribe to a thousand, beside quinn's streams
    Topic,
    /// Files beside the bare session, tar through a pipe and magic-wormhole, with the real binary
    Files,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Plan {
    rounds: usize,
    /// Stream bytes of one measurement.
    bytes: u64,
    /// Seconds of one flood.
    flood_s: f64,
    /// Simulated networks of one setting.
    seeds: u64,
    /// Connections set up over loopback.
    dials: usize,
    /// Idle pairs.
    pairs: usize,
}

impl Plan {
    /// For the record: two to three minutes, where nothing else runs.
    const FULL: Self = Self {
        rounds: 7,
        bytes: 1 << 30,
        flood_s: 2.0,
        seeds: 200,
        dials: 100,
        pairs: 100,
    };
    /// For a look: half a minute in all.
    const QUICK: Self = Self {
        rounds: 3,
        bytes: 256 << 20,
        flood_s: 0.5,
        seeds: 20,
        dials: 20,
        pairs: 20,
    };

    /// A link is many times slower than this machine, and what it carries is always the same.
    fn on_a_link(self) -> Self {
        Self {
            rounds: self.rounds.min(3),
            bytes: self.bytes.min(Self::QUICK.bytes),
            ..self
        }
    }
}

/// Megabits a second of the link beside which TLS is measured.
const LINK_MBIT: u32 = 1000;

/// `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.worker {
        return worker::run();
    }
    if cfg!(debug_assertions) {
        progress("building for release");
        return workspace::in_release();
    }
    if let Some(What::Relay(relay)) = &args.what {
        let all_met = relay::run(relay, args.quick)?;
        return Ok(status(args.check, all_met));
    }
    let plan = if args.quick { Plan::QUICK } else { Plan::FULL };
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    let started = Instant::now();
    let mut report = Report::new(machine::Machine::look(), args.quick);
    report.open();
    if wanted(Part::Times) {
        report.simulated(simulated::measure(plan)?);
    }
    let binary = match wanted(Part::Forward) || wanted(Part::Files) {
        true => Some(workspace::binary(args.binary.as_deref())?),
        false => None,
    };
    // Before the runtime: see `sandbox`.
    let sandbox = match binary.is_some() || wanted(Part::Tls) {
        true => sandbox(),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if wanted(Part::Times) {
            report.setup(setup::measure(plan).await?);
        }
        if wanted(Part::Throughput) {
            let course = Course {
                variants: &Variant::BESIDE_PLAIN,
                threads: &Threads::BOTH,
                streams: 1,
            };
            report.throughput(throughput::measure(plan, course, &Network::Loopback).await?);
        }
        if wanted(Part::Tls) {
            let mut course = Course {
                variants: &Variant::BESIDE_UDP,
                threads: &Threads::BOTH,
                streams: throughput::SEVERAL,
            };
            report.tls(throughput::measure(plan, course, &Network::Loopback).await?);
            if let Some(sandbox) = sandbox {
                // As the command line does it; what the link bounds is the same with both.
                course.threads = &Threads::BOTH[..1];
                let network = Network::link(sandbox, LINK_MBIT).await?;
                report.tls_link(throughput::measure(plan.on_a_link(), course, &network).await?);
            }
        }
        if wanted(Part::Relay) {
            report.relay(relay::measure(plan).await?);
        }
        if wanted(Part::Memory) {
            report.memory(memory::measure(plan).await?);
        }
        if let (Some(binary), true) = (&binary, wanted(Part::Forward)) {
            report.forward(forward::measure(plan, binary, sandbox).await?);
        }
        if wanted(Part::Topic) {
            report.topic(topic::measure(plan).await?);
        }
        if let (Some(binary), true) = (&binary, wanted(Part::Files)) {
            report.files(files::measure(plan, binary, sandbox).await?);
        }
        anyhow::Ok(())
    })?;
    let folder = workspace::target().join("bench");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} can't be made", folder.display()))?;
    let all_met = report.close(&folder.join("bench.json"), started.elapsed())?;
    Ok(status(args.check, all_met))
}

/// Where links can be made; a note where not.
fn sandbox() -> Option<Sandbox> {
    let entered = sandbox::enter();
    if let Err(error) = &entered {
        progress(format_args!("no links here: {error:#}"));
    }
    entered.ok()
}

fn status(check: bool, all_met: bool) -> ExitCode {
    match check && !all_met {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Says on standard error what happens now: the tables come when a part is done.
fn progress(text: impl std::fmt::Display) {
    anstream::eprintln!("{} {}", paint(NOTE, "bench:"), paint(DIM, text));
}
