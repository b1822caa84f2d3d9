//! `cargo xtask sim`: every NAT class against every other, by the thousand, in virtual time.
//!
//! Each cell is two sites and a loss rate. What must come of it is known beforehand, from the oracle
//! where plain checks are enough and from the search strategies' promises beyond; the command fails
//! when any of it does not hold. One seed decides the whole run.

mod check;
mod heat;
mod markdown;
mod measure;
mod plan;
mod population;
mod report;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::term::{DIM, NOTE, paint};
use crate::workspace;
use plan::{Pair, Plan};
use population::Population;
use report::Report;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Trials of every cell, instead of as many as each kind of cell is worth
    #[arg(long, value_name = "N")]
    trials: Option<u32>,
    /// What decides the run; the same seed gives the same report
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this pair of sites, as in strict,sym-random; may be repeated
    #[arg(long, value_name = "A,B")]
    pair: Vec<Pair>,
    /// Loss on the way between two hosts, in percent; may be repeated [default: 0 and 2]
    #[arg(long, value_name = "PERCENT")]
    loss: Vec<f64>,
    /// Addresses of the server, 1 or 2: with one, a mapping for each address looks like one for all
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    addresses: u8,
    /// A tenth of the trials: for a look, not for the record
    #[arg(long)]
    quick: bool,
    /// What share of hosts is at which site [default: xtask/data/nat-population.toml]
    #[arg(long, value_name = "FILE")]
    population: Option<PathBuf>,
    /// Also write docs/traversal.md and docs/traversal.svg
    #[arg(long, conflicts_with_all = ["pair", "quick", "trials", "loss", "addresses"])]
    write_docs: bool,
    /// List the sites and what must come of each pair, and stop
    #[arg(long)]
    list: bool,
}

/// `cargo xtask sim`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        table::list();
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        args.loss
            .iter()
            .all(|percent| (0.0..100.0).contains(percent)),
        "--loss is a percentage, 0 to less than 100"
    );
    if cfg!(debug_assertions) {
        progress("building for release");
        return workspace::in_release();
    }
    let file = match &args.population {
        Some(file) => file.clone(),
        None => workspace::root().join("xtask/data/nat-population.toml"),
    };
    let populations = Population::read(&file)?;
    let plan = Plan {
        seed: args.seed,
        trials: args.trials,
        quick: args.quick,
        pairs: args.pair.clone(),
        losses: match args.loss.is_empty() {
            true => vec![0.0, 0.02],
            false => args.loss.iter().map(|percent| percent / 100.0).collect(),
        },
        server_addresses: args.addresses,
    };
    let threads = std::thread::available_parallelism()?.get();
    let started = Instant::now();
    let measured = measure::measure(&plan, threads, |done| {
        progress_line(done, started.elapsed().as_secs());
    });
    let report = Report::new(&plan, &measured, &populations);
    table::print(&report);
    let folder = workspace::target().join("sim");
    write(&report, &folder)?;
    if args.write_docs {
        let docs = workspace::root().join("docs");
        put(&docs.join("traversal.md"), &markdown::page(&report))?;
        put(&docs.join("traversal.svg"), &heat::svg(&report))?;
    }
    anstream::println!(
        "\n{} trials in {:.0} s; everything in {}",
        heat::thousands(report.trials()),
        started.elapsed().as_secs_f64(),
        folder.display()
    );
    Ok(match report.all_met() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn write(report: &Report, folder: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("{} can't be made", folder.display()))?;
    put(&folder.join("sim.json"), &report.json()?)?;
    put(&folder.join("sim.md"), &markdown::full(report))?;
    match report.complete {
        true => put(&folder.join("sim.svg"), &heat::svg(report)),
        false => Ok(()),
    }
}

fn put(file: &std::path::Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
}

/// Says on standard error what happens now.
fn progress(text: impl std::fmt::Display) {
    anstream::eprintln!("{} {}", paint(NOTE, "sim:"), paint(DIM, text));
}

/// The same on one line that is written over, where somebody watches.
fn progress_line(done: f64, seconds: u64) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        let text = format!("{:3.0} %, {seconds} s", 100.0 * done);
        let end = if done < 1.0 { "" } else { "\n" };
        anstream::eprint!("\r{} {}{end}", paint(NOTE, "sim:"), paint(DIM, text));
    }
}
