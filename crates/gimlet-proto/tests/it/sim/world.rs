//! Two peers at two sites, introduced through a server as the real one does it.
//!
//! STUN and checks travel through the network. Introductions and relayed checks take the time that
//! their way over the server takes; what is relayed is lost as often as on two links.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Allocation, Behaviour, Candidate, CandidateKind, NatClass};
use gimlet_proto::hint::Hint;
use gimlet_proto::secret::Credentials;
use gimlet_proto::stun::{
    TransactionId, answer_binding, decode_binding_response, encode_binding_request, fragment_of,
    transaction_of,
};
use gimlet_proto::traversal::{
    Agent, Config, Event, Family, Outcome, PortKnowledge, Role, Route, SearchFacts, SocketId,
    Transmit,
};
use gimlet_sim::{
    Filtering, HostId, Layer, LinkConfig, Mapping, Net, Rng, RouterId, RouterKind, Site,
};

/// Who.
pub(crate) const DIALER: usize = 0;
pub(crate) const ACCEPTOR: usize = 1;

const SERVER: [&str; 2] = ["198.51.100.1:3478", "[2001:db8:ff::1]:3478"];

/// How to lay a world out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) sites: [Site; 2],
    /// What both sites are behind.
    pub(crate) shared: Site,
    /// One way between any two of dialer, acceptor and server, a multiple of 2.
    pub(crate) delay: Duration,
    /// How much farther away each side is.
    pub(crate) extra_delay: [Duration; 2],
    pub(crate) loss: f64,
    pub(crate) ipv6: bool,
    pub(crate) ipv4: bool,
    /// The acceptor holds its checks for a round trip to the server.
    pub(crate) hold: bool,
    /// Both have the address of a thousand other home networks.
    pub(crate) same_private_address: bool,
    /// Both know their NATs and may search for a port.
    pub(crate) search: bool,
    /// New mappings a second that others make on each side's outermost NAT.
    pub(crate) neighbours: u32,
}

impl Plan {
    pub(crate) fn new(seed: u64, dialer: Site, acceptor: Site) -> Self {
        Self {
            seed,
            sites: [dialer, acceptor],
            shared: Site::public(),
            delay: Duration::ZERO,
            extra_delay: [Duration::ZERO; 2],
            loss: 0.0,
            ipv6: false,
            ipv4: true,
            hold: true,
            same_private_address: false,
            search: false,
            neighbours: 0,
        }
    }

    /// Lays it out, introduces the peers and runs until both have settled.
    pub(crate) fn play(self) -> World {
        let mut world = World::new(self);
        world.introduce();
        world.run(Duration::from_secs(if world.plan.search { 40 } else { 25 }));
        world
    }
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) host: HostId,
    /// The outermost router of its site.
    pub(crate) router: Option<RouterId>,
    pub(crate) agent: Agent,
    sockets: Vec<SocketAddr>,
    /// Of searches, the first with the id [`EXTRA`].
    extras: Vec<SocketAddr>,
    neighbour: Option<(HostId, SocketAddr, Instant)>,
    reflexive: Vec<Option<SocketAddr>>,
    pub(crate) events: Vec<(Duration, Event)>,
}

enum Letter {
    Introduction(Vec<Candidate>),
    Trickle(Vec<Candidate>),
    Relayed(Vec<u8>),
    Hint(Hint),
}

/// The id of the first socket of a search.
const EXTRA: u16 = 256;

/// The network, the peers, and what is under way over the server.
pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) peers: [Peer; 2],
    pub(crate) now: Instant,
    /// When the dialer asked for the introduction.
    pub(crate) dialed_at: Instant,
    plan: Plan,
    server: HostId,
    letters: Vec<(Instant, u64, usize, Letter)>,
    posted: u64,
    dice: Rng,
    pub(crate) relay_dark: bool,
    /// Direct datagrams that peers sent.
    pub(crate) direct_sent: usize,
}

fn credentials(who: usize) -> Credentials {
    Credentials {
        fragment: [who as u8; 8],
        password: [0x10 + who as u8; 16],
    }
}

