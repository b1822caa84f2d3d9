//! The NAT lab: the real release binary behind real kernel NATs, every pair of sites against
//! the oracle. Without root, in Linux namespaces; any difference fails.

mod cell;
mod network;
mod oracle;
mod plan;
mod probe;
mod report;
mod site;
mod topology;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use crate::gimlet::{Gimlet, Place};
use crate::server::serve;
use crate::workspace::fresh;
use crate::{sandbox, term, workspace};
use cell::Outcome;
use plan::Pair;
use report::Report;

pub(crate) use site::Site;
pub(crate) use topology::{Side, Topology};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this pair of sites, as in open,strict; may be repeated
    #[arg(long, value_name = "A,B")]
    pair: Vec<Pair>,
    /// How often to run everything
    #[arg(long, default_value = "1")]
    runs: NonZeroUsize,
    /// List the sites and the pairs of a full run, and stop
    #[arg(long)]
    list: bool,
    /// Check the network itself with plain UDP instead of running Gimlet in it
    #[arg(long)]
    network: bool,
    /// Log every packet of every process, to find out why a cell fails
    #[arg(long)]
    trace: bool,
    /// Use this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// `cargo xtask lab`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pairs = if args.pair.is_empty() {
        plan::all()
    } else {
        args.pair.clone()
    };
    if args.list {
        report::list(&plan::all());
        return Ok(ExitCode::SUCCESS);
    }
    let binary = match args.network {
        true => None,
        false => Some(workspace::binary(args.binary.as_deref())?),
    };
    // Before the runtime: see `sandbox`.
    let sandbox = match sandbox::enter() {
        Ok(sandbox) => sandbox,
        Err(error) => return Ok(refused(&error)),
    };
    sandbox::block_on(async {
        let started = Instant::now();
        let topology = match Topology::build(sandbox, &plan::sites(&pairs)).await {
            Ok(topology) => topology,
            Err(error) => return Ok(refused(&error)),
        };
        anstream::println!("network up in {:.1} s", started.elapsed().as_secs_f64());
        match &binary {
            Some(binary) => matrix(&topology, binary, &pairs, args).await,
            None => network::check(&topology, &pairs).await,
        }
    })
}

/// Says why there is no lab on this machine, and what it needs.
fn refused(error: &anyhow::Error) -> ExitCode {
    anstream::eprintln!("{}: {error:#}", term::paint(term::BAD, "no lab here"));
    anstream::eprintln!("{}", sandbox::NEEDS);
    ExitCode::FAILURE
}

/// Runs every pair and reports.
async fn matrix(
    topology: &Topology,
    binary: &Path,
    pairs: &[Pair],
    args: &Args,
) -> anyhow::Result<ExitCode> {
    let runs = args.runs.get();
    let folder = workspace::target().join("lab");
    let logs = folder.join("logs");
    fresh(&logs)?;
    let server_logs = logs.join("server");
    fresh(&server_logs)?;
    let public = Place::Namespace(topology.server.clone());
    let (mut server, address) =
        serve(binary, public, topology.server_ip.into(), &server_logs).await?;
    let mut report = Report::new(runs);
    for run in 1..=runs {
        report.heading(run);
        for &pair in pairs {
            let place = Placement {
                topology,
                binary,
                address: &address,
                logs: &logs,
                trace: args.trace,
            };
            let outcome = place.cell(pair, run).await?;
            report.add(&outcome);
            if !outcome.failures.is_empty() {
                report::show_logs(&logs, &place.folder(pair, run))?;
            }
            // Without it every cell fails, and none of them says why.
            server.still_runs().context("the server")?;
        }
    }
    server.stop().await;
    report.write(&folder.join("lab.json"))?;
    Ok(report.close(&folder.join("lab.json")))
}

/// Everything that the hosts of a cell have in common.
struct Placement<'a> {
    topology: &'a Topology,
    binary: &'a Path,
    address: &'a str,
    logs: &'a Path,
    trace: bool,
}

impl Placement<'_> {
    async fn cell(&self, pair: Pair, run: usize) -> anyhow::Result<Outcome> {
        let folder = self.folder(pair, run);
        fresh(&folder)?;
        let host = |site, side, name: &str| {
            anyhow::Ok(Gimlet {
                binary: self.binary.to_owned(),
                place: Place::Namespace(self.topology.host(site, side)?.clone()),
                server: Some(self.address.to_owned()),
                folder: folder.clone(),
                name: name.to_owned(),
                // One more than every command gets.
                flags: if self.trace {
                    vec!["-v".to_owned()]
                } else {
                    vec![]
                },
            })
        };
        let (a, b) = (host(pair.a, Side::A, "a")?, host(pair.b, Side::B, "b")?);
        let outcome = cell::run(pair, run, &a, &b).await;
        if !outcome.failures.is_empty() {
            for (site, side, name) in [(pair.a, Side::A, "a"), (pair.b, Side::B, "b")] {
                let state = self.topology.router_state(site, side)?;
                std::fs::write(folder.join(format!("{name}-router.txt")), state)?;
            }
        }
        Ok(outcome)
    }

    fn folder(&self, pair: Pair, run: usize) -> PathBuf {
        self.logs.join(format!("{run}")).join(pair.name())
    }
}
