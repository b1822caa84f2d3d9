//! Searches for a port on behalf of sessions: one at a time on this host, with sockets opened for it,
//! within a budget for each address, and not again soon where it led nowhere.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gimlet_net::path;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::hint::{Hint, Ports};
use gimlet_proto::id::PeerId;
use gimlet_proto::limit::{Limiter, Rate};
use gimlet_proto::message::{Coordinate, Coordinated};
use gimlet_proto::traversal::{
    Event, Family, PortKnowledge, Role, SearchEnd, SearchFacts, SocketId,
};
use quinn::AsyncUdpSocket;

use super::{Command, Engine};

/// Sessions that wait for their turn. A search takes half a minute at most, so the last of these
/// waits a few minutes; further ones stay on the relay.
const MAX_WAITING: usize = 16;

/// Pairs remembered that could not be joined, and for how long: networks change, people try again.
const MAX_FRUITLESS: usize = 256;
const FRUITLESS_FOR: Duration = Duration::from_secs(600);

/// What is sent to one network, whichever sessions send it: one long search at once, and another
/// every few minutes. Sessions with many peers behind one address share it.
const PER_NETWORK: Rate = Rate::per_second(10, 6_000);

/// Networks whose budget is remembered.
const NETWORKS: usize = 1024;

/// See the [module docs](self).
pub(super) struct Searches {
    current: Option<VirtualAddr>,
    waiting: VecDeque<VirtualAddr>,
    /// Sockets opened for each session.
    sockets: HashMap<VirtualAddr, Vec<SocketId>>,
    fruitless: HashMap<PeerId, (Instant, [NatClass; 2])>,
    budget: Limiter,
}

impl Searches {
    pub(super) fn new() -> Self {
        Self {
            current: None,
            waiting: VecDeque::new(),
            sockets: HashMap::new(),
            fruitless: HashMap::new(),
            budget: Limiter::new(PER_NETWORK, NETWORKS, rand::random()),
        }
    }

    /// Whether one more packet may go to an address that has proven nothing.
    pub(super) fn may_send(&mut self, to: IpAddr, now: Instant) -> bool {
        self.budget.allow(to, now)
    }

    fn is_fruitless(&self, peer: PeerId, nats: [NatClass; 2], now: Instant) -> bool {
        self.fruitless.get(&peer).is_some_and(|(since, known)| {
            *known == nats && now.saturating_duration_since(*since) < FRUITLESS_FOR
        })
    }

    fn remember(&mut self, peer: PeerId, nats: [NatClass; 2], now: Instant) {
        if self.fruitless.len() >= MAX_FRUITLESS {
            self.fruitless
                .retain(|_, (since, _)| now.saturating_duration_since(*since) < FRUITLESS_FOR);
        }
        if self.fruitless.len() < MAX_FRUITLESS {
            self.fruitless.insert(peer, (now, nats));
        }
    }
}

impl Engine {
    /// What an agent must know for a search; nothing where there is to be none.
    pub(super) fn search_facts(&self) -> SearchFacts {
        if self.shared.relay_only || self.shared.skips_search {
            return SearchFacts::default();
        }
        let v4 = |addr: &std::net::SocketAddr| addr.is_ipv4();
        let server = self.servers.primary_place();
        let server = server.map(|server| server.addr).filter(v4);
        let asked = || self.asked.iter().map(|&(_, addr)| addr).find(v4);
        let mapped = self.discovery.mapped().into_iter();
        SearchFacts {
            server: server.or_else(asked),
            own: mapped.chain(self.observed).find(|(_, seen)| seen.is_ipv4()),
            ports: self.port_knowledge(),
        }
    }

    /// Carries out what the search of a session wants; other events come back.
    pub(super) fn apply_search(
        &mut self,
        addr: VirtualAddr,
        event: Event,
        now: Instant,
    ) -> Option<Event> {
        match event {
            Event::SearchWanted => self.search_wanted(addr, now),
            Event::SearchOver => self.search_over(addr, now),
            Event::OpenSockets { count } => self.open_sockets(addr, count),
            Event::CloseSockets(sockets) => self.close_sockets(addr, &sockets),
            Event::Say(hint) => self.say(addr, hint),
            other => return Some(other),
        }
        None
    }

    fn search_wanted(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let nats = [*self.shared.nat.borrow(), entry.session.nat_remote];
        let searches = &mut self.searches;
        let fruitless = searches.is_fruitless(entry.peer.id, nats, now);
        let full = searches.current.is_some() && searches.waiting.len() >= MAX_WAITING;
        if fruitless || full {
            entry.session.agent.refuse_search(now);
        } else if searches.current.is_none_or(|current| current == addr) {
            searches.current = Some(addr);
            entry.session.agent.permit_search(now);
        } else if !searches.waiting.contains(&addr) {
            searches.waiting.push_back(addr);
        }
        self.drive(addr);
    }

