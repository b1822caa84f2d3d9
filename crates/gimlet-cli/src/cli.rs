//! From arguments to exit status.

use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::commands;
use crate::exit::{Failure, Outcome, Status};
use crate::logging::{self, Level};
use crate::output::Output;
use crate::session::Context;
use crate::settings::Settings;

/// Runs the binary.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = &cli.global;
    let serves = matches!(cli.command, Command::Serve(_));
    logging::start(
        Level::new(serves, global.verbose, global.quiet),
        global.json,
    );
    let status = run(cli).unwrap_or_else(|failure| {
        if !failure.is_broken_pipe() {
            anstream::eprintln!("{failure}");
        }
        failure.status
    });
    status.into()
}

fn run(cli: Cli) -> Outcome {
    let env = |name: &str| std::env::var(name).ok();
    let serves = matches!(cli.command, Command::Serve(_));
    let context = Context {
        settings: Settings::load(&cli.global, &env)?,
        output: Output::new(cli.global.json, cli.global.quiet),
        lan: Mutex::default(),
    };
    // A client is one session: without the hand-over between threads it is faster. A server has
    // handshakes to do beside its packets, which must not wait for them.
    let mut builder = match serves {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Status::Failed, error))?;
    let outcome = runtime.block_on(commands::run(cli.command, &context, &env));
    // A read of standard input can't be cancelled: don't wait for it.
    runtime.shutdown_background();
    outcome
}
