//! The NAT lab: the real release binary behind NATs, every pair of sites against the oracle.
//! Without root, in Linux namespaces; any difference fails.
//!
//! Four parts: the kernel's own NATs; the simulator's NATs carrying the same packets, for what
//! the kernel's cannot do; transfers while hosts move, sleep, and lose their router; and files whose
//! transfer is killed again and again.

mod cell;
mod crew;
mod expect;
mod files;
mod kernel;
mod moving;
mod network;
mod oracle;
mod part;
mod plan;
mod probe;
mod report;
mod service;
mod site;
mod topology;
mod tun;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;
use crate::workspace::fresh;
use crate::{sandbox, term, workspace};
use crew::Crew;
use files::Extent;
use kernel::Kernel;
use report::Report;
use tun::World;

pub(crate) use part::Part;
pub(crate) use site::Site;
pub(crate) use topology::{Side, Topology};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this part; may be repeated
    #[arg(long, value_name = "PART")]
    part: Vec<Part>,
    /// Only this pair of sites, as in open,strict or apdf,random; may be repeated
    #[arg(long, value_name = "A,B")]
    pair: Vec<Asked>,
    /// How often to run everything
    #[arg(long, default_value = "1")]
    runs: NonZeroUsize,
    /// Let sleeping hosts sleep for 10 s instead of 60
    #[arg(long)]
    quick: bool,
    /// Files of 1 GiB that are interrupted ten times, instead of 128 MiB and four
    #[arg(long)]
    full: bool,
    /// When files are interrupted, to see the same again [default: the number of the run]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
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

/// A pair of either part; names say which, for none is of both.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Kernel(plan::Pair),
    Tun(tun::Pair),
}

impl FromStr for Asked {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match (text.parse(), text.parse()) {
            (Ok(pair), _) => Ok(Self::Kernel(pair)),
            (Err(_), Ok(pair)) => Ok(Self::Tun(pair)),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

/// How long a host sleeps: longer than any timeout of a session but its last.
const NAP: Duration = Duration::from_secs(60);
/// The same for who has no minute.
const QUICK_NAP: Duration = Duration::from_secs(10);

/// What is to be run.
struct Plan {
    kernel: Vec<plan::Pair>,
    tun: Vec<tun::Pair>,
    /// How long hosts sleep, if they shall move at all.
    nap: Option<Duration>,
    /// What files have to go through, if any.
    files: Option<fn(u64) -> Extent>,
    seed: Option<u64>,
}

impl Plan {
    fn of(args: &Args) -> Self {
        let wanted = |part| args.part.is_empty() || args.part.contains(&part);
        let nap = if args.quick { QUICK_NAP } else { NAP };
        // Who asks for a pair does not ask for what has none.
        let whole = |part| wanted(part) && (args.pair.is_empty() || !args.part.is_empty());
        let extent = if args.full {
            Extent::full
        } else {
            Extent::short
        };
        let (mut kernel, mut tun) = (plan::all(), tun::all());
        if !args.pair.is_empty() {
            (kernel, tun) = (vec![], vec![]);
            for asked in &args.pair {
                match asked {
                    Asked::Kernel(pair) => kernel.push(*pair),
                    Asked::Tun(pair) => tun.push(*pair),
                }
            }
        }
        if !wanted(Part::Kernel) {
            kernel.clear();
        }
        if !wanted(Part::Tun) {
            tun.clear();
        }
        Self {
            kernel,
            tun,
            nap: whole(Part::Move).then_some(nap),
            files: whole(Part::Files).then_some(extent),
            seed: args.seed,
        }
    }
}

/// `cargo xtask lab`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        report::list()?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = Plan::of(args);
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
        match binary {
            None => check(&plan, sandbox).await,
            Some(binary) => {
                let crew = Crew {
                    binary,
                    logs: workspace::target().join("lab").join("logs"),
                    trace: args.trace,
                };
                matrix(&plan, sandbox, &crew, args.runs.get()).await
            }
        }
    })
}

/// Says why there is no lab on this machine, and what it needs.
fn refused(error: &anyhow::Error) -> ExitCode {
    anstream::eprintln!("{}: {error:#}", term::paint(term::BAD, "no lab here"));
    anstream::eprintln!("{}", sandbox::NEEDS);
    ExitCode::FAILURE
}

/// Proves the networks without Gimlet.
async fn check(plan: &Plan, sandbox: Sandbox) -> anyhow::Result<ExitCode> {
    let mut verdict = ExitCode::SUCCESS;
    if !plan.kernel.is_empty() {
        let topology = Topology::build(sandbox, &plan::sites(&plan.kernel)).await?;
        verdict = network::check(&topology, &plan.kernel).await?;
    }
    if !plan.tun.is_empty() {
        let carried = tun::measure(&World::build(sandbox).await?)?;
        if carried != ExitCode::SUCCESS {
            verdict = carried;
        }
    }
    Ok(verdict)
}

/// Runs every part and reports.
async fn matrix(
    plan: &Plan,
    sandbox: Sandbox,
    crew: &Crew,
    runs: usize,
) -> anyhow::Result<ExitCode> {
    fresh(&crew.logs)?;
    let started = Instant::now();
    let kernel = match plan.kernel.as_slice() {
        [] => None,
        pairs => match Kernel::build(crew, sandbox, pairs).await {
            Ok(kernel) => Some(kernel),
            Err(error) => return Ok(refused(&error)),
        },
    };
    let world = match (plan.tun.as_slice(), plan.nap) {
        ([], None) => None,
        _ => match World::build(sandbox).await {
            Ok(world) => Some(world),
            Err(error) => return Ok(refused(&error)),
        },
    };
    anstream::println!("network up in {:.1} s", started.elapsed().as_secs_f64());
    let mut report = Report::new(runs);
    // A host that sleeps needs nobody's attention meanwhile.
    let asleep = async {
        let mut all = vec![];
        if let (Some(world), Some(nap)) = (&world, plan.nap) {
            for run in 1..=runs {
                all.extend(moving::transfers(crew, world, &moving::ASLEEP, nap, run).await?);
            }
        }
        anyhow::Ok(all)
    };
    let first = async {
        match &kernel {
            Some(kernel) => kernel.run(runs, &mut report).await,
            None => Ok(()),
        }
    };
    let (slept, ()) = tokio::try_join!(asleep, first)?;
    if let Some(world) = &world {
        tun::run(crew, world, &plan.tun, runs, &mut report).await?;
        if let Some(nap) = plan.nap {
            for moved in &slept {
                report.moved(moved);
            }
            for run in 1..=runs {
                moving::run(crew, world, &moving::AWAKE, nap, run, &mut report).await?;
            }
        }
    }
    if let Some(extent) = plan.files {
        for run in 1..=runs {
            let extent = extent(plan.seed.unwrap_or(run as u64));
            files::run(crew, sandbox, extent, run, &mut report).await?;
        }
    }
    let file = workspace::target().join("lab").join("lab.json");
    report.write(&file)?;
    Ok(report.close(&file))
}
