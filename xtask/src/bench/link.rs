//! Two hosts joined by links as people have them, in namespaces: where the link is what bounds a
//! transfer, and not the processors that both ends share here.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, ensure};
use patchbay::{Device, Lab, RouterPreset};

use crate::sandbox::{Sandbox, on_path};

/// What a host may send at once beyond the rate: a batch of segments as it leaves the system, so that
/// the limit costs no timer a packet.
const BURST: &str = "128kb";

/// How long packets may wait in front of the link.
const QUEUE: &str = "20ms";

/// The network; it goes away when dropped.
pub(super) struct Links {
    /// Both hosts.
    pub(super) hosts: [Device; 2],
    /// The host of the server, whose own link has no limit.
    pub(super) server: Device,
    pub(super) server_ip: Ipv4Addr,
    // Last, so that the hosts go before their network does.
    _lab: Lab,
}

impl Links {
    /// Brings it up; each of both hosts sends so many megabits a second at most.
    pub(super) async fn build(sandbox: Sandbox, mbit: u32) -> anyhow::Result<Self> {
        let builder = match sandbox {
            Sandbox::UserNamespace => Lab::builder(),
            Sandbox::RealRoot => Lab::builder().allow_real_root(),
        };
        let lab = builder.build().await?;
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
        let status = Command::new(tc).args(qdisc).args(limits).status()?;
        ensure!(status.success(), "tc refused the limit: {status}");
        Ok(())
    })
}
