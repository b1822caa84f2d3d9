//! Plain simultaneous sending between two peers, as the oracle means it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_sim::{
    Delivery, Family, HostId, Layer, LinkConfig, Net, RouterId, RouterKind, Site, Verdict,
};

/// Long enough for a path that opens only at the second try to be used twice more.
const ROUNDS: u32 = 6;
const ROUND: Duration = Duration::from_millis(50);
const ONE_WAY: Duration = Duration::from_millis(20);
const SERVER_PORT: u16 = 3_478;
const PEER_PORT: u16 = 7_000;
/// Endpoints one peer sends to.
const MAX_TARGETS: usize = 8;

pub(crate) fn server_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([198, 51, 100, 1]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    }
}

/// One peer and what it knows.
#[derive(Debug)]
struct Peer {
    host: HostId,
    local: SocketAddr,
    reflexive: Option<SocketAddr>,
    targets: Vec<SocketAddr>,
    heard: bool,
}

/// A network with a server and two peers.
#[derive(Debug)]
pub(crate) struct Prober {
    pub(crate) net: Net,
    family: Family,
    server: HostId,
    peers: [Peer; 2],
    /// Whether peers answer to where a packet came from.
    answers: bool,
}

impl Prober {
    /// Two sites below what they share, which may be nothing.
    pub(crate) fn new(seed: u64, shared: &Site, sites: [&Site; 2], family: Family) -> Self {
        let mut net = Net::new(seed, Instant::now());
        let addrs = Family::ALL.map(server_address).to_vec();
        let server = net.add_host(None, addrs, LinkConfig::with_delay(ONE_WAY));
        let mut place = Placer {
            net: &mut net,
            number: 100,
        };
        let (above, hidden) = place.routers(shared, None, false);
        let mut number = 0;
        let peers = sites.map(|site| {
            number += 1;
            let host = Placer {
                net: &mut net,
                number,
            }
            .site(site, above, hidden);
            let is_family = |address: &&IpAddr| Family::of(**address) == family;
            let address = *net.addrs(host).iter().find(is_family).unwrap();
            let local = SocketAddr::new(address, PEER_PORT);
            Peer {
                host,
                local,
                reflexive: None,
                targets: Vec::new(),
                heard: false,
            }
        });
        Self {
            net,
            family,
            server,
            peers,
            answers: false,
        }
    }

    pub(crate) fn hosts(&self) -> [HostId; 2] {
        [self.peers[0].host, self.peers[1].host]
    }

    /// Asks the server for both outside endpoints.
    pub(crate) fn learn(&mut self) {
        let server = SocketAddr::new(server_address(self.family), SERVER_PORT);
        let now = self.net.now();
        for peer in &self.peers {
            self.net
                .send(now, peer.host, peer.local, server, b"who".to_vec());
        }
        self.run(now + Duration::from_secs(1));
    }

    /// Lets both sides know and use the other's outside endpoint, and its host endpoint if `lan`.
    pub(crate) fn exchange(&mut self, lan: bool) {
        let [a, b] = &mut self.peers;
        a.targets = b
            .reflexive
            .into_iter()
            .chain(lan.then_some(b.local))
            .collect();
        b.targets = a
            .reflexive
            .into_iter()
            .chain(lan.then_some(a.local))
            .collect();
    }

    /// One side sends to every target of its now.
    pub(crate) fn probe(&mut self, side: usize) {
        let peer = &self.peers[side];
        for target in &peer.targets {
            self.net.send(
                self.net.now(),
                peer.host,
                peer.local,
                *target,
                b"probe".to_vec(),
            );
        }
    }

    /// Both sides send for some rounds; true once each has heard the other.
    pub(crate) fn probe_both(&mut self, answers: bool) -> bool {
        self.answers = answers;
        for _ in 0..ROUNDS {
            let now = self.net.now();
            self.probe(0);
            self.probe(1);
            self.run(now + ROUND);
        }
        self.peers.iter().all(|peer| peer.heard)
    }

