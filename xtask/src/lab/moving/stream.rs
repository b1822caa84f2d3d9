//! One transfer that goes on until it is told to end: `gimlet pipe` at both ends, a steady
//! stream into the one, a trace of what comes out of the other.

use std::cell::{Cell, RefCell};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::trace::Trace;
use crate::gimlet::Gimlet;

/// Bytes of one write.
const CHUNK: usize = 16 * 1024;
/// Between two writes: some 13 Mbit/s, well below what the network carries, so that silence is
/// silence and not a queue.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);
/// How long a listener may take to sign in before a dialer gives up on it.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long both ends may take to say goodbye.
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a dialer may take until the first byte is through.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);

/// Both ends of a transfer that has begun.
pub(super) struct Stream {
    dialing: Child,
    listening: Child,
    input: ChildStdin,
    output: ChildStdout,
    source: blake3::OutputReader,
    trace: RefCell<Trace>,
}

impl Stream {
    /// Connects `a` to `b` and brings the first byte through.
    pub(super) async fn open(a: &Gimlet, b: &Gimlet, seed: &str) -> anyhow::Result<Self> {
        let id = b.run(&["id"], END_TIMEOUT).await?;
        let peer = id.last()["peer"].as_str().context("`id` told no peer id")?;
        let listen = ["pipe", "--listen", "--accept", "all"];
        let mut listening = b.stream(&listen, Stdio::null(), Stdio::piped())?;
        let mut output = listening.stdout.take().context("no pipe")?;
        let deadline = Instant::now() + DIAL_TIMEOUT;
        loop {
            ensure!(Instant::now() < deadline, "no dial was answered");
            let mut dialing = a.stream(&["pipe", peer], Stdio::piped(), Stdio::null())?;
            let mut input = dialing.stdin.take().context("no pipe")?;
            // One that finds nobody does not read it, and that is no error yet.
            let _ = input.write_all(b"!").await;
            let mut first = [0];
            tokio::select! {
                // The listener is not signed in yet: another dial.
                _ = dialing.wait() => continue,
                read = timeout(FIRST_BYTE_TIMEOUT, output.read_exact(&mut first)) => {
                    read.context("no byte came through")??;
                }
            }
            let source = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
            return Ok(Self {
                dialing,
                listening,
                input,
                output,
                source,
                trace: RefCell::default(),
            });
        }
    }

    /// Streams while `meanwhile` runs, then ends the transfer; returns what `meanwhile`
    /// returned, and the bytes that arrived, all of them as they were sent.
    pub(super) async fn during<T>(
        self,
        meanwhile: impl AsyncFnOnce(&mut Child, &mut Child, &RefCell<Trace>) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, u64)> {
        let Self {
            mut dialing,
            mut listening,
            input,
            mut output,
            source,
            trace,
        } = self;
        let (stop, sent, received) = (Cell::new(false), RefCell::default(), RefCell::default());
        let feed = feed(input, source, &stop, &sent);
        let drain = drain(&mut output, &received, &trace);
        let carried = async { tokio::try_join!(feed, drain) };
        tokio::pin!(carried);
        let done = tokio::select! {
            ended = &mut carried => bail!("it broke off: {ended:?}"),
            done = meanwhile(&mut dialing, &mut listening, &trace) => done?,
        };
        stop.set(true);
        let ended = async {
            carried.await?;
            anyhow::Ok((dialing.wait().await?, listening.wait().await?))
        };
        let (dialing, listening) = timeout(END_TIMEOUT, ended)
            .await
            .context("the transfer does not end")??;
        ensure!(dialing.success(), "the dialing end: {dialing}");
        ensure!(listening.success(), "the listening end: {listening}");
        let (sent, received) = (sent.borrow(), received.borrow());
        ensure!(
            received.finalize() == sent.finalize(),
            "{} bytes arrived of {}, or other ones",
            received.count(),
            sent.count()
        );
        Ok((done, received.count()))
    }
}

/// Writes on time until told to stop, and then says that this was all.
async fn feed(
    mut input: ChildStdin,
    mut source: blake3::OutputReader,
    stop: &Cell<bool>,
    sent: &RefCell<blake3::Hasher>,
) -> anyhow::Result<()> {
    let (mut chunk, mut turns) = ([0; CHUNK], interval(WRITE_INTERVAL));
    // What could not be written on time is not made up for in a burst.
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.get() {
        turns.tick().await;
        source.fill(&mut chunk);
        sent.borrow_mut().update(&chunk);
        input.write_all(&chunk).await?;
    }
    Ok(())
}

async fn drain(
    output: &mut ChildStdout,
    received: &RefCell<blake3::Hasher>,
    trace: &RefCell<Trace>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let len = output.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        trace.borrow_mut().arrived(Instant::now());
        received.borrow_mut().update(&buffer[..len]);
    }
}
