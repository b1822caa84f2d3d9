//! The bench: a virtual clock, two agents, and one direct and one relayed way between them.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::Agent;
use crate::candidate::{Candidate, CandidateKind, NatClass};
use crate::secret::Credentials;
use crate::traversal::{Config, Dropped, Event, Family, Role, Route, SocketId, Transmit};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// Controlling.
    Dialer,
    /// Controlled.
    Acceptor,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Acceptor,
            Self::Acceptor => Self::Dialer,
        }
    }
}

/// One datagram as the wire sees it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) from: Side,
    pub(super) via: Route,
    pub(super) payload: Vec<u8>,
    pub(super) sent_at: Instant,
}

type Loses = Box<dyn FnMut(&Packet) -> bool>;

/// Two agents and what is between them.
pub(super) struct Bench {
    pub(super) start: Instant,
    pub(super) now: Instant,
    dialer: Agent,
    acceptor: Agent,
    /// One way.
    pub(super) direct_delay: Duration,
    /// One way, peer to peer.
    pub(super) relay_delay: Duration,
    /// Whether a direct packet is lost before it reaches the other NAT.
    pub(super) loses: Loses,
    /// Whether each side's NAT lets in only answers to what was sent.
    pub(super) strict: bool,
    /// Who has sent to whom, for strict NATs.
    opened: HashSet<(Side, SocketAddr, SocketAddr)>,
    in_flight: Vec<(Instant, u64, Packet)>,
    sequence: u64,
    pub(super) events: Vec<(Side, Duration, Event)>,
    pub(super) sent: Vec<Packet>,
    pub(super) dropped: Vec<(Side, Dropped)>,
}

pub(super) fn credentials(side: Side) -> Credentials {
    let n = match side {
        Side::Dialer => 0xd1,
        Side::Acceptor => 0xac,
    };
    Credentials {
        fragment: [n; 8],
        password: [n; 16],
    }
}

/// The outside address of a side's socket; sockets have one each.
pub(super) fn addr(side: Side, socket: u16) -> SocketAddr {
    let host = match side {
        Side::Dialer => 1,
        Side::Acceptor => 2,
    };
    SocketAddr::from(([203, 0, 113, host], 7000 + socket))
}

pub(super) fn candidate(addr: SocketAddr) -> Candidate {
    Candidate {
        kind: CandidateKind::ServerReflexive,
        addr,
    }
}

/// The direct route between the first sockets.
pub(super) fn direct(side: Side) -> Route {
    Route::Direct {
        socket: SocketId(0),
        remote: addr(side.other(), 0),
    }
}

impl Bench {
    /// One socket a side, no delay, no loss, no filters, relay up.
    pub(super) fn new() -> Self {
        Self::with_sockets(1)
    }

    pub(super) fn with_sockets(sockets: u16) -> Self {
        Self::made(sockets, &Config::default())
    }

    pub(super) fn with_config(config: Config) -> Self {
        Self::made(1, &config)
    }

    fn made(sockets: u16, config: &Config) -> Self {
        let start = Instant::now();
        let sockets: Vec<_> = (0..sockets).map(|n| (SocketId(n), Family::V4)).collect();
        let agent = |role, side, seed| {
            let mut agent = Agent::new(
                config.clone(),
                role,
                credentials(side),
                &sockets,
                [seed; 32],
                start,
            );
            let announced: Vec<_> = sockets
                .iter()
                .map(|(id, _)| candidate(addr(side, id.0)))
                .collect();
            agent.set_local(&announced, NatClass::default());
            agent
        };
        let mut bench = Self {
            start,
            now: start,
            dialer: agent(Role::Controlling, Side::Dialer, 1),
            acceptor: agent(Role::Controlled, Side::Acceptor, 2),
            direct_delay: Duration::ZERO,
            relay_delay: Duration::ZERO,
            loses: Box::new(|_| false),
            strict: false,
            opened: HashSet::new(),
            in_flight: Vec::new(),
            sequence: 0,
            events: Vec::new(),
            sent: Vec::new(),
            dropped: Vec::new(),
        };
        for side in [Side::Dialer, Side::Acceptor] {
            bench.act(side, |agent, now| agent.handle_relay(true, now));
        }
        bench
    }

    pub(super) fn agent(&mut self, side: Side) -> &mut Agent {
        match side {
            Side::Dialer => &mut self.dialer,
            Side::Acceptor => &mut self.acceptor,
        }
    }

    /// Calls an agent as its driver would: now, and drained afterwards.
    pub(super) fn act<T>(&mut self, side: Side, f: impl FnOnce(&mut Agent, Instant) -> T) -> T {
        let now = self.now;
        let result = f(self.agent(side), now);
        while let Some(Transmit { via, payload }) = self.agent(side).poll_transmit() {
            self.send(side, via, payload);
        }
        while let Some(event) = self.agent(side).poll_event() {
            self.events.push((side, now - self.start, event));
        }
        result
    }

