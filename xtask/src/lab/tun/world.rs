//! Three namespaces with a TUN device each, and the simulator's network between them.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, ensure};
use gimlet_sim::{LinkConfig, Net, RouterId};
use patchbay::{Device, Lab};
use tun_rs::DeviceBuilder;

use super::carrier::{Carrier, End, Laid};
use super::layout::{self, Home, Layout};
use crate::lab::topology::Side;
use crate::sandbox::{Sandbox, on_path};

/// Packets the kernel may queue towards us. Its default of 500 is less than one window of a
/// fast sender at 20 ms; a link's queue is the simulator's to have.
const QUEUE: &str = "5000";
/// What a link carries at most, as on Ethernet.
const MTU: u16 = 1_500;

/// Where the server is, for everyone. From one address alone nobody could tell a mapping that
/// depends on the remote address from one that depends on nothing.
pub(crate) const SERVER_IPS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(11, 0, 0, 1), Ipv4Addr::new(11, 0, 0, 2)];

/// The three namespaces, in the order of [`Laid::hosts`].
const SERVER: usize = 0;

/// Namespaces and carrier; they go away when dropped.
pub(crate) struct World {
    carrier: Carrier,
    /// The namespace of the server.
    pub(crate) server: Device,
    hosts: [Device; 2],
    // Last, so that the carrier goes before its namespaces do.
    _lab: Lab,
}

/// The two interfaces of a host; it uses one at a time.
const INTERFACES: [&str; 2] = ["tun0", "tun1"];

impl World {
    /// Makes the namespaces and starts the carrier.
    pub(crate) async fn build(sandbox: Sandbox) -> anyhow::Result<Self> {
        let lab = sandbox.lab().await?;
        let server = lab.add_device("tun-server").build().await?;
        let a = lab.add_device("tun-a").build().await?;
        let b = lab.add_device("tun-b").build().await?;
        let mut ends = vec![open(&server, SERVER, INTERFACES[0])?];
        for (device, side) in [(&a, Side::A), (&b, Side::B)] {
            for name in INTERFACES {
                ends.push(open(device, place(side), name)?);
            }
        }
        use_interface(&server, INTERFACES[0], SERVER_IPS[0])?;
        let second = SERVER_IPS[1].to_string();
        server.run_sync(move || ip(&["address", "add", &second, "dev", INTERFACES[0]]))?;
        Ok(Self {
            carrier: Carrier::start(ends)?,
            server,
            hosts: [a, b],
            _lab: lab,
        })
    }

    /// The namespace of a host.
    pub(crate) fn host(&self, side: Side) -> &Device {
        &self.hosts[place(side) - 1]
    }

    /// Replaces the network and gives the hosts their addresses in it.
    pub(crate) fn lay(&self, seed: u64, layout: &Layout) -> anyhow::Result<[Home; 2]> {
        let built = layout::build(seed, layout)?;
        for side in [Side::A, Side::B] {
            let address = built.address(side)?;
            use_interface(self.host(side), INTERFACES[0], address)?;
        }
        self.carrier.lay(Laid {
            hosts: vec![built.server, built.a.host, built.b.host],
            ends: vec![0, 1, 3],
            net: built.net,
        });
        Ok([built.a, built.b])
    }

    /// Changes or asks the network.
    pub(crate) fn net<T>(&self, act: impl FnOnce(&mut Net) -> T) -> anyhow::Result<T> {
        let done = self.carrier.with(|laid| act(&mut laid.net));
        done.context("no network is laid")
    }

    /// Takes a host to another router, by its other interface, with another address.
    pub(crate) fn change_interface(
        &self,
        side: Side,
        router: Option<RouterId>,
        address: Ipv4Addr,
        link: LinkConfig,
    ) -> anyhow::Result<()> {
        let at = place(side);
        self.carrier
            .with(|laid| {
                let host = laid.hosts[at];
                laid.net.move_host(host, router, vec![IpAddr::V4(address)]);
                laid.net.set_link(host, link);
                laid.ends[at] = 2 * at;
            })
            .context("no network is laid")?;
        use_interface(self.host(side), INTERFACES[1], address)
    }
}

fn place(side: Side) -> usize {
    match side {
        Side::A => 1,
        Side::B => 2,
    }
}

/// Makes a TUN device in the namespace of a host; it is ours wherever we are afterwards.
fn open(host: &Device, place: usize, name: &'static str) -> anyhow::Result<End> {
    let device = host.run_sync(move || {
        let device = DeviceBuilder::new().name(name).mtu(MTU).enable(false);
        let device = device.build_sync();
        device.context("no TUN device: /dev/net/tun must be there and open to everyone")
    })?;
    Ok(End { place, device })
}

/// Makes `name` a host's only way out, with this address alone.
fn use_interface(host: &Device, name: &'static str, address: Ipv4Addr) -> anyhow::Result<()> {
    let address = address.to_string();
    host.run_sync(move || {
        for other in INTERFACES.into_iter().filter(|other| *other != name) {
            // The server has only one.
            let _ = ip(&["link", "set", other, "down"]);
            let _ = ip(&["address", "flush", "dev", other]);
        }
        ip(&["address", "flush", "dev", name])?;
        // Without a link-local IPv6 address: nothing here carries that.
        ip(&["link", "set", name, "addrgenmode", "none"])?;
        ip(&["link", "set", name, "txqueuelen", QUEUE, "up"])?;
        ip(&["address", "add", &address, "dev", name])?;
        ip(&["route", "replace", "default", "dev", name, "src", &address])
    })
}

fn ip(args: &[&str]) -> anyhow::Result<()> {
    let ip = on_path("ip").context("the command `ip` is not installed (package iproute2)")?;
    let output = Command::new(ip).args(args).output()?;
    let says = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ip {}: {}",
        args.join(" "),
        says.trim()
    );
    Ok(())
}
