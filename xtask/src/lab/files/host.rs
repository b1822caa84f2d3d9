//! A process of a transfer, which is killed and started again.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::sleep;

use crate::gimlet::Gimlet;

/// How long a receiver may take to sign in.
const READY_TIMEOUT: Duration = Duration::from_secs(15);

/// Objects kept of what a process prints: one a second, and a few for each attempt.
const MAX_OBJECTS: usize = 10_000;

/// One side, whatever process it is at the moment.
pub(super) struct Host {
    gimlet: Gimlet,
    args: Vec<String>,
    child: Child,
    /// What the process has printed.
    said: Arc<Mutex<Vec<Value>>>,
}

impl Host {
    /// Starts the command.
    pub(super) fn start(gimlet: Gimlet, args: Vec<String>) -> anyhow::Result<Self> {
        let (child, said) = spawn(&gimlet, &args)?;
        Ok(Self {
            gimlet,
            args,
            child,
            said,
        })
    }

    /// Kills the process, and starts the same command.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        (self.child, self.said) = spawn(&self.gimlet, &self.args)?;
        Ok(())
    }

    /// Waits until the process has said that others can connect.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while self.last("ready").is_none() {
            ensure!(self.ended()?.is_none(), "the receiver has ended");
            ensure!(Instant::now() < deadline, "the receiver does not sign in");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The status of a process that has ended.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// How often the process has said an event.
    pub(super) fn count(&self, event: &str) -> usize {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |object: &&Value| object["event"] == event;
        said.iter().filter(of).count()
    }

    /// What the process has said of an event last.
    pub(super) fn last(&self, event: &str) -> Option<Value> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |object: &&Value| object["event"] == event;
        said.iter().rev().find(of).cloned()
    }
}

fn spawn(gimlet: &Gimlet, args: &[String]) -> anyhow::Result<(Child, Arc<Mutex<Vec<Value>>>)> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut child = gimlet.stream(&args, Stdio::null(), Stdio::piped())?;
    let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = said.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // A process that was killed may leave half a line.
            if let Ok(object) = serde_json::from_str(&line) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < MAX_OBJECTS {
                    kept.push(object);
                }
            }
        }
    });
    Ok((child, said))
}
