//! The lab's network: a public region with the server, and a pair of hosts for each site.
//!
//! Everything is brought up once and every pair runs in it. Each site has two hosts, `a` and
//! `b`, behind routers of their own, so that a site can be paired with itself.

mod http_proxy;
mod port_opener;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use patchbay::{
    Device, Firewall, IpSupport, Lab, Nat, NatConfig, NatFiltering, NatMapping, Router,
    RouterPreset,
};

use tokio::process::Child;

use super::site::Site;
use crate::sandbox::{Sandbox, on_path};

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

/// Makes a site's routers: the one for each of its two hosts.
async fn place(lab: &Lab, site: Site, server: Ipv4Addr) -> anyhow::Result<[(Side, Router); 2]> {
    match site {
        Site::Lan => {
            let router = nat(lab, "lan", Nat::Moderate, None).await?;
            Ok([(Side::A, router.clone()), (Side::B, router)])
        }
        Site::Shared | Site::Hairpin => {
            let carrier = nat(lab, site.name(), shared_carrier(site)?, None).await?;
            // Open homes: what keeps the two apart is then the carrier and nothing else.
            Ok([
                (
                    Side::A,
                    home(lab, site, Side::A, Nat::Open, &carrier).await?,
                ),
                (
                    Side::B,
                    home(lab, site, Side::B, Nat::Open, &carrier).await?,
                ),
            ])
        }
        Site::None
        | Site::Open
        | Site::Moderate
        | Site::Strict
        | Site::Restricted
        | Site::Firewall
        | Site::Double
        | Site::Carrier
        | Site::ServerOnly
        | Site::Ipv6
        | Site::Upnp
        | Site::UpnpCarrier
        | Site::Blocked
        | Site::Proxied => Ok([
            (Side::A, apart(lab, site, Side::A, server).await?),
            (Side::B, apart(lab, site, Side::B, server).await?),
        ]),
    }
}

/// Makes the router, or the two in a row, for one host of a site that shares nothing.
async fn apart(lab: &Lab, site: Site, side: Side, server: Ipv4Addr) -> anyhow::Result<Router> {
    let name = format!("{}-{}-router", site.name(), side.letter());
    match site {
        Site::None => {
            lab.add_router(&name)
                .preset(RouterPreset::PublicV4)
                .build()
                .await
        }
        Site::Firewall => {
            let router = lab.add_router(&name).preset(RouterPreset::PublicV4);
            router.firewall(Firewall::BlockInbound).build().await
        }
        Site::Open => nat(lab, &name, Nat::Open, None).await,
        Site::Moderate => nat(lab, &name, Nat::Moderate, None).await,
        Site::Strict => nat(lab, &name, Nat::Strict, None).await,
        Site::Restricted => nat(lab, &name, restricted()?, None).await,
        Site::Double => behind(lab, site, side, Nat::Moderate, Nat::Moderate).await,
        Site::Carrier => behind(lab, site, side, Nat::Moderate, Nat::Strict).await,
        Site::UpnpCarrier => behind(lab, site, side, Nat::Strict, Nat::Moderate).await,
        Site::Upnp => {
            // The daemon opens nothing on the addresses that all else here has outside: they
            // are reserved for tests, and it takes them for a carrier's.
            let provider = lab.add_router(&format!("{name}-provider"));
            let provider = provider.preset(RouterPreset::PublicV4);
            let outside = match side {
                Side::A => "11.0.1.0/24",
                Side::B => "11.0.2.0/24",
            };
            let provider = provider.downstream_cidr(outside.parse()?).build().await?;
            nat(lab, &name, Nat::Strict, Some(&provider)).await
        }
        Site::ServerOnly => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            allow_udp_only_to(&router, server)?;
            Ok(router)
        }
        Site::Blocked => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            drop_forwarded(&router, "meta l4proto udp")?;
            Ok(router)
        }
        Site::Proxied => {
            let router = nat(lab, &name, Nat::Moderate, None).await?;
            drop_forwarded(&router, "meta l4proto { tcp, udp }")?;
            Ok(router)
        }
        Site::Ipv6 => {
            let router = lab.add_router(&name).preset(RouterPreset::Public);
            let router = router.ip_support(IpSupport::DualStack).nat(Nat::Strict);
            router.firewall(Firewall::BlockInbound).build().await
        }
        Site::Lan | Site::Shared | Site::Hairpin => anyhow::bail!("a shared site is not apart"),
    }
}

/// A home behind a carrier of its own.
async fn behind(
    lab: &Lab,
    site: Site,
    side: Side,
    kind: Nat,
    outer: Nat,
) -> anyhow::Result<Router> {
    let name = format!("{}-{}-router-carrier", site.name(), side.letter());
    let carrier = nat(lab, &name, outer, None).await?;
    home(lab, site, side, kind, &carrier).await
}

async fn home(
    lab: &Lab,
    site: Site,
    side: Side,
    kind: Nat,
    carrier: &Router,
) -> anyhow::Result<Router> {
    let name = format!("{}-{}-home", site.name(), side.letter());
    nat(lab, &name, kind, Some(carrier)).await
}

async fn nat(
    lab: &Lab,
    name: &str,
    kind: impl Into<Option<NatConfig>>,
    upstream: Option<&Router>,
) -> anyhow::Result<Router> {
    let router = lab.add_router(name).nat(kind);
    match upstream {
        Some(carrier) => router.upstream(carrier.id()).build().await,
        None => router.build().await,
    }
}

fn restricted() -> anyhow::Result<NatConfig> {
    Ok(NatConfig::builder()
        .mapping(NatMapping::EndpointIndependent)
        .filtering(NatFiltering::AddressDependent)
        .build()?)
}

fn shared_carrier(site: Site) -> anyhow::Result<NatConfig> {
    Ok(NatConfig::builder()
        .mapping(NatMapping::EndpointIndependent)
        .filtering(NatFiltering::AddressAndPortDependent)
        .hairpin(site == Site::Hairpin)
        .build()?)
}

/// Adds the firewall that `patchbay` has no preset for: UDP to one address and back.
fn allow_udp_only_to(router: &Router, server: Ipv4Addr) -> anyhow::Result<()> {
    let rules = format!(
        "ip daddr {server} accept
        ip saddr {server} ct state established,related accept
        meta l4proto udp drop"
    );
    nft(router, forward_table("server_only", &rules))
}

/// Adds a firewall that passes nothing on that matches.
fn drop_forwarded(router: &Router, what: &str) -> anyhow::Result<()> {
    nft(router, forward_table("blocked", &format!("{what} drop")))
}

/// A table that judges what a router passes on.
fn forward_table(name: &str, rules: &str) -> String {
    format!(
        "table inet {name} {{
            chain forward {{
                type filter hook forward priority 20; policy accept;
                {rules}
            }}
        }}"
    )
}

/// Adds rules to a router.
fn nft(router: &Router, rules: String) -> anyhow::Result<()> {
    router.run_sync(move || {
        let nft = on_path("nft").context("the command `nft` is not installed")?;
        let mut nft = Command::new(nft)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()?;
        nft.stdin
            .take()
            .context("nft has no input")?
            .write_all(rules.as_bytes())?;
        ensure!(nft.wait()?.success(), "nft refused the rules");
        Ok(())
    })
}
