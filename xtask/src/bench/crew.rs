//! The workers as the bench sees them: started, given orders, gone when dropped.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::link::spawn;
use super::message::{Answer, Job, Order, Reading, Ready, Role, Sent, Threads};
use crate::gimlet::Place;

/// How long an order may take; the longest, a stream over the relay of a busy machine, needs a tenth.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a process that has closed its output may take to end.
const END: Duration = Duration::from_secs(5);

/// Has glibc keep what is freed. With its default, send buffers are given back and faulted in again,
/// 20,000 to 50,000 times a GiB with a pool of threads: by the luck of the heap's layout, which is
/// nobody's that is compared here.
const KEEP_MEMORY: (&str, &str) = ("MALLOC_TRIM_THRESHOLD_", "268435456");

/// One process.
pub(super) struct Worker {
    /// Ends it when dropped, as does the end of its standard input.
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    ready: Ready,
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub(super) async fn start(threads: Threads, role: Role) -> anyhow::Result<Self> {
        Self::start_at(&Place::Here, threads, role).await
    }

    /// The same there.
    pub(super) async fn start_at(
        place: &Place,
        threads: Threads,
        role: Role,
    ) -> anyhow::Result<Self> {
        let what = format!("{role:?}");
        let mut command = Command::new(std::env::current_exe()?);
        if role.moves_streams() {
            command.env(KEEP_MEMORY.0, KEEP_MEMORY.1);
        }
        command
            .args(["bench", "--worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(place, command).context("a worker could not be started")?;
        let orders = child.stdin.take().context("no pipe to the worker")?;
        let answers = child.stdout.take().context("no pipe from the worker")?;
        let mut worker = Self {
            child,
            orders,
            answers: BufReader::new(answers).lines(),
            ready: Ready::default(),
        };
        worker.say(&Job { role, threads }).await?;
        match worker.hear().await.context(what)? {
            Answer::Ready(ready) => worker.ready = ready,
            other => bail!("a worker began with {other:?}"),
        }
        Ok(worker)
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> anyhow::Result<SocketAddr> {
        self.ready.addr.context("the worker told no address")
    }

    /// A server's address line.
    pub(super) fn line(&self) -> anyhow::Result<String> {
        let line = self.ready.line.clone();
        line.context("the worker told no address line")
    }

    /// Kills it and waits until it is gone, with its sockets.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Gives an order and waits until it is done.
    pub(super) async fn ask(&mut self, order: Order) -> anyhow::Result<Answer> {
        self.say(&order).await?;
        self.hear().await
    }

    /// What it has used so far.
    pub(super) async fn read(&mut self) -> anyhow::Result<Reading> {
        match self.ask(Order::Read).await? {
            Answer::Read(reading) => Ok(reading),
            other => bail!("a worker asked for a reading said {other:?}"),
        }
    }

    /// Has it send so many bytes on so many streams.
    pub(super) async fn send(&mut self, bytes: u64, streams: u8) -> anyhow::Result<Sent> {
        match self.ask(Order::Send { bytes, streams }).await? {
            Answer::Sent(sent) => Ok(sent),
            other => bail!("a worker told to send said {other:?}"),
        }
    }

    /// Gives an order that is answered without figures.
    pub(super) async fn done(&mut self, order: Order) -> anyhow::Result<()> {
        match self.ask(order).await? {
            Answer::Done => Ok(()),
            other => bail!("a worker that should be done said {other:?}"),
        }
    }

    /// How its process ended.
    async fn end(&mut self) -> String {
        match timeout(END, self.child.wait()).await {
            Ok(Ok(status)) => match status.signal() {
                Some(9) => format!("{status}; the system does that when memory is short"),
                _ => status.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it still runs".to_owned(),
        }
    }

    async fn say(&mut self, what: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        Ok(self.orders.flush().await?)
    }

    async fn hear(&mut self) -> anyhow::Result<Answer> {
        let line = timeout(PATIENCE, self.answers.next_line()).await;
        let line = line.with_context(|| format!("no answer in {} s", PATIENCE.as_secs()))??;
        let Some(line) = line else {
            bail!("the worker ended without an answer: {}", self.end().await);
        };
        match serde_json::from_str(&line)? {
            Answer::Failed(why) => bail!("the worker failed: {why}"),
            answer => Ok(answer),
        }
    }
}
