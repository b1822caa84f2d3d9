//! A service's host, its user, and a server, on one machine or in namespaces with a link between.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::proxy::Proxy;
use crate::bench::cpu;
use crate::bench::figures::gib;
use crate::bench::link::{Network, spawn};
use crate::gimlet::{Gimlet, Place, Running, tethered};
use crate::sandbox::on_path;
use crate::workspace;

/// Longest that one measurement may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Pause before a service that does not listen yet is looked for again, and how often.
const STARTING: (Duration, u32) = (Duration::from_millis(50), 100);

/// Everybody.
pub(super) struct Hosts {
    network: Network,
    user: Gimlet,
    /// The service itself, and where the forward and the proxy listen.
    service: u16,
    forward: u16,
    proxy: Proxy,
    echo: Running,
    /// Both ends of the forward.
    ends: [Running; 2],
    _server: Running,
    _iperf3: Child,
}

/// One measurement.
pub(super) struct Taken {
    pub(super) mb_per_s: f64,
    /// Processor seconds per GiB of both ends.
    pub(super) cpu: f64,
}

impl Hosts {
    pub(super) async fn start(network: Network, binary: &Path) -> anyhow::Result<Self> {
        let folder = workspace::target().join("bench").join("forward");
        workspace::fresh(&folder)?;
        let (server, address) = network.serve(binary, &folder).await?;
        let [near, far] = network.places();
        let host = |place: &Place, name: &str| {
            let gimlet = Gimlet::on_loopback(binary, &address, &folder, name);
            Gimlet {
                place: place.clone(),
                ..gimlet
            }
        };
        // Free here, and in a namespace every port is.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let service = free.local_addr()?.port();
        drop(free);
        let port = service.to_string();
        let mut iperf3 = tethered(&program()?);
        iperf3.args(["--server", "--bind", "127.0.0.1", "--port", &port]);
        iperf3.stdout(Stdio::null());
        let iperf3 = spawn(&far, iperf3)?;
        let echo = host(&far, "echo");
        let echo = echo.start(&["--name", "echo", "up", "--echo"]).await?;
        let expose = ["--name", "iperf3", "expose", "iperf3", &port];
        let expose = host(&far, "iperf3").start(&expose).await?;
        let forward = host(&near, "forward");
        let forward = forward.start(&["forward", "0", "iperf3/iperf3"]).await?;
        let listen = forward.ready["listen"].as_str().unwrap_or_default();
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
        let hosts = Self {
            user: host(&near, "user"),
            service,
            forward: port.context("forward told no port")?,
            proxy: Proxy::start(service).await?,
            echo,
            ends: [expose, forward],
            network,
            _server: server,
            _iperf3: iperf3,
        };
        hosts.warm_up().await?;
        Ok(hosts)
    }

    /// Waits until the service is there, and until the session behind the forward is direct: nothing
    /// of that is to be measured.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let (pause, times) = STARTING;
        for _ in 0..times {
            if self.iperf3(self.forward, 1 << 20, false).await.is_ok() {
                return Ok(());
            }
            sleep(pause).await;
        }
        let tried = self.iperf3(self.forward, 1 << 20, false).await;
        tried
            .map(drop)
            .context("iperf3 does not get through the forward")
    }

    /// The session alone, as all get it or with datagrams as long as the path takes.
    pub(super) async fn session(
        &self,
        bytes: u64,
        reverse: bool,
        long: bool,
    ) -> anyhow::Result<Taken> {
        let mib = (bytes >> 20).to_string();
        let mut args = vec!["bench", "echo", "--mib", &mib];
        args.extend(reverse.then_some("--reverse"));
        args.extend(long.then_some("--long-datagrams"));
        let echo = self.echo.id().context("echo has ended")?;
        let spent = || anyhow::Ok(cpu::of(echo)? + cpu::of_ended_children()?);
        let before = spent()?;
        let done = self.user.run(&args, LIMIT).await?;
        let mib_per_s = done.last()["mib_per_s"].as_f64();
        Ok(Taken {
            mb_per_s: mib_per_s.context("bench told no rate")? * 1.048_576,
            cpu: (spent()? - before) / gib(bytes),
        })
    }

    /// iperf3 through the forward.
    pub(super) async fn through_forward(&self, bytes: u64, reverse: bool) -> anyhow::Result<Taken> {
        let spent = || -> anyhow::Result<f64> {
            let ends = self.ends.iter().map(|end| {
                let id = end.id().context("an end of the forward is gone")?;
                cpu::of(id)
            });
            ends.sum()
        };
        let before = spent()?;
        let mb_per_s = self.iperf3(self.forward, bytes, reverse).await?;
        let cpu = (spent()? - before) / gib(bytes);
        Ok(Taken { mb_per_s, cpu })
    }

    /// iperf3 through a proxy on this host.
    pub(super) async fn through_proxy(&self, bytes: u64, reverse: bool) -> anyhow::Result<f64> {
        self.iperf3(self.proxy.port, bytes, reverse).await
    }

    /// iperf3 with nothing between.
    pub(super) async fn straight(&self, bytes: u64, reverse: bool) -> anyhow::Result<f64> {
        self.iperf3(self.service, bytes, reverse).await
    }

    /// MB/s of iperf3 at its receiver.
    async fn iperf3(&self, port: u16, bytes: u64, reverse: bool) -> anyhow::Result<f64> {
        let (port, bytes) = (port.to_string(), bytes.to_string());
        let mut iperf3 = tethered(&program()?);
        iperf3.args(["--client", "127.0.0.1", "--port", &port]);
        iperf3.args(["--bytes", &bytes, "--json"]);
        iperf3.args(reverse.then_some("--reverse"));
        iperf3.stdout(Stdio::piped()).stderr(Stdio::null());
        let [near, _] = self.network.places();
        let iperf3 = spawn(&near, iperf3)?;
        let done = timeout(LIMIT, iperf3.wait_with_output()).await;
        let done = done.context("iperf3 takes too long")??;
        let said: Value = serde_json::from_slice(&done.stdout).context("iperf3 said no JSON")?;
        ensure!(said["error"].is_null(), "iperf3: {}", said["error"]);
        let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(rate.context("iperf3 told no rate")? / 8e6)
    }
}

fn program() -> anyhow::Result<PathBuf> {
    on_path("iperf3").context("iperf3 is missing; install the package iperf3, or run .ci/run")
}
