//! A sender, a receiver and a server, on one machine or in namespaces with a link between.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::time::timeout;

use super::text;
use crate::bench::cpu;
use crate::bench::figures::gib;
use crate::bench::link::Network;
use crate::gimlet::{Gimlet, Place, Running};
use crate::workspace;

/// Longest that one measurement may take.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// Everybody, and where their files are.
pub(super) struct Hosts {
    pub(super) network: Network,
    pub(super) alice: Gimlet,
    pub(super) bob: Gimlet,
    pub(super) folder: PathBuf,
    echo: Running,
    _server: Running,
}

/// One measurement: MB/s, and processor seconds per GiB.
#[derive(Debug)]
pub(super) struct Spent {
    pub(super) mb_per_s: f64,
    pub(super) sender: f64,
    pub(super) receiver: f64,
}

impl Hosts {
    pub(super) async fn start(
        network: Network,
        binary: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (server, address) = network.serve(binary, folder).await?;
        let [near, far] = network.places();
        let host = |place: &Place, name: &str| {
            let gimlet = Gimlet::on_loopback(binary, &address, folder, name);
            let place = place.clone();
            Gimlet { place, ..gimlet }
        };
        let echo = host(&far, "echo");
        let echo = echo.start(&["--name", "echo", "up", "--echo"]).await?;
        Ok(Self {
            alice: host(&near, "alice"),
            bob: host(&far, "bob"),
            folder: folder.to_owned(),
            echo,
            network,
            _server: server,
        })
    }

    /// The session alone, as all get it or with datagrams as long as the path takes.
    pub(super) async fn session(&self, bytes: u64, long: bool) -> anyhow::Result<Spent> {
        let mib = (bytes >> 20).to_string();
        let echo = self.echo.id().context("echo has ended")?;
        let before = (cpu::of_ended_children()?, cpu::of(echo)?);
        let mut bench = vec!["bench", "echo", "--mib", &mib];
        if long {
            bench.push("--long-datagrams");
        }
        let done = self.alice.run(&bench, LIMIT).await?;
        let mib_per_s = done.last()["mib_per_s"].as_f64();
        Ok(Spent {
            mb_per_s: mib_per_s.context("bench told no rate")? * 1.048_576,
            sender: (cpu::of_ended_children()? - before.0) / gib(bytes),
            receiver: (cpu::of(echo)? - before.1) / gib(bytes),
        })
    }

    /// A file, from connected to done by the sender's word.
    pub(super) async fn file(&self, file: &Path, bytes: u64) -> anyhow::Result<Spent> {
        let receiver = self.receiver().await?;
        let before = cpu::of_ended_children()?;
        let send = ["send", text(file)?, "--to", "bob"];
        let done = self.alice.run(&send, LIMIT).await?;
        ensure!(done.code == Some(0), "send failed: {}", done.last());
        let between = cpu::of_ended_children()?;
        receiver.ended(LIMIT).await?;
        let after = cpu::of_ended_children()?;
        let seconds = done.last()["seconds"].as_f64();
        Ok(Spent {
            mb_per_s: bytes as f64 / 1e6 / seconds.context("send told no time")?,
            sender: (between - before) / gib(bytes),
            receiver: (after - between) / gib(bytes),
        })
    }

    /// Seconds from the sender's start to the end of both, whatever is sent.
    pub(super) async fn send(&self, what: &Path) -> anyhow::Result<f64> {
        let receiver = self.receiver().await?;
        let began_at = Instant::now();
        let send = ["send", text(what)?, "--to", "bob"];
        let mut send = self.alice.stream(&send, Stdio::null(), Stdio::null())?;
        let ended = timeout(LIMIT, send.wait()).await;
        let ended = ended.context("send takes too long")??;
        ensure!(ended.success(), "send failed: {ended}");
        receiver.ended(LIMIT).await?;
        Ok(began_at.elapsed().as_secs_f64())
    }

    /// Bob, with an empty folder.
    async fn receiver(&self) -> anyhow::Result<Running> {
        let target = self.target()?;
        let recv = ["recv", "--name", "bob", "--dir", text(&target)?];
        self.bob.start(&recv).await
    }

    /// An empty folder for Bob.
    pub(super) fn target(&self) -> anyhow::Result<PathBuf> {
        let target = self.folder.join("in");
        workspace::fresh(&target)?;
        Ok(target)
    }
}
