//! The network, the two sides, and the clock that moves them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::traversal::{Agent, Event, Route, SearchFacts, SocketId, Transmit};
use gimlet_sim::{Delivery, HostId, Net, Rng};

use crate::crowd::Crowd;
use crate::layout::{Layout, SERVER_IPS, stun_servers};
use crate::letters::{Letter, Post};
use crate::peer::{ACCEPTOR, DIALER, Peer, credentials};
use crate::{Conditions, Site};

/// A datagram of data as far as this world is concerned: not STUN, and as long as QUIC's first.
const DATA: [u8; 1200] = [0x40; 1200];

/// A trial under way.
pub(crate) struct World {
    net: Net,
    server: HostId,
    post: Post,
    crowd: Crowd,
    pub(crate) server_addresses: u8,
    pub(crate) peers: [Peer; 2],
    pub(crate) now: Instant,
    /// When the dialer asked for the introduction.
    pub(crate) dialed_at: Instant,
    /// When the dialer knew the acceptor's candidates, the last to know any.
    pub(crate) exchanged_at: Option<Instant>,
}

impl World {
    /// Lays everything out. Both peers know how the server sees them then.
    pub(crate) fn new(seed: u64, sites: [Site; 2], conditions: &Conditions) -> Self {
        let now = Instant::now();
        let mut dice = Rng::derive(seed, 1);
        let uplinks = conditions.uplinks(&mut dice);
        let Layout {
            net,
            server,
            grounds,
        } = Layout::new(seed, sites, &uplinks, now);
        let crowd = grounds.iter().flat_map(|g| g.crowd.clone()).collect();
        let mut world = Self {
            net,
            server,
            post: Post::new(&uplinks, conditions.loss, Rng::derive(seed, 2)),
            crowd: Crowd::new(crowd, conditions.crowd_per_s, Rng::derive(seed, 3), now),
            peers: [DIALER, ACCEPTOR].map(|who| {
                let dice = Rng::derive(seed, 4 + who as u64);
                Peer::new(who, &grounds[who], dice, now)
            }),
            server_addresses: conditions.server_addresses,
            now,
            dialed_at: now,
            exchanged_at: None,
        };
        world.probe(&mut dice);
        // As if the peers had been online for a while: any phase of the crowd's rhythm.
        world.run(dice.span(Duration::from_secs(1)));
        world
    }

    /// The dialer asks for the introduction. The acceptor learns of it one way over the server
    /// later, the dialer of the acceptor another one later.
    pub(crate) fn introduce(&mut self) {
        self.dialed_at = self.now;
        for who in [DIALER, ACCEPTOR] {
            let (candidates, nat) = (self.peers[who].candidates(), self.peers[who].nat);
            self.peers[who].agent.set_local(&candidates, nat);
            let facts = self.search_facts(who);
            self.peers[who].agent.set_search(facts);
            self.act(who, |agent, now| agent.handle_relay(true, now));
        }
        self.announce(DIALER);
    }

    /// What probing has told for a search.
    fn search_facts(&self, who: usize) -> SearchFacts {
        let seen = self.peers[who].reflexive;
        SearchFacts {
            server: Some(stun_servers()[0]),
            own: seen.map(|seen| (SocketId(0), seen)),
            ports: self.peers[who].ports_known,
        }
    }

    fn announce(&mut self, who: usize) {
        let letter = Letter::Introduction(self.peers[who].candidates(), self.peers[who].nat);
        self.post.tell(1 - who, letter, self.now);
    }

    /// Sends data over what each side has selected.
    pub(crate) fn send_data(&mut self) {
        for who in [DIALER, ACCEPTOR] {
            if let Route::Direct { socket, remote } = self.peers[who].agent.selected() {
                self.send(who, socket, remote, DATA.to_vec());
            }
        }
    }

    /// Lets an agent do something, and carries out what it wants then.
    fn act(&mut self, who: usize, f: impl FnOnce(&mut Agent, Instant)) {
        f(&mut self.peers[who].agent, self.now);
        while let Some(Transmit { via, payload }) = self.peers[who].agent.poll_transmit() {
            match via {
                Route::Relay => self.post.relay(1 - who, payload, self.now),
                Route::Direct { socket, remote } => {
                    self.peers[who].count_sent(remote, self.now);
                    self.send(who, socket, remote, payload);
                }
            }
        }
        while let Some(event) = self.peers[who].agent.poll_event() {
            self.heed(who, event);
        }
    }

