//! One cell of the lab: connect, measure, move bytes both ways, compare with the oracle.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::Part;
use super::expect::Expect;
use super::plan::Path;
use crate::gimlet::{Finished, Gimlet};
use crate::transfer::{Files, exchange};

/// How long `punch` may look for a direct path where there is none, which every such cell waits
/// for in full. What plain checks can join here is joined in a fraction of it.
const WAIT_IN_VAIN: u64 = 2;
/// The same where there is one, beyond the time it may take: costs nothing, and spares a busy
/// machine a wrong verdict.
const WAIT_DIRECT: u64 = 8;
/// How long one command may take, whatever happens. A second is usual; a machine that compiles
/// at the same time has needed fifteen.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(40);

/// Two hosts, and what they must come to.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) part: Part,
    pub(crate) a: &'static str,
    pub(crate) b: &'static str,
    /// The share of packets lost between any two.
    pub(crate) loss: f64,
    pub(crate) run: usize,
    pub(crate) expect: Expect,
    /// Bytes to move each way.
    pub(crate) bytes: usize,
    /// Whether to measure throughput, which takes a perfect network.
    pub(crate) bench: bool,
}

/// What one cell came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) part: Part,
    pub(crate) a: &'static str,
    pub(crate) b: &'static str,
    pub(crate) loss: f64,
    pub(crate) run: usize,
    pub(crate) expected: Expect,
    /// The last object of `punch --json`.
    pub(crate) punch: Value,
    /// The last object of `bench --json`.
    pub(crate) bench: Value,
    /// How `forward --json` says that it reaches a service, where one was used.
    pub(crate) service: Value,
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
pub(crate) async fn run(cell: &Cell, a: &Gimlet, b: &Gimlet) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome {
        part: cell.part,
        a: cell.a,
        b: cell.b,
        loss: cell.loss,
        run: cell.run,
        expected: cell.expect,
        punch: Value::Null,
        bench: Value::Null,
        service: Value::Null,
        verified_bytes: None,
        transfer_ms: None,
        elapsed_ms: 0,
        failures: Vec::new(),
    };
    if let Err(error) = answered(cell, a, b, &mut outcome).await {
        outcome.failures.push(format!("{error:#}"));
    }
    if let Err(error) = transfer(cell, a, b, &mut outcome).await {
        outcome.failures.push(format!("transfer: {error:#}"));
    }
    outcome.elapsed_ms = millis(started.elapsed());
    outcome
}

/// Everything that is asked of a `gimlet up`.
async fn answered(
    cell: &Cell,
    a: &Gimlet,
    b: &Gimlet,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let up = b.start(&["up", "--accept", "all", "--echo"]).await?;
    let peer = up.ready["peer"]
        .as_str()
        .context("`up` told no peer id")?
        .to_owned();
    let wait = match cell.expect.path {
        Path::Direct => WAIT_DIRECT + cell.expect.within_ms.unwrap_or(0) / 1000,
        Path::Relay => WAIT_IN_VAIN,
    };
    let wait = wait.to_string();
    let punch = a
        .run(&["punch", &peer, "--wait-direct", &wait], COMMAND_TIMEOUT)
        .await?;
    outcome.punch = punch.last().clone();
    judge(&punch, outcome);
    if cell.bench {
        bench(a, &peer, outcome).await?;
    }
    up.stop().await;
    Ok(())
}

async fn bench(a: &Gimlet, peer: &str, outcome: &mut Outcome) -> anyhow::Result<()> {
    let bench = a
        .run(&["bench", peer, "--mib", "4"], COMMAND_TIMEOUT)
        .await?;
    outcome.bench = bench.last().clone();
    if bench.code != Some(0) {
        outcome
            .failures
            .push(format!("bench: exit status {:?}", bench.code));
    }
    Ok(())
}

/// Compares what `punch` did with the oracle and the contract.
fn judge(punch: &Finished, outcome: &mut Outcome) {
    let expect = outcome.expected;
    let (expected, got) = (expect.path.word(), outcome.word("path").to_owned());
    if got != expected {
        let reason = outcome.word("reason");
        outcome.failures.push(format!(
            "path is {got}, must be {expected} (reason: {reason})"
        ));
    }
    if let (Some(within), Some(direct)) = (expect.within_ms, outcome.ms("direct_ms"))
        && direct > within as f64
    {
        outcome.failures.push(format!(
            "direct after {direct:.0} ms, must be within {within} ms"
        ));
    }
    let strategy = outcome.word("strategy").to_owned();
    if !expect.strategies.is_empty() && !expect.strategies.contains(&strategy.as_str()) {
        let must = expect.strategies.join(" or ");
        outcome
            .failures
            .push(format!("strategy is {strategy}, must be {must}"));
    }
    let status = match expect.path {
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

/// Bytes each way at once over one session, compared by hash.
async fn transfer(
    cell: &Cell,
    a: &Gimlet,
    b: &Gimlet,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let files = Files::new(&a.folder, "transfer");
    let seed = format!("{} {} {}", cell.a, cell.b, cell.run);
    files.fill(&seed, cell.bytes)?;
    // An identity of its own: `up` may still be on the server's list.
    let took = exchange(a, &b.named("b-pipe"), &files).await?;
    files.verify()?;
    outcome.transfer_ms = Some(millis(took));
    outcome.verified_bytes = Some(cell.bytes);
    // What was proven is not worth the disk; what failed stays for a look.
    files.remove();
    Ok(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
