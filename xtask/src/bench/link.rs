//! Two hosts and a server, on this machine or joined by links as people have them, in namespaces:
//! there the link is what bounds a transfer, and not the processors that both ends share here.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, ensure};
use patchbay::{Device, Lab, RouterPreset};
use tokio::process::{Child, Command};

use crate::gimlet::{Place, Running};
use crate::sandbox::{Sandbox, on_path};
use crate::server::serve;

/// What a host may send at once beyond the rate: a batch of segments as it leaves the system, so that
/// the limit costs no timer a packet.
const BURST: &str = "128kb";

/// How long packets may wait in front of the link.
const QUEUE: &str = "20ms";

/// Where everybody is.
pub(super) enum Network {
    Loopback,
    Link { links: Box<Links>, mbit: u32 },
}

/// The hosts with their links; they go away when dropped.
pub(super) struct Links {
    hosts: [Device; 2],
    /// The host of the server, whose own link has no limit.
    server: Device,
    server_ip: Ipv4Addr,
    // Last, so that the hosts go before their network does.
    _lab: Lab,
}

impl Network {
    /// Brings a link up; each of both hosts sends so many megabits a second at most.
    pub(super) async fn link(sandbox: Sandbox, mbit: u32) -> anyhow::Result<Self> {
        let links = Box::new(Links::build(sandbox, mbit).await?);
        Ok(Self::Link { links, mbit })
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Loopback => "loopback".to_owned(),
            Self::Link { mbit, .. } => format!("{mbit} Mbit/s"),
        }
    }

    pub(super) fn is_loopback(&self) -> bool {
        matches!(self, Self::Loopback)
    }

    /// Starts the server; returns the address line that both hosts use.
    pub(super) async fn serve(
        &self,
        binary: &Path,
        folder: &Path,
    ) -> anyhow::Result<(Running, String)> {
        let (place, ip) = self.server();
        serve(binary, place, ip, None, folder).await
    }

    /// Where the server is, and its address there.
    pub(super) fn server(&self) -> (Place, IpAddr) {
        match self {
            Self::Loopback => (Place::Here, Ipv4Addr::LOCALHOST.into()),
            Self::Link { links, .. } => {
                let place = Place::Namespace(links.server.clone());
                (place, links.server_ip.into())
            }
        }
    }

    /// Both hosts.
    pub(super) fn places(&self) -> [Place; 2] {
        match self {
            Self::Loopback => [Place::Here, Place::Here],
            Self::Link { links, .. } => links.hosts.clone().map(Place::Namespace),
        }
    }
}

/// Starts a program that ends with its handle.
pub(super) fn spawn(place: &Place, mut command: Command) -> anyhow::Result<Child> {
    command.kill_on_drop(true);
    match place {
        Place::Here => Ok(command.spawn()?),
        Place::Namespace(device) => device.spawn_command(command),
    }
}

impl Links {
    async fn build(sandbox: Sandbox, mbit: u32) -> anyhow::Result<Self> {
        let lab = sandbox.lab().await?;
        let router = lab.add_router("switch").preset(RouterPreset::Public);
        let router = router.build().await?;
        let host = async |name| {
            let device = lab.add_device(name).iface("eth0", router.id());
            device.build().await
        };
        let hosts = [host("a").await?, host("b").await?];
        let server = host("server").await?;
        for device in &hosts {
            limit(device, mbit)?;
        }
        let server_ip = server.ip().context("the server's host has no address")?;
        Ok(Self {
            hosts,
            server,
            server_ip,
            _lab: lab,
        })
    }
}

fn limit(device: &Device, mbit: u32) -> anyhow::Result<()> {
    device.run_sync(move || {
        let tc = on_path("tc").context("the command `tc` is missing; install iproute2")?;
        let rate = format!("{mbit}mbit");
        let qdisc = ["qdisc", "replace", "dev", "eth0", "root", "tbf"];
        let limits = ["rate", &rate, "burst", BURST, "latency", QUEUE];
        let status = std::process::Command::new(tc)
            .args(qdisc)
            .args(limits)
            .status()?;
        ensure!(status.success(), "tc refused the limit: {status}");
        Ok(())
    })
}
