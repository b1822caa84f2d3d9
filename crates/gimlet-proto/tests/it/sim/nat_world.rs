//! One host behind NATs, a server of RFC 5780, and perhaps neighbours who make mappings too.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_proto::nat::{Event, Lifetime, Plan, Prober, Report, Slot, Transmit};
use gimlet_proto::stun::{Vantage, answer_discovery};
use gimlet_proto::traversal::SocketId;
use gimlet_sim::{Delivery, HostId, LinkConfig, NatConfig, Net, RouterKind};

const SERVER: [[u8; 4]; 2] = [[198, 51, 100, 1], [198, 51, 100, 2]];
const SERVER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1));
const PORTS: [u16; 2] = [3478, 3479];
const OWN_PORT: u16 = 7000;
const OWN: [SocketId; 2] = [SocketId(0), SocketId(1)];

/// How to lay it out.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    /// The outermost first; none is a public host.
    pub(crate) nats: Vec<NatConfig>,
    pub(crate) two_addresses: bool,
    /// Of each link, each way: four in a round trip.
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    /// New mappings a second by a neighbour behind the same NAT.
    pub(crate) cross_traffic: u32,
    /// The host has an IPv6 address.
    pub(crate) ipv6: bool,
    /// Nothing gets through.
    pub(crate) dark: bool,
    /// The server answers plain requests alone.
    pub(crate) plain: bool,
}

impl Setup {
    pub(crate) fn new(seed: u64, nats: &[NatConfig]) -> Self {
        Self {
            seed,
            nats: nats.to_vec(),
            two_addresses: true,
            loss: 0.0,
            delay: Duration::from_millis(20),
            cross_traffic: 0,
            ipv6: false,
            dark: false,
            plain: false,
        }
    }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: Report,
    /// The first report with mapping and allocation, and when it was there.
    pub(crate) first: Option<Duration>,
    pub(crate) settled: Duration,
    pub(crate) finished: Duration,
    pub(crate) sent: usize,
    pub(crate) open_at_end: usize,
}

pub(crate) struct NatWorld {
    setup: Setup,
    net: Net,
    start: Instant,
    host: HostId,
    server: HostId,
    neighbour: HostId,
    local: IpAddr,
    ports: HashMap<u8, SocketAddr>,
    sent: usize,
    neighbours_next: (Instant, u32),
}

const LOCAL_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2));

impl NatWorld {
    pub(crate) fn new(setup: Setup) -> Self {
        let start = Instant::now();
        let mut net = Net::new(setup.seed, start);
        let link = LinkConfig {
            delay: setup.delay,
            loss: setup.loss,
            ..LinkConfig::default()
        };
        let mut addrs: Vec<IpAddr> = SERVER.map(IpAddr::from).to_vec();
        addrs.push(SERVER_V6);
        let server = net.add_host(None, addrs, link.clone());
        let mut parent = None;
        for (depth, nat) in setup.nats.iter().enumerate() {
            let outside = match depth {
                0 => IpAddr::from([203, 0, 113, 1]),
                depth => IpAddr::from([100, 64, 0, depth as u8]),
            };
            let kind = RouterKind::Nat(nat.clone());
            let link = if depth == 0 {
                link.clone()
            } else {
                LinkConfig::default()
            };
            parent = Some(net.add_router(parent, kind, vec![outside], link));
        }
        let local: IpAddr = match setup.nats.is_empty() {
            true => IpAddr::from([203, 0, 113, 9]),
            false => IpAddr::from([192, 168, 1, 2]),
        };
        let own_link = if parent.is_none() {
            link
        } else {
            LinkConfig::default()
        };
        let mut addrs = vec![local];
        if setup.ipv6 {
            addrs.push(LOCAL_V6);
        }
        let host = net.add_host(parent, addrs, own_link);
        let beside = match setup.nats.is_empty() {
            true => IpAddr::from([203, 0, 113, 10]),
            false => IpAddr::from([192, 168, 1, 3]),
        };
        let neighbour = net.add_host(parent, vec![beside], LinkConfig::default());
        if setup.dark {
            net.set_dark(server, true);
        }
        Self {
            net,
            start,
            host,
            server,
            neighbour,
            local,
            ports: HashMap::new(),
            sent: 0,
            neighbours_next: (start, 0),
            setup,
        }
    }

    fn plan(&self) -> Plan {
        let v4 = PORTS.map(|port| (OWN[0], SocketAddr::from((SERVER[0], port))));
        let mut targets = v4.to_vec();
        let mut local = vec![(OWN[0], SocketAddr::new(self.local, OWN_PORT))];
        if self.setup.ipv6 {
            targets.extend(PORTS.map(|port| (OWN[1], SocketAddr::new(SERVER_V6, port))));
            local.push((OWN[1], SocketAddr::new(LOCAL_V6, OWN_PORT)));
        }
        Plan {
            targets,
            local,
            fresh: true,
            allow_loopback: false,
        }
    }

    /// Runs a prober to its end.
    pub(crate) fn probe(mut self) -> Outcome {
        let mut now = self.start;
        let mut prober = Prober::new(self.plan(), [self.setup.seed as u8; 32], now);
        let (mut first, mut settled) = (None, None);
        loop {
            let mut finished = false;
            while let Some(event) = prober.poll_event() {
                match event {
                    Event::Open { slot, v6 } => {
                        let port = self.open(slot, v6);
                        prober.handle_opened(slot, port, now);
                    }
                    Event::Close { slot } => drop(self.ports.remove(&slot)),
                    Event::Changed => {
                        let class = prober.report().class;
                        if class.mapping.is_some() && class.allocation.is_some() {
                            first.get_or_insert(now - self.start);
                        }
                    }
                    Event::Settled => settled = Some(now - self.start),
                    Event::Finished => finished = true,
                }
            }
            while let Some(transmit) = prober.poll_transmit() {
                self.transmit(&transmit, now);
            }
            if finished {
                return Outcome {
                    report: prober.report().clone(),
                    first,
                    settled: settled.expect("it settles before it ends"),
                    finished: now - self.start,
                    sent: self.sent,
                    open_at_end: self.ports.len(),
                };
            }
            let due_at = prober
                .poll_timeout()
                .expect("a running prober has a deadline");
            match self.next_delivery(due_at) {
                Some((slot, delivery)) => {
                    now = delivery.at;
                    prober.handle_datagram(slot, delivery.src, &delivery.payload, now);
                }
                None => {
                    now = due_at.max(now);
                    prober.handle_timeout(now);
                }
            }
        }
    }

