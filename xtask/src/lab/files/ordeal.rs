//! One transfer and what is done to it.

mod notice;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::time::sleep;

use super::acts::{self, Act};
use super::host::Host;
use super::tally::Stretch;
use super::wire::{self, Traffic};
use super::{Extent, MIB, Way};
use crate::gimlet::{Gimlet, Place};
use crate::lab::Crew;
use crate::lab::topology::{Side, Topology};
use crate::payload;
use notice::{Begun, Flow};

/// Between two looks at how much was sent: a seventh of a mebibyte at the link's speed.
const LOOK_INTERVAL: Duration = Duration::from_millis(3);

/// How long a transfer may take, besides a second for each of its mebibytes.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// How long `id` may take.
const ID_TIMEOUT: Duration = Duration::from_secs(40);

/// Size of files that nobody is killed over: six seconds, enough to come back to a direct path that was
/// away for two.
const COMPARED: u64 = 256 * MIB;

/// What is to be done to a transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordeal {
    pub(super) way: Way,
    pub(super) bytes: u64,
    pub(super) kills: u32,
    pub(super) cuts: u32,
    pub(super) seed: u64,
}

/// What it took.
#[derive(Debug)]
pub(super) struct Passed {
    /// Bytes that the sender's host has sent.
    pub(super) sent: u64,
    /// Bytes that the server has received.
    pub(super) relayed: u64,
    /// From the first beginning on.
    pub(super) stretches: Vec<Stretch>,
    /// The longest time without a byte of the file.
    pub(super) pause: Duration,
    pub(super) took: Duration,
}

impl Ordeal {
    /// Nothing, for comparison.
    pub(super) fn calm(way: Way, extent: Extent) -> Self {
        Self {
            way,
            bytes: extent.bytes.min(COMPARED),
            kills: 0,
            cuts: 0,
            seed: extent.seed,
        }
    }

    /// The direct path is taken away and given back, and nobody is killed.
    pub(super) fn moved(extent: Extent) -> Self {
        Self {
            way: Way::Moved,
            bytes: COMPARED,
            kills: 0,
            cuts: 1,
            seed: extent.seed,
        }
    }

    /// Everything.
    pub(super) fn under(way: Way, extent: Extent) -> Self {
        let cuts = match way {
            Way::Direct | Way::Relayed => 0,
            Way::Moved => extent.cuts,
        };
        Self {
            way,
            bytes: extent.bytes,
            kills: extent.kills,
            cuts,
            seed: extent.seed,
        }
    }

    pub(super) fn is_calm(self) -> bool {
        (self.kills, self.cuts) == (0, 0)
    }

    pub(super) fn name(self) -> String {
        match self.kills {
            0 => format!("{}-alive", self.way.name()),
            _ => self.way.name().to_owned(),
        }
    }
}

/// Runs one. Its logs stay, what it carried does not.
pub(super) async fn pass(
    crew: &Crew,
    topology: &Topology,
    server: &str,
    folder: &Path,
    ordeal: Ordeal,
) -> anyhow::Result<Passed> {
    let host = |side, name: &str| -> anyhow::Result<Gimlet> {
        let device = topology.host(ordeal.way.site(), side)?;
        Ok(crew.host(Place::Namespace(device.clone()), server, folder, name))
    };
    let scene = Scene {
        topology,
        ordeal,
        sender: host(Side::A, "sender")?,
        receiver: host(Side::B, "receiver")?,
    };
    let passed = scene.play(folder).await;
    // A path that was taken away is given back whatever happened.
    topology.set_direct(ordeal.way.site(), true)?;
    passed
}

struct Scene<'a> {
    topology: &'a Topology,
    ordeal: Ordeal,
    sender: Gimlet,
    receiver: Gimlet,
}