    /// Carries everything up to `until`, with server and peers answering.
    pub(crate) fn run(&mut self, until: Instant) {
        while let Some(delivery) = self.net.poll_delivery(until) {
            if delivery.host == self.server {
                let Delivery { src, dst, at, .. } = delivery;
                self.net
                    .send(at, self.server, dst, src, src.to_string().into_bytes());
            } else {
                self.handle_at_peer(delivery);
            }
        }
    }

    fn handle_at_peer(&mut self, delivery: Delivery) {
        let Some(peer) = self
            .peers
            .iter_mut()
            .find(|peer| peer.host == delivery.host)
        else {
            return;
        };
        if delivery.src.ip() == server_address(self.family) {
            let text = String::from_utf8(delivery.payload).unwrap();
            peer.reflexive = Some(text.parse().unwrap());
            return;
        }
        peer.heard = true;
        let is_new = !peer.targets.contains(&delivery.src);
        if self.answers && is_new && peer.targets.len() < MAX_TARGETS {
            peer.targets.push(delivery.src);
            let (host, local) = (peer.host, peer.local);
            self.net
                .send(delivery.at, host, local, delivery.src, b"probe".to_vec());
        }
    }
}

/// Plays two sites and says which kind of sending joined them. `lan`: with host endpoints too.
pub(crate) fn play(
    seed: u64,
    shared: &Site,
    sites: [&Site; 2],
    family: Family,
    lan: bool,
) -> Verdict {
    let joined = |answers| {
        let mut prober = Prober::new(seed, shared, sites, family);
        prober.learn();
        prober.exchange(lan);
        prober.probe_both(answers)
    };
    if joined(false) {
        Verdict::Direct
    } else if joined(true) {
        Verdict::DirectPeerReflexive
    } else {
        Verdict::Relay
    }
}

/// Puts the boxes of one site into a network, with addresses from its number.
struct Placer<'a> {
    net: &'a mut Net,
    number: u8,
}

impl Placer<'_> {
    /// The host below `above`. All delay is on the link that leaves the site, so that what a side
    /// sends has passed its own boxes before anything of the other side gets there.
    fn site(&mut self, site: &Site, above: Option<RouterId>, hidden: bool) -> HostId {
        let (parent, hidden) = self.routers(site, above, hidden);
        let delay = if parent == above {
            ONE_WAY
        } else {
            Duration::ZERO
        };
        let n = self.number;
        let v4 = if hidden {
            [10, n, 255, 2]
        } else {
            [203, 0, 113, n]
        };
        let v6 = [0x2001, 0xdb8, u16::from(n), 0, 0, 0, 0, 2];
        let addrs = vec![IpAddr::from(v4), IpAddr::from(v6)];
        self.net
            .add_host(parent, addrs, LinkConfig::with_delay(delay))
    }

    /// The boxes, and whether IPv4 addresses below them are hidden.
    fn routers(
        &mut self,
        site: &Site,
        above: Option<RouterId>,
        mut hidden: bool,
    ) -> (Option<RouterId>, bool) {
        let mut parent = above;
        for (i, layer) in site.layers.iter().enumerate().rev() {
            let delay = if parent == above {
                ONE_WAY
            } else {
                Duration::ZERO
            };
            let n = self.number;
            let v4 = if hidden {
                [10, n, i as u8, 1]
            } else {
                [203, 0, 113, n]
            };
            let (kind, outside) = match layer {
                Layer::Nat(config) => (RouterKind::Nat(config.clone()), vec![IpAddr::from(v4)]),
                Layer::Firewall(config) => (RouterKind::Firewall(config.clone()), Vec::new()),
            };
            hidden |= !outside.is_empty();
            let link = LinkConfig::with_delay(delay);
            parent = Some(self.net.add_router(parent, kind, outside, link));
        }
        (parent, hidden)
    }
}
