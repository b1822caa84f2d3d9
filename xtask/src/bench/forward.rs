//! What a forward carries beside the bare session: iperf3 through `gimlet forward`, and `gimlet bench`
//! between the same hosts, in turns.
//!
//! Both use the release binary over loopback. Through the forward every byte is copied twice more, into
//! and out of a TCP socket at either side, by the same few cores.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;

use super::figures::Figure;
use super::{Plan, progress};
use crate::gimlet::{Gimlet, Place, Running, tethered};
use crate::sandbox::on_path;
use crate::server::serve;
use crate::workspace;

/// Longest that one measurement may take.
const LIMIT: Duration = Duration::from_secs(120);

/// One direction.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) direction: &'static str,
    /// MB/s of the session alone.
    pub(super) session: Figure,
    /// MB/s of iperf3 through the forward.
    pub(super) forward: Figure,
    /// The second over the first, round by round.
    pub(super) ratio: Figure,
}

/// What is measured against what.
struct Hosts {
    user: Gimlet,
    /// Where the forward listens.
    port: String,
    _running: Vec<Running>,
    _iperf3: tokio::process::Child,
}

/// Measures both directions.
pub(super) async fn measure(plan: Plan) -> anyhow::Result<Vec<Line>> {
    let binary = workspace::binary(None)?;
    let folder = workspace::target().join("bench").join("forward");
    workspace::fresh(&folder)?;
    let hosts = Hosts::start(&binary, &folder).await?;
    let mut lines = Vec::new();
    for (direction, reverse) in [("to the service", false), ("from the service", true)] {
        progress(format_args!("forward, {direction}"));
        let (mut session, mut forward) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            session.push(hosts.session(plan.bytes, reverse).await?);
            forward.push(hosts.iperf3(plan.bytes, reverse).await?);
        }
        let ratios = session.iter().zip(&forward).map(|(s, f)| f / s);
        let figure = |values: &[f64]| Figure::of(values.iter().copied()).context("no round");
        lines.push(Line {
            direction,
            session: figure(&session)?,
            forward: figure(&forward)?,
            ratio: Figure::of(ratios).context("no round")?,
        });
    }
    Ok(lines)
}

impl Hosts {
    async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (server, address) = serve(binary, Place::Here, ip, None, folder).await?;
        let host = |name: &str| Gimlet::on_loopback(binary, &address, folder, name);
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let service = free.local_addr()?.port().to_string();
        drop(free);
        let mut iperf3 = tethered(&program()?);
        iperf3.args(["--server", "--bind", "127.0.0.1", "--port", &service]);
        let iperf3 = iperf3.stdout(Stdio::null()).kill_on_drop(true).spawn()?;
        let echo = host("echo");
        let echo = echo.start(&["--name", "echo", "up", "--echo"]).await?;
        let expose = ["--name", "iperf3", "expose", "iperf3", &service];
        let expose = host("iperf3").start(&expose).await?;
        let forward = host("forward")
            .start(&["forward", "0", "iperf3/iperf3"])
            .await?;
        let listen = forward.ready["listen"].as_str().unwrap_or_default();
        let port = listen.rsplit(':').next().unwrap_or_default().to_owned();
        Ok(Self {
            user: host("user"),
            port,
            _running: vec![server, echo, expose, forward],
            _iperf3: iperf3,
        })
    }

    /// MB/s of the session.
    async fn session(&self, bytes: u64, reverse: bool) -> anyhow::Result<f64> {
        let mib = (bytes >> 20).to_string();
        let mut args = vec!["bench", "echo", "--mib", &mib];
        args.extend(reverse.then_some("--reverse"));
        let done = self.user.run(&args, LIMIT).await?;
        let mib_per_s = done.last()["mib_per_s"].as_f64();
        Ok(mib_per_s.context("bench told no rate")? * 1.048_576)
    }

    /// MB/s of iperf3 at its receiver.
    async fn iperf3(&self, bytes: u64, reverse: bool) -> anyhow::Result<f64> {
        let bytes = bytes.to_string();
        let mut iperf3 = tethered(&program()?);
        iperf3.args(["--client", "127.0.0.1", "--port", &self.port]);
        iperf3.args(["--bytes", &bytes, "--json"]);
        iperf3
            .args(reverse.then_some("--reverse"))
            .kill_on_drop(true);
        let done = tokio::time::timeout(LIMIT, iperf3.output()).await;
        let done = done.context("iperf3 takes too long")??;
        let said: Value = serde_json::from_slice(&done.stdout).context("iperf3 said no JSON")?;
        ensure!(done.status.success(), "iperf3: {}", said["error"]);
        let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(rate.context("iperf3 told no rate")? / 8e6)
    }
}

fn program() -> anyhow::Result<std::path::PathBuf> {
    on_path("iperf3").context("iperf3 is missing; install the package iperf3, or run .ci/run")
}
