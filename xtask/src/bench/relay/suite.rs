//! `cargo xtask bench relay`: what the server costs as a relay and as a meeting place, beside coturn,
//! a loop that only copies, and a bare quinn server.

use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;

use super::report::Report;
use super::{crowd, fairness, forwarding};
use crate::bench::machine::Machine;
use crate::workspace;

/// What can be asked for.
#[derive(clap::Args)]
pub(in crate::bench) struct Args {
    /// Only this part; may be repeated
    #[arg(long = "part", value_name = "PART")]
    parts: Vec<Part>,
    /// Forward so many sessions only, instead of 1, 10 and 1,000; may be repeated
    #[arg(long = "sessions", value_name = "COUNT")]
    sessions: Vec<usize>,
    /// Idle peers at most, instead of 20,000 (with --quick: 1,000)
    #[arg(long)]
    peers: Option<usize>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Processor time and packets a second
    Forwarding,
    /// What neighbours of a flooder get
    Fairness,
    /// Idle peers and sessions, sign-ins, introductions, a restart
    Crowd,
}

/// Sessions that are forwarded: one alone, some, a crowd.
const SESSIONS: [usize; 3] = [1, 10, 1000];

/// How much of everything.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) rounds: usize,
    /// Sessions at once that are forwarded, one setting after the other.
    pub(super) sessions: Vec<usize>,
    /// Seconds of one flood.
    pub(super) flood_s: f64,
    /// Rounds of a flooder among neighbours, and seconds of each.
    pub(super) fair_rounds: usize,
    pub(super) fair_s: f64,
    /// Idle peers at which memory is read.
    pub(super) levels: Vec<usize>,
    /// Seconds over which keep-alives are counted: several of a peer's gaps of 4 s.
    pub(super) idle_s: f64,
    /// Seconds of introductions.
    pub(super) meet_s: f64,
}

impl Plan {
    fn new(quick: bool, peers: Option<usize>) -> Self {
        let mut plan = match quick {
            true => Self {
                rounds: 2,
                sessions: SESSIONS.to_vec(),
                flood_s: 0.3,
                fair_rounds: 2,
                fair_s: 0.5,
                levels: vec![200, 1000],
                idle_s: 4.0,
                meet_s: 1.0,
            },
            false => Self {
                rounds: 5,
                sessions: SESSIONS.to_vec(),
                flood_s: 0.8,
                fair_rounds: 5,
                fair_s: 1.0,
                levels: vec![1000, 5000, 20_000],
                idle_s: 20.0,
                meet_s: 4.0,
            },
        };
        if let Some(peers) = peers {
            plan.levels.retain(|level| *level < peers);
            plan.levels.push(peers.max(2));
        }
        plan
    }
}

/// Measures; whether all targets were met.
pub(in crate::bench) fn run(args: &Args, quick: bool) -> anyhow::Result<bool> {
    let mut plan = Plan::new(quick, args.peers);
    if !args.sessions.is_empty() {
        plan.sessions = args.sessions.clone();
    }
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    let folder = workspace::target().join("bench");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{} can't be made", folder.display()))?;
    let started = Instant::now();
    let mut report = Report::new(Machine::look(), quick);
    report.open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if wanted(Part::Forwarding) {
            report.forwarding(forwarding::measure(&plan, &folder).await?);
        }
        if wanted(Part::Fairness) {
            report.fairness(fairness::measure(&plan, &folder).await?);
        }
        if wanted(Part::Crowd) {
            report.crowd(crowd::measure(&plan, &folder).await?);
        }
        anyhow::Ok(())
    })?;
    report.close(&folder.join("relay.json"), started.elapsed())
}
