//! The lab's network: a public region with the server, and a pair of hosts for each site.
//!
//! Everything is brought up once and every pair runs in it. Each site has two hosts, `a` and
//! `b`, behind routers of their own, so that a site can be paired with itself.

mod http_proxy;
mod port_opener;
mod routers;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Context;
use patchbay::{Device, Lab, Router, RouterPreset};
use tokio::process::Child;

use super::site::Site;
use crate::sandbox::{Sandbox, on_path};
use routers::place;
use rules::{forward_table, nft};

/// Which of a site's two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The one that dials.
    A,
    /// The one that answers.
    B,
}

impl Side {
    fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// The network, up and running; it goes away when dropped.
pub(crate) struct Topology {
    hosts: BTreeMap<(Site, Side), Device>,
    /// The router next to each host.
    routers: BTreeMap<(Site, Side), Router>,
    /// The public host that runs the server.
    pub(crate) server: Device,
    /// Where the server is, for everyone.
    pub(crate) server_ip: Ipv4Addr,
    /// A second public address, for telling NAT behaviours apart.
    pub(crate) witness: Device,
    /// The daemons of routers that open ports or are proxies.
    _daemons: Vec<Child>,
    // Last, so that the hosts go before their network does.
    _lab: Lab,
}

impl Topology {
    /// Brings up the public region and every site in `sites`.
    pub(crate) async fn build(sandbox: Sandbox, sites: &BTreeSet<Site>) -> anyhow::Result<Self> {
        let lab = sandbox.lab().await?;
        let public = lab
            .add_router("public")
            .preset(RouterPreset::Public)
            .build()
            .await?;
        let server = device(&lab, "server", &public).await?;
        let witness = device(&lab, "witness", &public).await?;
        let server_ip = server.ip().context("the server's host has no address")?;
        let (mut hosts, mut routers) = (BTreeMap::new(), BTreeMap::new());
        let mut daemons = Vec::new();
        for &site in sites {
            let places = place(&lab, site, server_ip)
                .await
                .with_context(|| format!("site {} did not come up", site.name()))?;
            for (side, router) in places {
                let name = format!("{}-{}", site.name(), side.letter());
                hosts.insert((site, side), device(&lab, &name, &router).await?);
                if site.opens_ports() {
                    daemons.push(port_opener::start(&router)?);
                }
                if site == Site::Proxied {
                    daemons.push(http_proxy::start(&router)?);
                }
                routers.insert((site, side), router);
            }
        }
        Ok(Self {
            hosts,
            routers,
            server,
            server_ip,
            witness,
            _daemons: daemons,
            _lab: lab,
        })
    }

    /// A site's host. Only sites that were asked for are there.
    pub(crate) fn host(&self, site: Site, side: Side) -> anyhow::Result<&Device> {
        self.hosts
            .get(&(site, side))
            .with_context(|| format!("site {} is not up", site.name()))
    }

    /// Where the router next to a host is seen from outside.
    pub(crate) fn outside(&self, site: Site, side: Side) -> anyhow::Result<Option<Ipv4Addr>> {
        let router = self.routers.get(&(site, side));
        let router = router.with_context(|| format!("site {} is not up", site.name()))?;
        Ok(router.uplink_ip())
    }

    /// The proxy that a site's host needs, if it does.
    pub(crate) fn proxy(&self, site: Site, side: Side) -> anyhow::Result<Option<String>> {
        let router = self.routers.get(&(site, side));
        let router = router.with_context(|| format!("site {} is not up", site.name()))?;
        match site {
            Site::Proxied => http_proxy::url(router).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the routers of a site's two hosts pass on what goes from one to the other, past the
    /// server. They do unless told otherwise.
    pub(crate) fn set_direct(&self, site: Site, open: bool) -> anyhow::Result<()> {
        let router = |side| {
            let router = self.routers.get(&(site, side));
            router.with_context(|| format!("site {} is not up", site.name()))
        };
        let other = router(Side::B)?.uplink_ip().context("no address outside")?;
        let rules = match open {
            true => String::new(),
            false => forward_table(
                "cut",
                &format!("ip saddr {other} drop; ip daddr {other} drop"),
            ),
        };
        // Adding it first makes its removal right whether it was there or not.
        let anew = format!("add table inet cut; delete table inet cut; {rules}");
        nft(router(Side::A)?, anew)
    }

    /// What the router next to a host has set up and remembers, for finding out what went
    /// wrong: its rules with their dynamic maps, and its connections.
    pub(crate) fn router_state(&self, site: Site, side: Side) -> anyhow::Result<String> {
        let router = self.routers.get(&(site, side));
        let router = router.with_context(|| format!("site {} is not up", site.name()))?;
        router.run_sync(|| {
            let nft = on_path("nft").context("the command `nft` is not installed")?;
            let rules = Command::new(nft).args(["list", "ruleset"]).output()?;
            // Not every kernel has it.
            let connections = std::fs::read_to_string("/proc/net/nf_conntrack");
            let connections = connections.unwrap_or_else(|error| format!("unknown: {error}\n"));
            let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
            Ok(format!("{rules}\nconnections:\n{connections}"))
        })
    }
}

async fn device(lab: &Lab, name: &str, router: &Router) -> anyhow::Result<Device> {
    lab.add_device(name)
        .iface("eth0", router.id())
        .build()
        .await
}
