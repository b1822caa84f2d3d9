//! Laying a trial's network out: the server, and two sites with a host and a crowd each.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use gimlet_sim::{HostId, Layer, LinkConfig, Net, RouterKind};

use crate::Site;

/// Where the server is; the second one only if it has two.
pub(crate) const SERVER_IPS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
];

/// The ports on which it answers STUN.
pub(crate) const STUN_PORTS: [u16; 2] = [3478, 3479];

/// The STUN endpoints of the server's first address.
pub(crate) fn stun_servers() -> [SocketAddr; 2] {
    STUN_PORTS.map(|port| SocketAddr::new(SERVER_IPS[0], port))
}

/// One side's part of the network.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) host: HostId,
    pub(crate) ip: IpAddr,
    /// A host behind each NAT that stands for everybody else there.
    pub(crate) crowd: Vec<HostId>,
}

/// The network of a trial.
pub(crate) struct Layout {
    pub(crate) net: Net,
    pub(crate) server: HostId,
    pub(crate) grounds: [Ground; 2],
}

impl Layout {
    /// Lays out two sites and the server. The uplinks are those of dialer, acceptor and server.
    pub(crate) fn new(
        seed: u64,
        sites: [Site; 2],
        uplinks: &[LinkConfig; 3],
        start: Instant,
    ) -> Self {
        let mut net = Net::new(seed, start);
        let server = net.add_host(None, SERVER_IPS.to_vec(), uplinks[2].clone());
        let grounds = [0, 1].map(|who| {
            let uplink = uplinks[usize::from(who)].clone();
            ground(&mut net, who, sites[usize::from(who)], uplink)
        });
        Self {
            net,
            server,
            grounds,
        }
    }
}

fn ground(net: &mut Net, who: u8, site: Site, uplink: LinkConfig) -> Ground {
    let layers = site.layers();
    let (mut parent, mut link, mut crowd) = (None, uplink, Vec::new());
    for (n, layer) in layers.iter().enumerate().rev() {
        // The outermost box has a public address, those inside of it a carrier's.
        let outside = match n + 1 == layers.len() {
            true => Ipv4Addr::new(203, 0, 113, 1 + who),
            false => Ipv4Addr::new(100, 64, n as u8, 1 + who),
        };
        let kind = match layer {
            Layer::Nat(nat) => RouterKind::Nat(nat.clone()),
            Layer::Firewall(firewall) => RouterKind::Firewall(firewall.clone()),
        };
        let router = net.add_router(parent, kind, vec![outside.into()], link);
        (parent, link) = (Some(router), LinkConfig::default());
        if matches!(layer, Layer::Nat(_)) {
            let other = Ipv4Addr::new(10, n as u8, who, 99);
            crowd.push(net.add_host(parent, vec![other.into()], LinkConfig::default()));
        }
    }
    let translated = layers.iter().any(|layer| matches!(layer, Layer::Nat(_)));
    let ip = IpAddr::V4(match translated {
        true => Ipv4Addr::new(192, 168, 10 + who, 2),
        false => Ipv4Addr::new(192, 0, 2, 1 + who),
    });
    Ground {
        host: net.add_host(parent, vec![ip], link),
        ip,
        crowd,
    }
}
