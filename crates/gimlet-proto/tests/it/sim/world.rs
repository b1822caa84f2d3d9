//! Two peers at two sites, introduced through a server as the real one does it.
//!
//! STUN and checks travel through the network. Introductions and relayed checks take the time that
//! their way over the server takes; what is relayed is lost as often as on two links.

mod layout;
mod peer;
mod plan;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, NatClass};
use gimlet_proto::hint::Hint;
use gimlet_proto::stun::{
    TransactionId, answer_binding, decode_binding_response, encode_binding_request, fragment_of,
    transaction_of,
};
use gimlet_proto::traversal::{Agent, Event, Outcome, Route, SearchFacts, SocketId, Transmit};
use gimlet_sim::{HostId, Net, Rng};

use self::layout::lay_out;
use self::peer::{EXTRA, Peer, credentials};
pub(crate) use self::plan::Plan;
use self::plan::{nat_class, port_knowledge};

/// Who.
pub(crate) const DIALER: usize = 0;
pub(crate) const ACCEPTOR: usize = 1;

const SERVER: [&str; 2] = ["198.51.100.1:3478", "[2001:db8:ff::1]:3478"];

enum Letter {
    Introduction(Vec<Candidate>),
    Trickle(Vec<Candidate>),
    Relayed(Vec<u8>),
    Hint(Hint),
}

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

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let start = Instant::now();
        let (net, server, peers) = lay_out(&plan, start);
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

/// The server's address in the family of `addr`.
fn server_for(addr: SocketAddr) -> SocketAddr {
    let server = SERVER[usize::from(addr.is_ipv6())];
    server.parse().expect("an address")
}

/// The server's addresses, for firewalls that let nothing else pass.
pub(crate) fn server_addrs() -> [SocketAddr; 2] {
    SERVER.map(|a| a.parse().expect("an address"))
}