fn ip(text: String) -> IpAddr {
    text.parse().expect("an address")
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let start = Instant::now();
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
        let mut world = Self {
            net,
            peers,
            now: start,
            dialed_at: start,
            dice: Rng::new(plan.seed ^ 0x5eed),
            plan,
            server,
            letters: Vec::new(),
            posted: 0,
            relay_dark: false,
            direct_sent: 0,
        };
        world.learn();
        world
    }

    /// Both peers ask the server how it sees them, again while answers are lost.
    pub(crate) fn learn(&mut self) {
        for who in [DIALER, ACCEPTOR] {
            self.peers[who].reflexive.fill(None);
        }
        for attempt in 0..4u8 {
            for who in [DIALER, ACCEPTOR] {
                for (n, socket) in self.peers[who].sockets.clone().into_iter().enumerate() {
                    if self.peers[who].reflexive[n].is_some() {
                        continue;
                    }
                    let request = encode_binding_request(TransactionId([attempt; 12]));
                    let host = self.peers[who].host;
                    self.net
                        .send(self.now, host, socket, server_for(socket), request);
                }
            }
            let [extra, more] = self.plan.extra_delay;
            self.run(4 * self.plan.delay + 2 * (extra + more) + Duration::from_millis(1));
        }
    }

    /// The introduction: the acceptor learns of the dialer one relayed way later, the dialer of the
    /// acceptor another one later.
    pub(crate) fn introduce(&mut self) {
        self.dialed_at = self.now;
        for who in [DIALER, ACCEPTOR] {
            let candidates = self.peers[who].candidates();
            let nat = self.nat(who);
            self.peers[who].agent.set_local(&candidates, nat);
            if self.plan.search {
                let facts = self.search_facts(who);
                self.peers[who].agent.set_search(facts);
            }
            self.act(who, |agent, now| agent.handle_relay(true, now));
        }
        let candidates = self.peers[DIALER].candidates();
        self.post(ACCEPTOR, Letter::Introduction(candidates));
    }

    /// Announces what a peer has learned since.
    pub(crate) fn trickle(&mut self, who: usize) {
        let candidates = self.peers[who].candidates();
        self.peers[who]
            .agent
            .set_local(&candidates, NatClass::default());
        self.post(1 - who, Letter::Trickle(candidates));
    }

    fn post(&mut self, to: usize, letter: Letter) {
        self.posted += 1;
        let [extra, more] = self.plan.extra_delay;
        let at = self.now + 2 * self.plan.delay + extra + more;
        self.letters.push((at, self.posted, to, letter));
    }

    /// What a peer knows of its NAT.
    fn nat(&self, who: usize) -> NatClass {
        match self.plan.search {
            true => nat_class(&self.plan.sites[who]),
            false => NatClass::default(),
        }
    }

    fn search_facts(&self, who: usize) -> SearchFacts {
        let peer = &self.peers[who];
        SearchFacts {
            server: Some(server_for(peer.sockets[0])),
            own: peer.reflexive[0].map(|seen| (SocketId(0), seen)),
            ports: port_knowledge(&self.plan.sites[who], peer.reflexive[0]),
        }
    }

    /// Does for a search what an engine does.
    fn serve_search(&mut self, who: usize, event: Event) {
        match event {
            Event::SearchWanted => self.act(who, |agent, now| agent.permit_search(now)),
            Event::OpenSockets { count } => {
                let peer = &mut self.peers[who];
                let (first, ip) = (peer.extras.len(), peer.sockets[0].ip());
                let opened: Vec<_> = (first..first + usize::from(count))
                    .map(|n| (SocketId(EXTRA + n as u16), 20_000 + n as u16))
                    .collect();
                let addrs = opened.iter().map(|&(_, port)| SocketAddr::new(ip, port));
                peer.extras.extend(addrs);
                self.act(who, |agent, now| agent.handle_sockets(&opened, now));
            }
            Event::Say(hint) => self.post(1 - who, Letter::Hint(hint)),
            _ => (),
        }
    }

    /// What others below a NAT send in the meantime.
    fn send_for_neighbours(&mut self) {
        for peer in &mut self.peers {
            let Some((host, from, at)) = &mut peer.neighbour else {
                continue;
            };
            if *at <= self.now {
                let dst = SocketAddr::from(([192, 0, 2, 99], 1 + self.dice.below(60_000) as u16));
                self.net.send(self.now, *host, *from, dst, vec![0]);
                from.set_port(from.port().checked_add(1).unwrap_or(1024));
                // Half to one and a half times the mean gap.
                let gap = 1_000_000 / u64::from(self.plan.neighbours);
                *at = self.now + Duration::from_micros(gap / 2 + self.dice.below(gap));
            }
        }
    }

    pub(crate) fn act(&mut self, who: usize, f: impl FnOnce(&mut Agent, Instant)) {
        f(&mut self.peers[who].agent, self.now);
        let at = self.now - self.dialed_at;
        while let Some(Transmit { via, payload }) = self.peers[who].agent.poll_transmit() {
            match via {
                Route::Relay => {
                    let lost = self.relay_dark || self.dice.chance(self.plan.loss);
                    if !lost {
                        self.post(1 - who, Letter::Relayed(payload));
                    }
                }
                Route::Direct { socket, remote } => {
                    self.direct_sent += 1;
                    let peer = &self.peers[who];
                    let from = match socket.0.checked_sub(EXTRA) {
                        Some(n) => peer.extras[usize::from(n)],
                        None => peer.sockets[usize::from(socket.0)],
                    };
                    self.net.send(self.now, peer.host, from, remote, payload);
                }
            }
        }
        let mut events = Vec::new();
        while let Some(event) = self.peers[who].agent.poll_event() {
            events.push(event);
        }
        for event in events {
            self.peers[who].events.push((at, event.clone()));
            self.serve_search(who, event);
        }
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.next_at().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            while let Some(delivery) = self.net.poll_delivery(self.now) {
                self.deliver(delivery);
            }
            self.open_letters();
            self.send_for_neighbours();
            for who in [DIALER, ACCEPTOR] {
                let due = self.peers[who].agent.poll_timeout();
                if due.is_some_and(|at| at <= self.now) {
                    self.act(who, |agent, now| agent.handle_timeout(now));
                }
            }
        }
        self.now = until;
    }

    fn next_at(&self) -> Option<Instant> {
        let timers = self.peers.iter().filter_map(|p| p.agent.poll_timeout());
        let letters = self.letters.iter().map(|letter| letter.0);
        let neighbours = self.peers.iter().filter_map(|p| Some(p.neighbour?.2));
        let events = timers.chain(letters).chain(neighbours);
        events.chain(self.net.poll_timeout()).min()
    }

    fn deliver(&mut self, delivery: gimlet_sim::Delivery) {
        let gimlet_sim::Delivery {
            host,
            src,
            dst,
            payload,
            ..
        } = delivery;
        if host == self.server {
            if let Some(answer) = answer_binding(&payload, src) {
                self.net.send(self.now, host, dst, src, answer);
            }
            return;
        }
        let who = usize::from(self.peers[ACCEPTOR].host == host);
        let via = |n: usize| Route::Direct {
            socket: SocketId(n as u16),
            remote: src,
        };
        let extra = self.peers[who].extras.iter().position(|s| *s == dst);
        if let Some(n) = extra.filter(|_| host == self.peers[who].host) {
            return self.feed(who, via(usize::from(EXTRA) + n), &payload);
        }
        let Some(n) = self.peers[who].sockets.iter().position(|s| *s == dst) else {
            return;
        };
        if src == server_for(dst) {
            let seen = decode_binding_response(&payload).map(|r| r.mapped);
            self.peers[who].reflexive[n] = seen.or(self.peers[who].reflexive[n]);
            return;
        }
        self.feed(who, via(n), &payload);
    }

    /// Hands a datagram to the agent if it is for it, as the engine tells sessions apart.
    fn feed(&mut self, who: usize, via: Route, payload: &[u8]) {
        let agent = &self.peers[who].agent;
        let ours = fragment_of(payload) == Some(credentials(who).fragment)
            || transaction_of(payload).is_some_and(|id| agent.owns(&id));
        if ours {
            self.act(who, |agent, now| {
                let _counted = agent.handle_stun(via, payload, now);
            });
        }
    }

    fn open_letters(&mut self) {
        loop {
            let due = (0..self.letters.len())
                .filter(|&i| self.letters[i].0 <= self.now)
                .min_by_key(|&i| self.letters[i].1);
            let Some(index) = due else {
                return;
            };
            let (_, _, to, letter) = self.letters.swap_remove(index);
            match letter {
                Letter::Relayed(payload) => self.feed(to, Route::Relay, &payload),
                Letter::Trickle(candidates) => {
                    self.act(to, |agent, now| agent.handle_candidates(&candidates, now));
                }
                Letter::Introduction(candidates) => self.meet(to, &candidates),
                Letter::Hint(hint) => {
                    let observed = self.peers[1 - to].reflexive[0].map(|seen| seen.ip());
                    if let Some(observed) = observed {
                        self.act(to, |agent, now| agent.handle_hint(hint, observed, now));
                    }
                }
            }
        }
    }

    fn meet(&mut self, who: usize, candidates: &[Candidate]) {
        if who == ACCEPTOR {
            let own = self.peers[ACCEPTOR].candidates();
            self.post(DIALER, Letter::Introduction(own));
            if self.plan.hold {
                let to_server = self.plan.delay + self.plan.extra_delay[ACCEPTOR];
                let until = self.now + 2 * to_server;
                self.act(ACCEPTOR, |agent, _| agent.hold_checks(until));
            }
        }
        let nat = self.nat(1 - who);
        let other = credentials(1 - who);
        self.act(who, |agent, now| {
            agent.handle_remote(other, candidates, nat, now);
        });
    }

    /// When a peer first selected a direct path, since the dialer asked.
    pub(crate) fn direct_at(&self, who: usize) -> Option<Duration> {
        self.peers[who]
            .events
            .iter()
            .find_map(|(at, event)| match event {
                Event::Selected { route, .. } if route.is_direct() => Some(*at),
                _ => None,
            })
    }

    pub(crate) fn selected(&self, who: usize) -> Route {
        self.peers[who].agent.selected()
    }

    pub(crate) fn outcome(&self, who: usize) -> Outcome {
        self.peers[who].agent.outcome()
    }

    /// Both use a direct path, or neither does.
    pub(crate) fn is_direct(&self) -> bool {
        let [there, back] = [DIALER, ACCEPTOR].map(|who| self.selected(who).is_direct());
        assert_eq!(there, back, "both sides agree: {:?}", self.plan);
        there
    }
}