    fn search_over(&mut self, addr: VirtualAddr, now: Instant) {
        if let Some(entry) = self.entries.get(&addr) {
            let search = entry.session.agent.outcome().search;
            tracing::debug!(peer = %entry.peer.id.short(), ?search, "search over");
            if let Some(SearchEnd::Exhausted | SearchEnd::Infeasible) = search.ended {
                let nats = [*self.shared.nat.borrow(), entry.session.nat_remote];
                self.searches.remember(entry.peer.id, nats, now);
            }
        }
        self.leave_search(addr, now);
    }

    /// Lets the next one have its turn.
    fn leave_search(&mut self, addr: VirtualAddr, now: Instant) {
        self.searches.waiting.retain(|waiting| *waiting != addr);
        if self.searches.current != Some(addr) {
            return;
        }
        self.searches.current = None;
        while let Some(next) = self.searches.waiting.pop_front() {
            if let Some(entry) = self.entries.get_mut(&next) {
                self.searches.current = Some(next);
                entry.session.agent.permit_search(now);
                return self.drive(next);
            }
        }
    }

    /// The other side says where it can be found.
    pub(super) fn coordinated(&mut self, said: Coordinated, now: Instant) {
        let Some(&addr) = self.by_session.get(&said.session) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if self.searches.current.is_some_and(|current| current != addr) {
            let asks = !matches!(said.hint.ports, Ports::Busy | Ports::Unknown);
            if entry.session.role == Role::Controlled && asks {
                let hint = Hint {
                    ports: Ports::Busy,
                    nat: *self.shared.nat.borrow(),
                    round: said.hint.round,
                };
                self.say(addr, hint);
            }
            return;
        }
        self.searches.current = Some(addr);
        entry.session.nat_remote = said.hint.nat;
        let nat_remote = said.hint.nat;
        entry
            .peer
            .facts
            .send_modify(|facts| facts.nat_remote = nat_remote);
        entry
            .session
            .agent
            .handle_hint(said.hint, said.observed, now);
        self.drive(addr);
    }

    fn say(&mut self, addr: VirtualAddr, hint: Hint) {
        if let Some(entry) = self.entries.get(&addr)
            && let Some(home) = entry.session.home
        {
            let session = entry.session.id();
            self.control.send(home, Coordinate { session, hint });
        }
    }

    fn open_sockets(&mut self, addr: VirtualAddr, count: u16) {
        let (shared, commands) = (self.shared.clone(), self.commands.clone());
        tokio::spawn(async move {
            let mut sockets = Vec::new();
            for _ in 0..count {
                // The system's limit on open files may be near: fewer sockets only take longer.
                match shared.network.open(Family::V4) {
                    Ok(socket) if path::writable(&socket).await.is_ok() => sockets.push(socket),
                    Ok(_) | Err(_) => break,
                }
            }
            if let Some(commands) = commands.upgrade() {
                // Gone with the endpoint.
                let _ = commands.send(Command::Opened { addr, sockets }).await;
            }
        });
    }

    /// Sockets for a search are open.
    pub(super) fn opened(
        &mut self,
        addr: VirtualAddr,
        sockets: Vec<Arc<dyn AsyncUdpSocket>>,
        now: Instant,
    ) {
        if !self.entries.contains_key(&addr) {
            return;
        }
        let attached: Vec<_> = sockets
            .into_iter()
            .filter_map(|socket| {
                let port = socket.local_addr().ok()?.port();
                Some((self.shared.socket.attach(socket)?, port))
            })
            .collect();
        let held = self.searches.sockets.entry(addr).or_default();
        held.extend(attached.iter().map(|&(id, _)| id));
        self.with_entry(addr, |entry| {
            entry.session.agent.handle_sockets(&attached, now);
        });
    }

    fn close_sockets(&mut self, addr: VirtualAddr, closed: &[SocketId]) {
        for &socket in closed {
            self.shared.socket.detach(socket);
        }
        if let Some(held) = self.searches.sockets.get_mut(&addr) {
            held.retain(|socket| !closed.contains(socket));
        }
    }

    /// Gives back everything a session has that is being forgotten.
    pub(super) fn forget_search(&mut self, addr: VirtualAddr, now: Instant) {
        for socket in self.searches.sockets.remove(&addr).unwrap_or_default() {
            self.shared.socket.detach(socket);
        }
        self.leave_search(addr, now);
    }

    /// Lets callers see how far a search is.
    pub(super) fn tell_search(&mut self, addr: VirtualAddr) {
        if self.searches.current != Some(addr) {
            return;
        }
        if let Some(entry) = self.entries.get(&addr) {
            let search = entry.session.agent.outcome().search;
            entry.peer.facts.send_if_modified(|facts| {
                std::mem::replace(&mut facts.outcome.search, search) != search
            });
        }
    }

    /// How our NAT gives out ports, as far as it is known besides its class.
    fn port_knowledge(&self) -> PortKnowledge {
        self.discovery.port_knowledge()
    }
}
