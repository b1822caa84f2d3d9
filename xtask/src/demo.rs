//! The main job, shown to a newcomer in under a minute: a server, two hosts behind two NATs,
//! one encrypted session between them; then a pair that no sending can join, over the relay.
//! Where namespaces are not allowed, the same over loopback.

mod stage;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::term::{BAD, GOOD, NOTE, paint};
use crate::{sandbox, workspace};
use stage::Stage;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stay on loopback, without NATs, even where namespaces are allowed
    #[arg(long)]
    loopback: bool,
    /// Use this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// `cargo xtask demo`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let binary = workspace::binary(args.binary.as_deref())?;
    // Before the runtime: see `sandbox`.
    let sandbox = if args.loopback {
        None
    } else {
        Some(sandbox::enter())
    };
    sandbox::block_on(async {
        let started = Instant::now();
        let stage = match sandbox {
            Some(sandbox) => match Stage::behind_nats(sandbox, &binary).await {
                Ok(stage) => stage,
                Err(error) => {
                    explain(&error);
                    Stage::loopback(&binary).await?
                }
            },
            None => Stage::loopback(&binary).await?,
        };
        let told = story::tell(&stage).await;
        let logs = stage.folder.clone();
        stage.close().await;
        let seconds = started.elapsed().as_secs_f64();
        match told {
            Ok(()) => {
                let text = format!("That was all of it, in {seconds:.1} s.");
                anstream::println!("\n{}", paint(GOOD, text));
                anstream::println!("Next: README.md, for the same between two machines of yours.");
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                anstream::println!("\n{} {error:#}", paint(BAD, "This did not work:"));
                anstream::println!("Logs: {}", logs.display());
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

fn explain(error: &anyhow::Error) {
    anstream::println!("{} {error:#}", paint(NOTE, "No NATs on this machine:"));
    anstream::println!("{}", sandbox::NEEDS);
    anstream::println!(
        "{}\n",
        paint(NOTE, "So this goes over loopback, without NATs.")
    );
}
