//! What stands between two hosts and the server: sites as a [`Net`].

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::Context;
use gimlet_sim::{HostId, Layer, LinkConfig, Net, RouterId, RouterKind, Site};

use super::world::SERVER_IPS;
use crate::lab::topology::Side;

/// Two sites and the network between them.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// What `a` has for itself, the nearest first.
    pub(crate) a: Site,
    /// What `b` has for itself.
    pub(crate) b: Site,
    /// The NAT that both are behind, if any.
    pub(crate) shared: Option<Layer>,
    /// The link from each site, and from the server, to the internet: half of any way.
    pub(crate) link: LinkConfig,
}

/// 10 ms from each to the internet: 20 ms one way, 40 ms round trip between any two.
pub(crate) const UPLINK_DELAY: Duration = Duration::from_millis(10);

/// A link with the lab's delay, on which a share of all packets is lost.
pub(crate) fn uplink(loss: f64) -> LinkConfig {
    LinkConfig {
        loss,
        ..LinkConfig::with_delay(UPLINK_DELAY)
    }
}

/// A network with its three hosts.
pub(super) struct Built {
    pub(super) net: Net,
    pub(super) server: HostId,
    pub(super) a: Home,
    pub(super) b: Home,
}

/// A host and the routers that are its own, the outermost first.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) host: HostId,
    pub(crate) routers: Vec<RouterId>,
}

impl Built {
    /// The address of a host.
    pub(super) fn address(&self, side: Side) -> anyhow::Result<Ipv4Addr> {
        let host = match side {
            Side::A => self.a.host,
            Side::B => self.b.host,
        };
        let v4 = self
            .net
            .addrs(host)
            .iter()
            .find_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            });
        v4.context("a host without an IPv4 address")
    }
}

/// Builds the network from the internet down.
pub(super) fn build(seed: u64, layout: &Layout) -> anyhow::Result<Built> {
    let mut net = Net::new(seed, Instant::now());
    let server = net.add_host(
        None,
        SERVER_IPS.map(IpAddr::V4).to_vec(),
        layout.link.clone(),
    );
    let shared = layout.shared.clone().map(|layer| {
        let outside = vec![Ipv4Addr::new(11, 0, 9, 1).into()];
        net.add_router(None, kind(layer), outside, LinkConfig::default())
    });
    let a = site(&mut net, 1, &layout.a, shared, &layout.link);
    let b = site(&mut net, 2, &layout.b, shared, &layout.link);
    Ok(Built { net, server, a, b })
}

/// Adds the routers of a site, the outermost first, and its host. The outermost of all has the
/// uplink: the rest is one house.
fn site(
    net: &mut Net,
    number: u8,
    site: &Site,
    shared: Option<RouterId>,
    uplink: &LinkConfig,
) -> Home {
    let (mut parent, mut link) = (shared, uplink.clone());
    let mut routers = Vec::new();
    // Whether addresses here are seen on the internet.
    let mut public = shared.is_none();
    for (depth, layer) in (0_u8..).zip(site.layers.iter().rev()) {
        let (outside, hides) = match layer {
            Layer::Nat(_) => (vec![address(public, number, 1 + depth)], true),
            Layer::Firewall(_) => (vec![], false),
        };
        let router = net.add_router(parent, kind(layer.clone()), outside, link);
        routers.push(router);
        (parent, link) = (Some(router), LinkConfig::default());
        public &= !hides;
    }
    let home = Ipv4Addr::new(192, 168, number, 2).into();
    let host = if public {
        address(true, number, 99)
    } else {
        home
    };
    let host = net.add_host(parent, vec![host], link);
    Home { host, routers }
}

/// A router's address: on the internet, or behind a carrier.
fn address(public: bool, number: u8, last: u8) -> IpAddr {
    let address = if public {
        Ipv4Addr::new(11, 0, number, last)
    } else {
        Ipv4Addr::new(100, 64, number, last)
    };
    address.into()
}

fn kind(layer: Layer) -> RouterKind {
    match layer {
        Layer::Nat(config) => RouterKind::Nat(config),
        Layer::Firewall(config) => RouterKind::Firewall(config),
    }
}
