//! Files beside the bare session, a tar pipe and magic-wormhole: `gimlet send` and `recv`, `gimlet
//! bench`, and tar through `gimlet pipe`, in turns, all by the release binary.
//!
//! Over loopback sender and receiver share the processors, which the session alone keeps busy: there
//! every hash and every copy of a file costs rate. Over a link of a gigabit or less, as people have
//! them, the link is the limit.
//!
//! Files are read from the page cache and end on disk, written and named, before their time is taken;
//! tar does not wait for the disk.

mod hosts;
mod small;
mod wormhole;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

use super::figures::Figure;
use super::link::Network;
use super::{Plan, progress};
use crate::sandbox::Sandbox;
use crate::workspace;
use hosts::{Hosts, Spent};

/// Links that are measured, megabits a second, and what part of loopback's bytes goes over each: a few
/// seconds' worth.
const LINKS: [(u32, u64); 2] = [(1000, 2), (100, 8)];

/// Bytes that also go by magic-wormhole: with fewer, starting is most of it.
const WORMHOLE: u64 = 1 << 30;

/// Rounds over links: what a link carries hardly differs from one to the next.
const LINK_ROUNDS: usize = 3;

/// What was measured against what.
#[derive(Debug, Serialize)]
pub(super) struct Files {
    pub(super) large: Vec<Large>,
    /// Small files a second by tar through a pipe, by send, and the second over the first.
    pub(super) tar: Figure,
    pub(super) small: Figure,
    pub(super) small_ratio: Figure,
    pub(super) wormhole: Wormhole,
}

/// A GiB over loopback by magic-wormhole and by `send`, in turns: seconds from the start of both sides'
/// commands.
#[derive(Debug, Serialize)]
pub(super) struct Wormhole {
    /// To the end of both.
    pub(super) ended: Figure,
    /// Until the file is on disk.
    pub(super) on_disk: Figure,
    /// By `send`, which ends when the file is on disk.
    pub(super) gimlet: Figure,
    /// How many times as long either takes as `send`.
    pub(super) ended_ratio: Figure,
    pub(super) on_disk_ratio: Figure,
}

/// A large file over one network.
#[derive(Debug, Serialize)]
pub(super) struct Large {
    pub(super) network: String,
    pub(super) is_loopback: bool,
    /// MB/s of the session alone, of a file, and the second over the first, round by round.
    pub(super) session: Figure,
    pub(super) file: Figure,
    pub(super) ratio: Figure,
    /// MB/s of the session alone with datagrams as long as the file's, and the file's over that.
    pub(super) long_session: Figure,
    pub(super) long_ratio: Figure,
    /// Processor seconds per GiB, of either side.
    pub(super) session_cpu: Cpu,
    pub(super) file_cpu: Cpu,
}

/// What sending and receiving a GiB takes, starts included.
#[derive(Debug, Serialize)]
pub(super) struct Cpu {
    pub(super) sender: Figure,
    pub(super) receiver: Figure,
}

/// What the rounds over one network came to.
#[derive(Debug, Default)]
struct Rounds {
    session: Vec<Spent>,
    long_session: Vec<Spent>,
    file: Vec<Spent>,
}