impl Scene<'_> {
    async fn play(&self, folder: &Path) -> anyhow::Result<Passed> {
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.context("the workspace's path is not UTF-8")
        };
        let (from, into) = (folder.join("large"), folder.join("in"));
        let seed = format!("{} {}", self.ordeal.name(), self.ordeal.seed);
        let hash = payload::write_long(&from, &seed, self.ordeal.bytes)?;
        let id = self.receiver.run(&["id"], ID_TIMEOUT).await?;
        let peer = id.last()["peer"].as_str().context("`id` told no peer id")?;
        let recv = ["recv", "--json", "--accept", "all", "--dir", &text(&into)?].map(str::to_owned);
        let send = ["send", "--json", &text(&from)?, "--to", peer].map(str::to_owned);
        wire::slow_down(self.topology.host(self.ordeal.way.site(), Side::A)?)?;
        let mut receiver = Host::start(self.receiver.clone(), recv.to_vec())?;
        receiver.ready().await?;
        let mut sender = Host::start(self.sender.clone(), send.to_vec())?;
        let passed = self.carry(&mut sender, &mut receiver).await?;
        self.verify(&into.join("large"), hash, &sender, &receiver)?;
        // What was proven is not worth the disk; what failed stays for a look.
        let _ = std::fs::remove_file(&from);
        let _ = std::fs::remove_dir_all(&into);
        Ok(passed)
    }

    /// Does what is to be done, until both sides say that they are done.
    async fn carry(&self, sender: &mut Host, receiver: &mut Host) -> anyhow::Result<Passed> {
        let Ordeal { bytes, .. } = self.ordeal;
        let mut acts = acts::plan(self.ordeal.seed, bytes, self.ordeal.kills, self.ordeal.cuts)
            .into_iter()
            .peekable();
        let started = Instant::now();
        let deadline = started + END_TIMEOUT + Duration::from_secs(bytes / MIB);
        let (before, server_before) = self.traffic()?;
        let mut flow = Flow::new(started);
        let mut begun = Begun::default();
        loop {
            let sent = self.traffic()?.0.sent - before.sent;
            flow.look(Instant::now(), sent);
            begun.look(receiver, sent);
            if let Some((_, act)) = acts.next_if(|(at, _)| sent >= *at) {
                begun.act(act);
                self.act(act, sender, receiver).await?;
            }
            let ended = (sender.ended()?, receiver.ended()?);
            for (status, who) in [(ended.0, "sender"), (ended.1, "receiver")] {
                if let Some(status) = status.filter(|status| !status.success()) {
                    bail!("the {who} has ended: {status}");
                }
            }
            if let (Some(_), Some(_)) = ended {
                break;
            }
            ensure!(Instant::now() < deadline, "the transfer does not end");
            sleep(LOOK_INTERVAL).await;
        }
        ensure!(acts.peek().is_none(), "it ended before everything was done");
        let (after, server_after) = self.traffic()?;
        Ok(Passed {
            sent: after.sent - before.sent,
            relayed: server_after.received - server_before.received,
            stretches: begun.stretches,
            pause: flow.pause,
            took: started.elapsed(),
        })
    }

    async fn act(&self, act: Act, sender: &mut Host, receiver: &mut Host) -> anyhow::Result<()> {
        match act {
            Act::KillSender => sender.kill().await,
            Act::KillReceiver => {
                receiver.kill().await?;
                receiver.ready().await
            }
            Act::Cut => self.topology.set_direct(self.ordeal.way.site(), false),
            Act::Mend => self.topology.set_direct(self.ordeal.way.site(), true),
        }
    }

    /// Of the sender's host, and of the server's.
    fn traffic(&self) -> anyhow::Result<(Traffic, Traffic)> {
        let sender = self.topology.host(self.ordeal.way.site(), Side::A)?;
        Ok((
            wire::traffic(sender)?,
            wire::traffic(&self.topology.server)?,
        ))
    }

    /// The right bytes are there, and both sides know it.
    fn verify(
        &self,
        arrived: &Path,
        hash: blake3::Hash,
        sender: &Host,
        receiver: &Host,
    ) -> anyhow::Result<()> {
        let (len, got) = payload::hash(arrived, 2 * self.ordeal.bytes)?;
        ensure!(
            (len, got) == (self.ordeal.bytes, hash),
            "{len} bytes of {} arrived, or other ones",
            self.ordeal.bytes
        );
        for (who, host) in [("sender", sender), ("receiver", receiver)] {
            let file = host.last("file");
            let file = file.with_context(|| format!("the {who} tells of no file"))?;
            let (told, hash) = (&file["hash"], hash.to_string());
            ensure!(*told == hash, "the {who} says {told}, it is {hash}");
        }
        Ok(())
    }
}