    fn send(&mut self, from: Side, via: Route, payload: Vec<u8>) {
        let packet = Packet {
            from,
            via,
            payload,
            sent_at: self.now,
        };
        self.sent.push(packet.clone());
        let delay = match via {
            Route::Relay => self.relay_delay,
            Route::Direct { socket, remote } => {
                self.opened.insert((from, addr(from, socket.0), remote));
                self.direct_delay
            }
        };
        if !(self.loses)(&packet) {
            self.sequence += 1;
            self.in_flight
                .push((self.now + delay, self.sequence, packet));
        }
    }

    /// Announces all of a side's addresses to the other side.
    pub(super) fn introduce(&mut self, to: Side) {
        let sockets = self.agent(to).sockets.len();
        let from = to.other();
        let candidates: Vec<_> = (0..sockets)
            .map(|n| candidate(addr(from, n as u16)))
            .collect();
        self.introduce_with(to, &candidates);
    }

    pub(super) fn introduce_with(&mut self, to: Side, candidates: &[Candidate]) {
        self.act(to, |agent, now| {
            agent.handle_remote(
                credentials(to.other()),
                candidates,
                NatClass::default(),
                now,
            );
        });
    }

    /// Introduces both at once.
    pub(super) fn introduce_both(&mut self) {
        self.introduce(Side::Acceptor);
        self.introduce(Side::Dialer);
    }

    /// Runs for a while.
    pub(super) fn run(&mut self, span: Duration) {
        let until = self.now + span;
        let mut rounds = 0;
        while let Some(at) = self.next_at().filter(|&at| at <= until) {
            assert!(
                at >= self.now || self.now == self.start,
                "time runs forward"
            );
            self.now = self.now.max(at);
            self.deliver();
            for side in [Side::Dialer, Side::Acceptor] {
                if self.agent(side).poll_timeout().is_some_and(|t| t <= at) {
                    self.act(side, |agent, now| agent.handle_timeout(now));
                    let next = self.agent(side).poll_timeout();
                    assert!(next.is_none_or(|next| next > at), "a timer must move on");
                }
            }
            rounds += 1;
            assert!(rounds < 200_000, "agents must come to rest");
        }
        self.now = until;
    }

    fn next_at(&self) -> Option<Instant> {
        let packets = self.in_flight.iter().map(|(at, _, _)| *at);
        packets
            .chain(self.dialer.poll_timeout())
            .chain(self.acceptor.poll_timeout())
            .min()
    }

    fn deliver(&mut self) {
        while let Some(index) = self.first_due() {
            let (_, _, packet) = self.in_flight.swap_remove(index);
            let to = packet.from.other();
            let Some(via) = self.arrival(&packet) else {
                continue;
            };
            self.inject(to, via, &packet.payload);
        }
    }

    fn first_due(&self) -> Option<usize> {
        (0..self.in_flight.len())
            .filter(|&i| self.in_flight[i].0 <= self.now)
            .min_by_key(|&i| (self.in_flight[i].0, self.in_flight[i].1))
    }

    /// How the receiver sees a packet's way; `None` if nobody is there or a NAT filters it.
    fn arrival(&self, packet: &Packet) -> Option<Route> {
        let Route::Direct { socket, remote } = packet.via else {
            return Some(Route::Relay);
        };
        let to = packet.from.other();
        let source = addr(packet.from, socket.0);
        let own = (0..4).find(|&n| addr(to, n) == remote)?;
        let open = !self.strict || self.opened.contains(&(to, remote, source));
        open.then_some(Route::Direct {
            socket: SocketId(own),
            remote: source,
        })
    }

    /// Feeds a datagram to one side, counting why it is dropped.
    pub(super) fn inject(&mut self, to: Side, via: Route, payload: &[u8]) -> Option<Dropped> {
        let result = self.act(to, |agent, now| agent.handle_stun(via, payload, now));
        let dropped = result.err();
        self.dropped.extend(dropped.map(|why| (to, why)));
        dropped
    }

    /// When a side's route was selected, and which.
    pub(super) fn selections(&self, side: Side) -> Vec<(u64, Route)> {
        self.events
            .iter()
            .filter_map(|(who, at, event)| match event {
                Event::Selected { route, .. } if *who == side => {
                    Some((u64::try_from(at.as_millis()).unwrap(), *route))
                }
                _ => None,
            })
            .collect()
    }

    pub(super) fn selected(&mut self, side: Side) -> Route {
        self.agent(side).selected()
    }

    /// Both sides use the path between the same two sockets.
    pub(super) fn assert_converged(&mut self) {
        let there = self.selected(Side::Dialer);
        let back = self.selected(Side::Acceptor);
        match (there, back) {
            (Route::Relay, Route::Relay) => (),
            (
                Route::Direct { socket, remote },
                Route::Direct {
                    socket: theirs,
                    remote: ours,
                },
            ) => {
                assert_eq!(remote, addr(Side::Acceptor, theirs.0));
                assert_eq!(ours, addr(Side::Dialer, socket.0));
            }
            (there, back) => panic!("dialer uses {there:?}, acceptor {back:?}"),
        }
    }

    /// Datagrams sent over direct paths since the start of the bench.
    pub(super) fn direct_sends(&self, from: Side) -> Vec<&Packet> {
        self.sent
            .iter()
            .filter(|p| p.from == from && p.via.is_direct())
            .collect()
    }

    pub(super) fn elapsed_ms(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_millis()).unwrap()
    }
}
