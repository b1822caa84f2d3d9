//! Bytes both ways at once over one session, through `gimlet pipe` at both ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::Child;
use tokio::time::timeout;

use crate::gimlet::Gimlet;
use crate::payload;

/// How long either end may take, whatever happens; generous, for machines that are busy.
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a listener may take to sign in before a dialer gives up on it.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two dials of a listener that is not there yet.
const DIAL_INTERVAL: Duration = Duration::from_millis(50);
/// The exit status for "nobody reachable".
const NOBODY: i32 = 3;

/// What each end sends, and where what it receives goes.
pub(crate) struct Files {
    /// What the dialing end sends.
    pub(crate) a_in: PathBuf,
    /// What the dialing end received.
    pub(crate) a_out: PathBuf,
    /// What the listening end sends.
    pub(crate) b_in: PathBuf,
    /// What the listening end received.
    pub(crate) b_out: PathBuf,
}

impl Files {
    /// Names for one transfer in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let file = |end| folder.join(format!("{name}.{end}"));
        Self {
            a_in: file("a.in"),
            a_out: file("a.out"),
            b_in: file("b.in"),
            b_out: file("b.out"),
        }
    }

    /// Fills both ends with `len` bytes each, that differ, and by `seed` replay.
    pub(crate) fn fill(&self, seed: &str, len: usize) -> anyhow::Result<()> {
        payload::write(&self.a_in, &format!("{seed} from a"), len)?;
        payload::write(&self.b_in, &format!("{seed} from b"), len)
    }

    /// Errors unless each end received what the other sent; returns the two hashes, first the
    /// one of what the dialing end sent.
    pub(crate) fn verify(&self) -> anyhow::Result<[blake3::Hash; 2]> {
        let there = payload::verify(&self.a_in, &self.b_out).context("to the listening end")?;
        let back = payload::verify(&self.b_in, &self.a_out).context("to the dialing end")?;
        Ok([there, back])
    }

    /// Removes them all.
    pub(crate) fn remove(&self) {
        for file in [&self.a_in, &self.a_out, &self.b_in, &self.b_out] {
            // Only disk space depends on it.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Connects `a` to `b`, which listens, and moves the files. Returns how long it took from the
/// start of the dial that was answered.
pub(crate) async fn exchange(a: &Gimlet, b: &Gimlet, files: &Files) -> anyhow::Result<Duration> {
    let id = b.run(&["id"], END_TIMEOUT).await?;
    let peer = id.last()["peer"]
        .as_str()
        .context("`id` told no peer id")?
        .to_owned();
    let listen = ["pipe", "--listen", "--accept", "all"];
    let mut listening = b.pipe(&listen, &files.b_in, &files.b_out)?;
    let took = dial(a, &peer, files, &mut listening).await?;
    end(&mut listening).await.context("the listening end")?;
    Ok(took)
}

/// Dials until the listener is there and both directions are done.
async fn dial(
    a: &Gimlet,
    peer: &str,
    files: &Files,
    listening: &mut Child,
) -> anyhow::Result<Duration> {
    let deadline = Instant::now() + LISTEN_TIMEOUT;
    loop {
        let started = Instant::now();
        let mut dialing = a.pipe(&["pipe", peer], &files.a_in, &files.a_out)?;
        match code(&mut dialing).await.context("the dialing end")? {
            Some(0) => return Ok(started.elapsed()),
            Some(NOBODY) if started < deadline && listening.try_wait()?.is_none() => {
                tokio::time::sleep(DIAL_INTERVAL).await;
            }
            code => bail!("the dialing end: exit status {code:?}"),
        }
    }
}

async fn end(child: &mut Child) -> anyhow::Result<()> {
    match code(child).await? {
        Some(0) => Ok(()),
        code => bail!("exit status {code:?}"),
    }
}

async fn code(child: &mut Child) -> anyhow::Result<Option<i32>> {
    let status = timeout(END_TIMEOUT, child.wait()).await;
    Ok(status
        .with_context(|| format!("no end within {} s", END_TIMEOUT.as_secs()))??
        .code())
}
