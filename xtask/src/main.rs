//! Development tasks: `cargo xtask <task>`.

use std::process::ExitCode;

use clap::Parser;

mod bench;
mod certs;
mod ci;
mod demo;
mod gimlet;
mod lab;
mod payload;
mod sandbox;
mod server;
mod sim;
mod term;
mod transfer;
mod workspace;

/// Development tasks of the Gimlet workspace.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
enum Task {
    /// Throughput, processor time and set-up times beside the same without Gimlet
    Bench(bench::Args),
    /// Everything a change must pass: format, clippy, docs, tests, the NAT lab
    Ci(ci::Args),
    /// Make keys and certificates for development, in certs/
    Certs,
    /// Show the main job in under a minute: two hosts behind NATs, one session
    Demo(demo::Args),
    /// The real binary behind real kernel NATs, pair by pair, against the oracle
    Lab(lab::Args),
    /// Every NAT class against every other by the thousand, in virtual time, against the oracle
    Sim(sim::Args),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Bench(args) => bench::run(&args),
        Task::Ci(args) => ci::run(&args),
        Task::Certs => certs::run(),
        Task::Demo(args) => demo::run(&args),
        Task::Lab(args) => lab::run(&args),
        Task::Sim(args) => sim::run(&args),
    };
    done.unwrap_or_else(|error| {
        anstream::eprintln!("{} {error:#}", term::paint(term::BAD, "error:"));
        ExitCode::FAILURE
    })
}