/// Measures all of it; links where there may be any.
pub(super) async fn measure(
    plan: Plan,
    binary: &Path,
    sandbox: Option<Sandbox>,
) -> anyhow::Result<Files> {
    let folder = workspace::target().join("bench").join("files");
    workspace::fresh(&folder)?;
    let file = folder.join("large");
    fill(&file, plan.bytes)?;
    let hosts = Hosts::start(Network::Loopback, binary, &folder).await?;
    let mut large = vec![over(&hosts, &file, plan.bytes, plan.rounds).await?];
    let (mut tar, mut sent) = (Vec::new(), Vec::new());
    let many = small::fill(&folder)?;
    for _ in 0..plan.rounds.min(LINK_ROUNDS) {
        progress("files, small ones");
        tar.push(small::COUNT as f64 / hosts.tar(&many).await?);
        sent.push(small::COUNT as f64 / hosts.send(&many).await?);
    }
    fill(&file, WORMHOLE)?;
    let wormhole = beside_wormhole(&hosts, &file, plan.rounds.min(LINK_ROUNDS)).await?;
    drop(hosts);
    for (mbit, part) in LINKS {
        let Some(sandbox) = sandbox else { break };
        let bytes = plan.bytes / part;
        fill(&file, bytes)?;
        let hosts = Hosts::start(Network::link(sandbox, mbit).await?, binary, &folder).await?;
        large.push(over(&hosts, &file, bytes, plan.rounds.min(LINK_ROUNDS)).await?);
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(Files {
        large,
        small_ratio: ratio(&sent, &tar)?,
        tar: figure(tar)?,
        small: figure(sent)?,
        wormhole,
    })
}

/// The same file by magic-wormhole and by `send`.
async fn beside_wormhole(hosts: &Hosts, file: &Path, rounds: usize) -> anyhow::Result<Wormhole> {
    let (mut ended, mut on_disk, mut gimlet) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        progress(format_args!(
            "files, magic-wormhole, round {round} of {rounds}"
        ));
        let taken = wormhole::send(&hosts.folder, file).await?;
        ended.push(taken.ended);
        on_disk.push(taken.on_disk);
        // The receiver's start counts, as wormhole's does; removing what came before does not.
        hosts.target()?;
        let began_at = Instant::now();
        hosts.send(file).await?;
        gimlet.push(began_at.elapsed().as_secs_f64());
    }
    Ok(Wormhole {
        ended_ratio: ratio(&ended, &gimlet)?,
        on_disk_ratio: ratio(&on_disk, &gimlet)?,
        ended: figure(ended)?,
        on_disk: figure(on_disk)?,
        gimlet: figure(gimlet)?,
    })
}

/// The session and a file in turns.
async fn over(hosts: &Hosts, file: &Path, bytes: u64, rounds: usize) -> anyhow::Result<Large> {
    let network = hosts.network.name();
    let mut taken = Rounds::default();
    for round in 1..=rounds {
        progress(format_args!("files, {network}, round {round} of {rounds}"));
        taken.session.push(hosts.session(bytes, false).await?);
        taken.long_session.push(hosts.session(bytes, true).await?);
        taken.file.push(hosts.file(file, bytes).await?);
    }
    let rates = |of: &[Spent]| of.iter().map(|spent| spent.mb_per_s).collect::<Vec<_>>();
    let (session, file) = (rates(&taken.session), rates(&taken.file));
    let long_session = rates(&taken.long_session);
    Ok(Large {
        network,
        is_loopback: hosts.network.is_loopback(),
        ratio: ratio(&file, &session)?,
        long_ratio: ratio(&file, &long_session)?,
        long_session: figure(long_session)?,
        session: figure(session)?,
        file: figure(file)?,
        session_cpu: Cpu::of(&taken.session)?,
        file_cpu: Cpu::of(&taken.file)?,
    })
}

impl Cpu {
    fn of(all: &[Spent]) -> anyhow::Result<Self> {
        Ok(Self {
            sender: figure(all.iter().map(|spent| spent.sender))?,
            receiver: figure(all.iter().map(|spent| spent.receiver))?,
        })
    }
}

fn figure(values: impl IntoIterator<Item = f64>) -> anyhow::Result<Figure> {
    Figure::of(values).context("no round")
}

fn ratio(of: &[f64], to: &[f64]) -> anyhow::Result<Figure> {
    figure(of.iter().zip(to).map(|(of, to)| of / to))
}

/// Bytes that nothing compresses; on disk, so that nobody is charged for writing them later, and in the
/// page cache.
fn fill(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(path)?;
    let noise = blake3::Hasher::new().finalize_xof();
    std::io::copy(&mut std::io::Read::take(noise, bytes), &mut file)?;
    file.sync_all()?;
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the workspace's path is not UTF-8")
}
