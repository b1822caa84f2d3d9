//! Everything that a change must pass, in the order in which it fails fastest.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::term::{BAD, DIM, GOOD, HEAD, paint};
use crate::workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the NAT lab, where namespaces are not allowed
    #[arg(long)]
    no_lab: bool,
    /// Run the remaining steps after one failed
    #[arg(long)]
    keep_going: bool,
}

/// One cargo command with a name.
struct Step {
    name: &'static str,
    args: &'static [&'static str],
    env: Option<(&'static str, &'static str)>,
}

const STEPS: [Step; 6] = [
    Step {
        name: "format",
        args: &["fmt", "--all", "--check"],
        env: None,
    },
    Step {
        name: "clippy",
        args: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        env: None,
    },
    Step {
        name: "docs",
        args: &["doc", "--workspace", "--no-deps"],
        env: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
    // Unit, integration and documentation tests; fuzz corpora are replayed by plain tests.
    Step {
        name: "tests",
        args: &["test", "--workspace"],
        env: None,
    },
    Step {
        name: "release build",
        args: &["build", "--release", "--package", "gimlet-cli"],
        env: None,
    },
    // In a process of its own: it enters a user namespace.
    Step {
        name: LAB,
        args: &["run", "--quiet", "--package", "xtask", "--", "lab"],
        env: None,
    },
];

const LAB: &str = "NAT lab";

/// How a step went.
enum Verdict {
    Passed(Duration),
    Failed(Duration),
    Skipped,
}

/// `cargo xtask ci`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut verdicts = Vec::new();
    let mut failed = false;
    for step in &STEPS {
        if (failed && !args.keep_going) || (args.no_lab && step.name == LAB) {
            verdicts.push((step.name, Verdict::Skipped));
            continue;
        }
        let verdict = step.run()?;
        failed |= matches!(verdict, Verdict::Failed(_));
        verdicts.push((step.name, verdict));
    }
    summary(&verdicts);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

impl Step {
    /// Runs it with our own output, so that everything it says shows.
    fn run(&self) -> anyhow::Result<Verdict> {
        let line = format!("cargo {}", self.args.join(" "));
        anstream::println!(
            "\n{} {}",
            paint(HEAD, format!("── {}", self.name)),
            paint(DIM, line)
        );
        let started = Instant::now();
        let mut command = workspace::cargo();
        command.args(self.args).envs(self.env);
        let status = command.status().context("cargo could not be started")?;
        let took = started.elapsed();
        Ok(if status.success() {
            Verdict::Passed(took)
        } else {
            Verdict::Failed(took)
        })
    }
}

fn summary(verdicts: &[(&str, Verdict)]) {
    anstream::println!("\n{}", paint(HEAD, "── summary"));
    let mut failed = 0;
    for (name, verdict) in verdicts {
        let seconds = |took: &Duration| format!("{:>6.1} s", took.as_secs_f64());
        let (word, time) = match verdict {
            Verdict::Passed(took) => (paint(GOOD, "passed "), seconds(took)),
            Verdict::Failed(took) => (paint(BAD, "failed "), seconds(took)),
            Verdict::Skipped => (paint(DIM, "skipped"), String::new()),
        };
        failed += usize::from(matches!(verdict, Verdict::Failed(_)));
        anstream::println!("{name:<14} {word} {time}");
    }
    match failed {
        0 => anstream::println!("{}", paint(GOOD, "ci: passed")),
        _ => anstream::println!("{}", paint(BAD, "ci: failed")),
    }
}