impl Peer {
    fn new(
        who: usize,
        host: HostId,
        router: Option<RouterId>,
        addrs: &[IpAddr],
        seed: u64,
        now: Instant,
    ) -> Self {
        let sockets: Vec<_> = addrs.iter().map(|ip| SocketAddr::new(*ip, 7000)).collect();
        let families: Vec<_> = sockets
            .iter()
            .zip(0..)
            .map(|(addr, n)| match addr.is_ipv4() {
                true => (SocketId(n), Family::V4),
                false => (SocketId(n), Family::V6),
            })
            .collect();
        let role = match who {
            DIALER => Role::Controlling,
            _ => Role::Controlled,
        };
        let mut secret = [who as u8; 32];
        secret[..8].copy_from_slice(&seed.to_be_bytes());
        let agent = Agent::new(
            Config::default(),
            role,
            credentials(who),
            &families,
            secret,
            now,
        );
        Self {
            host,
            router,
            agent,
            reflexive: vec![None; sockets.len()],
            extras: Vec::new(),
            neighbour: None,
            sockets,
            events: Vec::new(),
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let hosts = self.sockets.iter().map(|&addr| Candidate {
            kind: CandidateKind::Host,
            addr,
        });
        let seen = self.reflexive.iter().flatten().map(|&addr| Candidate {
            kind: CandidateKind::ServerReflexive,
            addr,
        });
        let mut candidates: Vec<_> = hosts.chain(seen).collect();
        candidates.dedup_by_key(|c| c.addr);
        candidates
    }
}

fn kind(layer: &Layer) -> RouterKind {
    match layer {
        Layer::Nat(nat) => RouterKind::Nat(nat.clone()),
        Layer::Firewall(firewall) => RouterKind::Firewall(firewall.clone()),
    }
}

/// The server's address in the family of `addr`.
fn server_for(addr: SocketAddr) -> SocketAddr {
    let server = SERVER[usize::from(addr.is_ipv6())];
    server.parse().expect("an address")
}

/// The server's addresses, for firewalls that let nothing else pass.
pub(crate) fn server_addrs() -> [SocketAddr; 2] {
    SERVER.map(|a| a.parse().expect("an address"))
}

/// What discovery finds of a site: its outermost NAT.
fn nat_class(site: &Site) -> NatClass {
    let Some(Layer::Nat(nat)) = site.layers.last() else {
        return NatClass::default();
    };
    NatClass {
        mapping: Some(match nat.mapping {
            Mapping::EndpointIndependent => Behaviour::EndpointIndependent,
            Mapping::AddressDependent => Behaviour::AddressDependent,
            Mapping::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        }),
        filtering: Some(match nat.filtering {
            Filtering::EndpointIndependent => Behaviour::EndpointIndependent,
            Filtering::AddressDependent => Behaviour::AddressDependent,
            Filtering::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        }),
        allocation: Some(match nat.allocation {
            gimlet_sim::Allocation::Preserving => Allocation::Preserving,
            gimlet_sim::Allocation::Sequential { .. } => Allocation::Sequential,
            gimlet_sim::Allocation::Random => Allocation::Random,
            gimlet_sim::Allocation::RandomBlock { .. } => Allocation::RandomBlock,
        }),
        hairpin: Some(nat.hairpin),
    }
}

/// What it finds of the ports, with a block seen only as far as samples show it.
fn port_knowledge(site: &Site, seen: Option<SocketAddr>) -> PortKnowledge {
    let (Some(Layer::Nat(nat)), Some(seen)) = (site.layers.last(), seen) else {
        return PortKnowledge::default();
    };
    match nat.allocation {
        gimlet_sim::Allocation::Sequential { step } => PortKnowledge {
            step: Some(step as i16),
            exact: true,
            ..PortKnowledge::default()
        },
        gimlet_sim::Allocation::RandomBlock { size } => {
            let first = (seen.port() - 1024) / size * size + 1024;
            PortKnowledge {
                block: Some((first, first.saturating_add(size - 1))),
                exact: true,
                ..PortKnowledge::default()
            }
        }
        _ => PortKnowledge {
            exact: true,
            ..PortKnowledge::default()
        },
    }
}
