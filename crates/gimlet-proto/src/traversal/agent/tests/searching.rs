//! A peer that lies in a search cannot make us send much, nor to anybody else.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bench::{Side, credentials};
use super::secs;
use crate::candidate::{Allocation, Behaviour, NatClass};
use crate::hint::{Hint, Ports};
use crate::traversal::{
    Agent, Config, Event, Family, PortKnowledge, Role, Route, SearchFacts, SocketId,
};

const PEER: [u8; 4] = [198, 51, 100, 2];
const VICTIM: [u8; 4] = [192, 0, 2, 80];
const SERVER: [u8; 4] = [203, 0, 113, 1];

#[test]
fn a_probed_peer_can_only_be_the_one_that_the_server_hears() {
    for ports in [everything(VICTIM), sequence(VICTIM, 1, u16::MAX)] {
        let mut t = Bench::new(Role::Controlled, fixed());
        t.play_rounds(20, ports);
        assert!(t.sent_to(VICTIM) <= 12 * 16, "{:?}", t.sent);
    }
}

#[test]
fn sockets_opened_toward_somebody_else_send_a_handful_of_packets() {
    let mut t = Bench::new(Role::Controlled, random());
    t.play_rounds(20, Ports::Fixed(SocketAddr::from((VICTIM, 53))));
    assert!(t.sent_to(VICTIM) <= 12 * 16, "{:?}", t.sent);
}

#[test]
fn a_search_stays_within_its_rate_and_its_rounds() {
    let mut t = Bench::new(Role::Controlled, fixed());
    t.hint(1, everything(PEER));
    t.run(secs(10));
    let sent = t.sent_to(PEER);
    assert!((900..=1050).contains(&sent), "{sent}");
    t.play_rounds(40, everything(PEER));
    assert!(t.sent_to(PEER) <= 12 * 2_500, "{:?}", t.sent);
}

#[test]
fn a_hint_of_an_old_round_or_from_nowhere_changes_nothing() {
    let mut t = Bench::new(Role::Controlled, fixed());
    t.hint(3, Ports::Unknown);
    t.hint(3, everything(PEER));
    t.hint(2, everything(PEER));
    t.run(secs(5));
    assert_eq!(t.sent_to(PEER), 0);
}

#[test]
fn loopback_and_broadcast_are_never_searched() {
    for ip in [[127, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 0]] {
        let mut t = Bench::new(Role::Controlled, fixed());
        t.observed = ip.into();
        t.play_rounds(3, everything(ip));
        assert_eq!(t.sent_to(ip), 0);
    }
}

#[test]
fn without_permission_nothing_is_sent() {
    let mut t = Bench::new(Role::Controlling, fixed());
    t.permits = false;
    t.meet(random());
    t.run(secs(30));
    assert_eq!(t.wanted, 1);
    assert_eq!(t.sent_to(PEER), 0);
}

fn everything(ip: [u8; 4]) -> Ports {
    Ports::Range {
        ip: ip.into(),
        first: 0,
        last: u16::MAX,
    }
}

fn sequence(ip: [u8; 4], step: i16, drift: u16) -> Ports {
    Ports::Sequence {
        ip: ip.into(),
        next: 40_000,
        step,
        drift,
    }
}

fn fixed() -> NatClass {
    NatClass {
        mapping: Some(Behaviour::EndpointIndependent),
        filtering: Some(Behaviour::AddressAndPortDependent),
        ..NatClass::default()
    }
}

fn random() -> NatClass {
    NatClass {
        mapping: Some(Behaviour::AddressAndPortDependent),
        allocation: Some(Allocation::Random),
        ..fixed()
    }
}

/// One agent whose peer says what it likes and answers nothing.
struct Bench {
    agent: Agent,
    now: Instant,
    observed: IpAddr,
    permits: bool,
    wanted: u32,
    opened: u16,
    sent: BTreeMap<IpAddr, u32>,
}

impl Bench {
    fn new(role: Role, nat: NatClass) -> Self {
        let now = Instant::now();
        let sockets = [(SocketId(0), Family::V4)];
        let local = credentials(Side::Acceptor);
        let mut agent = Agent::new(Config::default(), role, local, &sockets, [3; 32], now);
        agent.set_local(&[], nat);
        agent.set_search(SearchFacts {
            server: Some(SocketAddr::from((SERVER, 3478))),
            own: Some((SocketId(0), SocketAddr::from(([203, 0, 113, 7], 7000)))),
            ports: PortKnowledge::default(),
        });
        let mut bench = Self {
            agent,
            now,
            observed: PEER.into(),
            permits: true,
            wanted: 0,
            opened: 0,
            sent: BTreeMap::new(),
        };
        bench.act(|agent, now| agent.handle_relay(true, now));
        if role == Role::Controlled {
            bench.meet(random());
        }
        bench
    }

    fn meet(&mut self, nat: NatClass) {
        let remote = credentials(Side::Dialer);
        self.act(|agent, now| agent.handle_remote(remote, &[], nat, now));
    }

    fn hint(&mut self, round: u32, ports: Ports) {
        let (nat, observed) = (random(), self.observed);
        let hint = Hint { round, nat, ports };
        self.act(|agent, now| agent.handle_hint(hint, observed, now));
    }

    fn play_rounds(&mut self, rounds: u32, ports: Ports) {
        for round in 2..2 + rounds {
            self.hint(round, ports);
            self.run(secs(30));
        }
    }

    fn act(&mut self, f: impl FnOnce(&mut Agent, Instant)) {
        f(&mut self.agent, self.now);
        while self.drain() {}
    }

    /// Takes what the agent says and answers as an engine would; whether it said anything.
    fn drain(&mut self) -> bool {
        while let Some(transmit) = self.agent.poll_transmit() {
            if let Route::Direct { remote, .. } = transmit.via {
                *self.sent.entry(remote.ip()).or_default() += 1;
            }
        }
        let Some(event) = self.agent.poll_event() else {
            return false;
        };
        match event {
            Event::SearchWanted => {
                self.wanted += 1;
                if self.permits {
                    self.agent.permit_search(self.now);
                }
            }
            Event::OpenSockets { count } => {
                let first = self.opened;
                self.opened += count;
                let sockets: Vec<_> = (first..self.opened)
                    .map(|n| (SocketId(256 + n), 20_000 + n))
                    .collect();
                self.agent.handle_sockets(&sockets, self.now);
            }
            _ => (),
        }
        true
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.act(|agent, now| agent.handle_timeout(now));
            let next = self.agent.poll_timeout();
            assert!(next.is_none_or(|next| next > at), "a timer must move on");
        }
        self.now = until;
    }

    fn sent_to(&self, ip: [u8; 4]) -> u32 {
        self.sent.get(&IpAddr::from(ip)).copied().unwrap_or(0)
    }
}