    /// Measures a lifetime to its end.
    pub(crate) fn lifetime(mut self) -> (Option<Duration>, Duration) {
        let mut now = self.start;
        let server = SocketAddr::from((SERVER[0], PORTS[0]));
        let mut lifetime = Lifetime::new(server, [self.setup.seed as u8; 32]);
        loop {
            let mut finished = false;
            while let Some(event) = lifetime.poll_event() {
                match event {
                    Event::Open { slot, v6 } => {
                        self.open(slot, v6);
                        lifetime.handle_opened(slot, now);
                    }
                    Event::Close { slot } => drop(self.ports.remove(&slot)),
                    Event::Finished => finished = true,
                    Event::Changed | Event::Settled => unreachable!("not of a lifetime"),
                }
            }
            while let Some(transmit) = lifetime.poll_transmit() {
                self.transmit(&transmit, now);
            }
            if finished {
                assert!(self.ports.is_empty());
                return (lifetime.lifetime(), now - self.start);
            }
            let due_at = lifetime.poll_timeout().expect("it has a deadline");
            match self.next_delivery(due_at) {
                Some((Slot::Fresh(slot), delivery)) => {
                    now = delivery.at;
                    lifetime.handle_datagram(slot, delivery.src, &delivery.payload, now);
                }
                Some((Slot::Own(_), _)) => (),
                None => {
                    now = due_at.max(now);
                    lifetime.handle_timeout(now);
                }
            }
        }
    }

    fn open(&mut self, slot: u8, v6: bool) -> u16 {
        let port = 30_000 + 37 * u16::from(slot);
        let ip = if v6 { LOCAL_V6 } else { self.local };
        self.ports.insert(slot, SocketAddr::new(ip, port));
        port
    }

    fn transmit(&mut self, transmit: &Transmit, now: Instant) {
        let src = match transmit.slot {
            Slot::Own(SocketId(1)) => SocketAddr::new(LOCAL_V6, OWN_PORT),
            Slot::Own(_) => SocketAddr::new(self.local, OWN_PORT),
            Slot::Fresh(slot) => self.ports[&slot],
        };
        self.sent += 1;
        self.net.send(
            now,
            self.host,
            src,
            transmit.remote,
            transmit.payload.clone(),
        );
    }

    /// The next datagram to the host, up to `until`.
    fn next_delivery(&mut self, until: Instant) -> Option<(Slot, Delivery)> {
        loop {
            let (next, _) = self.neighbours_next;
            let crosses = self.setup.cross_traffic > 0 && next <= until;
            let delivery = self.net.poll_delivery(if crosses { next } else { until });
            match delivery {
                Some(delivery) if delivery.host == self.server => self.serve(delivery),
                Some(delivery) if delivery.host == self.host => {
                    let fresh = self.ports.iter().find(|(_, addr)| **addr == delivery.dst);
                    let slot = match fresh {
                        Some((&slot, _)) => Slot::Fresh(slot),
                        None if delivery.dst.port() != OWN_PORT => continue,
                        None => Slot::Own(OWN[usize::from(delivery.dst.is_ipv6())]),
                    };
                    return Some((slot, delivery));
                }
                Some(_) => (),
                None if crosses => self.cross(),
                None => return None,
            }
        }
    }

    fn cross(&mut self) {
        let (at, count) = self.neighbours_next;
        let src = SocketAddr::new(self.net.addrs(self.neighbour)[0], 10_000 + count as u16);
        let sink = SocketAddr::from(([198, 51, 100, 77], 9));
        self.net.send(at, self.neighbour, src, sink, Vec::new());
        let gap = Duration::from_secs(1) / self.setup.cross_traffic;
        self.neighbours_next = (at + gap, count + 1);
    }

    fn serve(&mut self, delivery: Delivery) {
        let second = self.setup.two_addresses && delivery.dst.is_ipv4();
        let other_ip = second.then(|| {
            let here = usize::from(delivery.dst.ip() == IpAddr::from(SERVER[1]));
            IpAddr::from(SERVER[1 - here])
        });
        let here = usize::from(delivery.dst.port() == PORTS[1]);
        let vantage = Vantage {
            here: Some(delivery.dst),
            other_ip,
            other_port: Some(PORTS[1 - here]),
        };
        let answer = match self.setup.plain {
            true => gimlet_proto::stun::answer_binding(&delivery.payload, delivery.src)
                .map(|bytes| (delivery.dst, delivery.src, bytes)),
            false => answer_discovery(&delivery.payload, delivery.src, &vantage).map(|reply| {
                let ip = other_ip
                    .filter(|_| reply.from.ip)
                    .unwrap_or(delivery.dst.ip());
                let port = if reply.from.port {
                    PORTS[1 - here]
                } else {
                    delivery.dst.port()
                };
                (SocketAddr::new(ip, port), reply.to, reply.bytes)
            }),
        };
        if let Some((from, to, bytes)) = answer {
            self.net.send(delivery.at, self.server, from, to, bytes);
        }
    }
}