    /// Does for an agent what an engine does.
    fn heed(&mut self, who: usize, event: Event) {
        match event {
            // Each host has one session only, so nobody else searches.
            Event::SearchWanted => self.act(who, |agent, now| agent.permit_search(now)),
            Event::OpenSockets { count } => {
                let peer = &mut self.peers[who];
                let mut opened = Vec::new();
                for _ in 0..count {
                    let id = peer.open_socket();
                    opened.extend(peer.port_of(id).map(|port| (id, port)));
                }
                self.act(who, |agent, now| agent.handle_sockets(&opened, now));
            }
            Event::CloseSockets(sockets) => self.peers[who].close_sockets(&sockets),
            Event::Say(hint) => {
                // The server hears a side wherever it speaks to the server from.
                if let Some(seen) = self.peers[who].reflexive {
                    let letter = Letter::Hint(hint, seen.ip());
                    self.post.tell(1 - who, letter, self.now);
                }
            }
            other => self.peers[who].note(other, self.now),
        }
    }

    pub(crate) fn send(&mut self, who: usize, socket: SocketId, to: SocketAddr, payload: Vec<u8>) {
        let peer = &self.peers[who];
        if let Some(from) = peer.address_of(socket) {
            self.net.send(self.now, peer.host, from, to, payload);
        }
    }

    /// Runs for a while.
    fn run(&mut self, span: Duration) {
        self.run_until(self.now + span, |_| false);
        self.now = self.now.max(self.net.now());
    }

    /// Runs until something is so, or until then.
    pub(crate) fn run_until(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let Some(at) = self.next_at().filter(|&at| at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            while let Some(delivery) = self.net.poll_delivery(self.now) {
                self.deliver(delivery);
            }
            while let Some((to, letter)) = self.post.poll(self.now) {
                self.open(to, letter);
            }
            self.crowd.act(&mut self.net, self.now);
            for who in [DIALER, ACCEPTOR] {
                self.tick_prober(who);
                let due = self.peers[who].agent.poll_timeout();
                if due.is_some_and(|at| at <= self.now) {
                    self.act(who, |agent, now| agent.handle_timeout(now));
                }
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let timers = self.peers.iter().filter_map(|p| p.agent.poll_timeout());
        let probes = self
            .peers
            .iter()
            .filter_map(|p| p.probing.as_ref()?.next_at());
        timers
            .chain(probes)
            .chain(self.post.next_at())
            .chain(self.crowd.next_at())
            .chain(self.net.poll_timeout())
            .min()
    }

    fn deliver(&mut self, delivery: Delivery) {
        if delivery.host == self.server {
            return self.serve(&delivery);
        }
        let Delivery {
            host,
            src,
            dst,
            payload,
            ..
        } = delivery;
        let Some(who) = self.peers.iter().position(|peer| peer.host == host) else {
            return;
        };
        let Some(socket) = self.peers[who].socket_at(dst) else {
            return;
        };
        self.take(who, socket, src, &payload);
    }

    /// Sends a datagram of the server's.
    pub(crate) fn answer(&mut self, from: SocketAddr, to: SocketAddr, payload: Vec<u8>) {
        self.net.send(self.now, self.server, from, to, payload);
    }

    /// A datagram that reached one of a peer's sockets.
    fn take(&mut self, who: usize, socket: SocketId, remote: SocketAddr, datagram: &[u8]) {
        let via = Route::Direct { socket, remote };
        if self.take_probe(who, socket, remote, datagram) {
            return;
        }
        if datagram == DATA {
            if self.peers[who].takes_quic(socket, remote) {
                self.peers[who].got_data = true;
                self.act(who, |agent, now| agent.handle_heard(via, now));
            }
        } else if self.peers[who].is_for_agent(who, datagram) {
            if !SERVER_IPS.contains(&remote.ip()) {
                self.peers[who].note_heard(remote);
            }
            self.feed(who, via, datagram);
        }
    }

    fn feed(&mut self, who: usize, via: Route, datagram: &[u8]) {
        self.act(who, |agent, now| {
            let _counted = agent.handle_stun(via, datagram, now);
        });
    }

    fn open(&mut self, to: usize, letter: Letter) {
        match letter {
            Letter::Relayed(datagram) => {
                if self.peers[to].is_for_agent(to, &datagram) {
                    self.feed(to, Route::Relay, &datagram);
                }
            }
            Letter::Hint(hint, observed) => {
                self.act(to, |agent, now| agent.handle_hint(hint, observed, now));
            }
            Letter::Introduction(candidates, nat) => {
                self.peers[to].note_announced(&candidates);
                if to == ACCEPTOR {
                    self.announce(ACCEPTOR);
                    let until = self.now + self.post.round_trip(ACCEPTOR);
                    self.act(ACCEPTOR, |agent, _| agent.hold_checks(until));
                } else {
                    self.exchanged_at = Some(self.now);
                }
                let other = credentials(1 - to);
                self.act(to, |agent, now| {
                    agent.handle_remote(other, &candidates, nat, now);
                });
            }
        }
    }
}
