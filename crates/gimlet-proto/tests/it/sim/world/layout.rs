//! The network of a world: the server, what both sites share, and each site with its routers.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use gimlet_sim::{HostId, Layer, LinkConfig, Net, RouterKind};

use super::peer::Peer;
use super::plan::Plan;
use super::{ACCEPTOR, DIALER, SERVER};

/// Lays everything out: the network, the server in it, and the two peers.
pub(super) fn lay_out(plan: &Plan, start: Instant) -> (Net, HostId, [Peer; 2]) {
    let mut net = Net::new(plan.seed, start);
    let uplink = LinkConfig {
        delay: plan.delay / 2,
        loss: plan.loss / 2.0,
        ..LinkConfig::default()
    };
    let server_addrs = SERVER.map(|a| a.parse::<SocketAddr>().expect("an address").ip());
    let server = net.add_host(None, server_addrs.to_vec(), uplink.clone());
    let mut parent = None;
    for (n, layer) in plan.shared.layers.iter().enumerate().rev() {
        let outside = vec![
            ip(format!("100.64.{n}.1")),
            ip(format!("2001:db8:64:{n}::1")),
        ];
        parent = Some(net.add_router(parent, kind(layer), outside, LinkConfig::default()));
    }
    let peers = [DIALER, ACCEPTOR].map(|who| {
        let (mut parent, mut outermost) = (parent, None);
        let mut link = LinkConfig {
            delay: uplink.delay + plan.extra_delay[who],
            ..uplink.clone()
        };
        for (n, layer) in plan.sites[who].layers.iter().enumerate().rev() {
            let outside = vec![
                ip(format!("203.0.{}.{}", 110 + n, 1 + who)),
                ip(format!("2001:db8:{who}:{n}::1")),
            ];
            let router = net.add_router(parent, kind(layer), outside, link);
            outermost.get_or_insert(router);
            (parent, link) = (Some(router), LinkConfig::default());
        }
        let private = !plan.sites[who].layers.is_empty() || !plan.shared.layers.is_empty();
        let v4 = match private {
            true if plan.same_private_address => "192.168.1.2".to_owned(),
            true => format!("192.168.{}.2", 10 + who),
            false => format!("192.0.2.{}", 1 + who),
        };
        let mut addrs = Vec::new();
        if plan.ipv4 {
            addrs.push(ip(v4));
        }
        if plan.ipv6 {
            addrs.push(ip(format!("2001:db8:{who}:ff::2")));
        }
        let host = net.add_host(parent, addrs.clone(), link);
        let mut peer = Peer::new(who, host, outermost, &addrs, plan.seed, start);
        if let Some(router) = outermost.filter(|_| plan.neighbours > 0) {
            let addr = ip(format!("192.168.{}.99", 10 + who));
            let host = net.add_host(Some(router), vec![addr], LinkConfig::default());
            peer.neighbour = Some((host, SocketAddr::new(addr, 1024), start));
        }
        peer
    });
    (net, server, peers)
}

fn kind(layer: &Layer) -> RouterKind {
    match layer {
        Layer::Nat(nat) => RouterKind::Nat(nat.clone()),
        Layer::Firewall(firewall) => RouterKind::Firewall(firewall.clone()),
    }
}

fn ip(text: String) -> IpAddr {
    text.parse().expect("an address")
}
