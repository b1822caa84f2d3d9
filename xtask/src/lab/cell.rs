//! One cell of the lab: connect, measure, move bytes both ways, compare with the oracle.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::plan::{Pair, Path};
use crate::gimlet::{Finished, Gimlet};
use crate::payload;
use crate::transfer::{Files, exchange};

/// How long `punch` may look for a direct path where there is none, which every such cell waits
/// for in full. Links here have no delay: what can be joined is joined in milliseconds.
const WAIT_IN_VAIN: &str = "2";
/// The same where there is one: costs nothing, and spares a busy machine a wrong verdict.
const WAIT_DIRECT: &str = "8";
/// How long one command may take, whatever happens. A second is usual; a machine that compiles
/// at the same time has needed fifteen.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(40);

/// What one cell came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) a: &'static str,
    pub(crate) b: &'static str,
    pub(crate) run: usize,
    pub(crate) expected: Path,
    /// The last object of `punch --json`.
    pub(crate) punch: Value,
    /// The last object of `bench --json`.
    pub(crate) bench: Value,
    /// The bytes moved each way and verified.
    pub(crate) verified_bytes: Option<usize>,
    pub(crate) transfer_ms: Option<u64>,
    pub(crate) elapsed_ms: u64,
    /// What differs from what must be, empty if nothing does.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// A string of `punch`, for the table.
    pub(crate) fn word(&self, key: &str) -> &str {
        self.punch[key].as_str().unwrap_or("-")
    }

    /// A time of `punch`.
    pub(crate) fn ms(&self, key: &str) -> Option<f64> {
        self.punch[key].as_f64()
    }
}

/// Runs one cell. The two hosts are given with a folder of their own for this run.
pub(crate) async fn run(pair: Pair, run: usize, a: &Gimlet, b: &Gimlet) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome {
        a: pair.a.name(),
        b: pair.b.name(),
        run,
        expected: super::oracle::expected(pair),
        punch: Value::Null,
        bench: Value::Null,
        verified_bytes: None,
        transfer_ms: None,
        elapsed_ms: 0,
        failures: Vec::new(),
    };
    if let Err(error) = answered(a, b, &mut outcome).await {
        outcome.failures.push(format!("{error:#}"));
    }
    if let Err(error) = transfer(a, b, &mut outcome).await {
        outcome.failures.push(format!("transfer: {error:#}"));
    }
    outcome.elapsed_ms = millis(started.elapsed());
    outcome
}

/// Everything that is asked of a `gimlet up`.
async fn answered(a: &Gimlet, b: &Gimlet, outcome: &mut Outcome) -> anyhow::Result<()> {
    let up = b.start(&["up", "--accept", "all", "--echo"]).await?;
    let peer = up.ready["peer"]
        .as_str()
        .context("`up` told no peer id")?
        .to_owned();
    let wait = match outcome.expected {
        Path::Direct => WAIT_DIRECT,
        Path::Relay => WAIT_IN_VAIN,
    };
    let punch = a
        .run(&["punch", &peer, "--wait-direct", wait], COMMAND_TIMEOUT)
        .await?;
    outcome.punch = punch.last().clone();
    judge(&punch, outcome);
    let bench = a
        .run(&["bench", &peer, "--mib", "4"], COMMAND_TIMEOUT)
        .await?;
    outcome.bench = bench.last().clone();
    if bench.code != Some(0) {
        outcome
            .failures
            .push(format!("bench: exit status {:?}", bench.code));
    }
    up.stop().await;
    Ok(())
}

/// Compares what `punch` did with the oracle and the contract.
fn judge(punch: &Finished, outcome: &mut Outcome) {
    let (expected, got) = (outcome.expected.word(), outcome.word("path").to_owned());
    if got != expected {
        let reason = outcome.word("reason");
        outcome.failures.push(format!(
            "path is {got}, must be {expected} (reason: {reason})"
        ));
    }
    let status = match outcome.expected {
        Path::Direct => 0,
        Path::Relay => 1,
    };
    if punch.code != Some(status) {
        let code = punch.code;
        outcome
            .failures
            .push(format!("punch: exit status {code:?}, must be {status}"));
    }
    if outcome.ms("connected_ms").is_none() {
        outcome.failures.push("punch: no connected_ms".to_owned());
    }
}

/// Four MiB each way at once over one session, compared by hash.
async fn transfer(a: &Gimlet, b: &Gimlet, outcome: &mut Outcome) -> anyhow::Result<()> {
    let files = Files::new(&a.folder, "transfer");
    files.fill(&format!("{} {} {}", outcome.a, outcome.b, outcome.run))?;
    // An identity of its own: `up` may still be on the server's list.
    let took = exchange(a, &b.named("b-pipe"), &files).await?;
    files.verify()?;
    outcome.transfer_ms = Some(millis(took));
    outcome.verified_bytes = Some(payload::TRANSFER_BYTES);
    // What was proven is not worth the disk; what failed stays for a look.
    files.remove();
    Ok(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
