//! A traversal agent and a peer that knows the right passwords but keeps to nothing else: any
//! order of calls, real and forged checks and answers from anywhere.
//!
//! What must hold after every call: queues and rates are bounded, nothing is sent to an address
//! that nobody lives at, an address is only allowed once the peer has shown itself there, and a
//! direct path is only selected once it has answered a check of ours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, CandidateKind, NatClass, is_sendable};
use gimlet_proto::secret::Credentials;
use gimlet_proto::stun::{
    Answer, Body, Check, CheckRole, Key, Seal, TransactionId, decode_check, encode_answer,
    encode_check, transaction_of,
};
use gimlet_proto::traversal::{Agent, Config, Event, Family, Role, Route, SocketId};

use crate::input::Input;

/// Calls of one run: more only repeat what fewer show.
const MAX_CALLS: usize = 300;

/// Datagrams remembered, to be answered or played again.
const MAX_KEPT: usize = 64;

/// Checks and answers that may go out at once, and per second after that.
const SENT_AT_ONCE: u64 = 60 + 200;
const SENT_PER_SECOND: u64 = 100 + 200;

/// How a Binding request begins.
const REQUEST: [u8; 2] = [0, 1];

const MINE: Credentials = Credentials {
    fragment: [0x11; 8],
    password: [0x22; 16],
};
const THEIRS: Credentials = Credentials {
    fragment: [0x33; 8],
    password: [0x44; 16],
};

/// Keys are costly to make.
static TO_ME: LazyLock<Seal> = LazyLock::new(|| Seal::new(&MINE, &THEIRS));
static OF_THEIRS: LazyLock<Key> = LazyLock::new(|| Key::new(&THEIRS));

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bench = Bench::new(&mut input);
    for _ in 0..MAX_CALLS {
        if input.is_empty() {
            break;
        }
        bench.call(&mut input);
    }
    bench.let_run(Duration::from_secs(20));
}

struct Bench {
    agent: Agent,
    role: Role,
    start: Instant,
    now: Instant,
    /// What the agent sent, newest last.
    sent: VecDeque<(Route, Vec<u8>)>,
    /// What the agent was fed, newest last.
    fed: VecDeque<(Route, Vec<u8>)>,
    /// Which way each check of the agent went.
    checks: BTreeMap<TransactionId, Route>,
    /// Where the peer has shown that it knows a password.
    heard: BTreeSet<Route>,
    /// Where a check of the agent was answered.
    answered: BTreeSet<Route>,
    sent_total: u64,
}

impl Bench {
    fn new(input: &mut Input) -> Self {
        let start = Instant::now();
        let role = match input.bool() {
            true => Role::Controlling,
            false => Role::Controlled,
        };
        let sockets = [
            (SocketId(0), Family::V4),
            (SocketId(1), Family::V6),
            (SocketId(2), Family::Both),
        ];
        let sockets = &sockets[..input.pick(4)];
        Self {
            agent: Agent::new(Config::default(), role, MINE, sockets, [7; 32], start),
            role,
            start,
            now: start,
            sent: VecDeque::new(),
            fed: VecDeque::new(),
            checks: BTreeMap::new(),
            heard: BTreeSet::new(),
            answered: BTreeSet::new(),
            sent_total: 0,
        }
    }

    fn call(&mut self, input: &mut Input) {
        let now = self.now;
        match input.byte() % 18 {
            0 => self
                .agent
                .set_local(&candidates(input), NatClass::default()),
            1 => self.agent.hold_checks(now + input.span()),
            2 => {
                let candidates = candidates(input);
                let nat = NatClass::default();
                self.agent.handle_remote(THEIRS, &candidates, nat, now);
            }
            3 => self.agent.handle_candidates(&candidates(input), now),
            4 => {
                let via = self.route(input);
                self.feed(via, input.bytes());
            }
            5 | 6 => self.check(input),
            7..=9 => self.answer(input),
            10 => self.replay(input),
            11 => self.agent.handle_heard(self.route(input), now),
            12 => self.agent.handle_suspect(self.route(input), now),
            13 => self.agent.handle_send_failed(self.route(input), now),
            14 => self.agent.handle_relay(input.bool(), now),
            15 => self.agent.set_mtu(input.u16()),
            16 => self.agent.restart(now),
            _ => self.let_run(input.span()),
        }
        self.drain();
    }

    /// A route that is in use, or any.
    fn route(&self, input: &mut Input) -> Route {
        match input.byte() {
            0..64 => Route::Relay,
            64..128 => self.agent.selected(),
            n @ 128..192 => {
                let index = usize::from(n).checked_rem(self.sent.len());
                index.map_or(Route::Relay, |index| self.sent[index].0)
            }
            n => Route::Direct {
                socket: SocketId(u16::from(n & 3)),
                remote: input.addr(),
            },
        }
    }

    /// A check of the peer's, sealed as it should be.
    fn check(&mut self, input: &mut Input) {
        let via = self.route(input);
        let flags = input.byte();
        let tie_breaker = u64::from(input.u16());
        // The peer's role is the other one, unless it lies.
        let controlling = (self.role == Role::Controlled) ^ (flags & 0xf0 == 0xf0);
        let check = Check {
            transaction: TransactionId([input.byte(); 12]),
            priority: u32::from(input.u16()),
            role: match controlling {
                true => CheckRole::Controlling {
                    tie_breaker,
                    nominate: flags & 1 == 1,
                },
                false => CheckRole::Controlled { tie_breaker },
            },
        };
        let bytes = encode_check(&check, &TO_ME, usize::from(input.u16() % 1600));
        self.feed(via, &bytes);
    }

    /// The peer answers a check that was sent, by the way it came or by another.
    fn answer(&mut self, input: &mut Input) {
        let Some(index) = usize::from(input.byte()).checked_rem(self.sent.len()) else {
            return;
        };
        let (sent_via, bytes) = &self.sent[self.sent.len() - 1 - index];
        let Some(transaction) = transaction_of(bytes).filter(|_| bytes.starts_with(&REQUEST))
        else {
            return;
        };
        let (sent_via, size) = (*sent_via, bytes.len());
        let flags = input.byte();
        let via = match flags & 3 {
            0 => self.route(input),
            _ => sent_via,
        };
        let answer = Answer {
            transaction,
            mapped: (flags & 4 == 0).then(|| input.addr()),
        };
        let size = if flags & 8 == 0 { size } else { 0 };
        let bytes = encode_answer(&answer, &OF_THEIRS, size);
        self.feed(via, &bytes);
    }

    /// What somebody saw on the way is played again from anywhere, perhaps with a bit changed.
    fn replay(&mut self, input: &mut Input) {
        let seen = if input.bool() { &self.fed } else { &self.sent };
        let Some(index) = usize::from(input.byte()).checked_rem(seen.len()) else {
            return;
        };
        let mut bytes = seen[index].1.clone();
        let via = self.route(input);
        if let Some(at) = usize::from(input.u16()).checked_rem(2 * bytes.len())
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte ^= 1 << (input.byte() & 7);
        }
        self.feed(via, &bytes);
    }

    fn feed(&mut self, via: Route, bytes: &[u8]) {
        let route = via.canonical();
        if let Some(incoming) = decode_check(bytes) {
            match incoming.body {
                Body::Request { .. } if incoming.verify(TO_ME.key()) => {
                    self.heard.insert(route);
                }
                Body::Success(answer) if incoming.verify(&OF_THEIRS) => {
                    self.heard.insert(route);
                    if self.checks.get(&answer.transaction) == Some(&route) {
                        self.answered.insert(route);
                    }
                }
                Body::Request { .. } | Body::Success(_) | Body::Error(_) => (),
            }
        }
        // Why it was dropped is counted by the driver.
        let _ = self.agent.handle_stun(via, bytes, self.now);
        keep(&mut self.fed, (via, bytes.to_vec()));
    }

    /// Lets time pass, waking the agent when it asks for it.
    fn let_run(&mut self, span: Duration) {
        self.drain();
        let until = self.now + span;
        let mut wakes = 0;
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.agent.handle_timeout(self.now);
            let next = self.agent.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer moves on");
            self.drain();
            wakes += 1;
            assert!(wakes < 50_000, "an agent comes to rest");
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            self.sent_total += 1;
            if let Route::Direct { remote, .. } = transmit.via {
                assert!(is_sendable(remote, false), "{remote}");
            }
            let transaction = transaction_of(&transmit.payload).expect("an agent sends STUN");
            if transmit.payload.starts_with(&REQUEST) {
                self.checks.insert(transaction, transmit.via);
            }
            keep(&mut self.sent, (transmit.via, transmit.payload));
        }
        let elapsed = (self.now - self.start).as_secs() + 1;
        assert!(
            self.sent_total <= SENT_AT_ONCE + SENT_PER_SECOND * elapsed,
            "{} datagrams in {elapsed} s",
            self.sent_total
        );
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Allowed { socket, remote } => {
                    let route = Route::Direct { socket, remote };
                    assert!(self.heard.contains(&route), "{route:?} is nobody's");
                }
                Event::Selected { route, .. } if route.is_direct() => {
                    assert!(self.answered.contains(&route), "{route:?} never answered");
                }
                // The rest only reports.
                _ => (),
            }
        }
        let selected = self.agent.selected();
        assert!(!selected.is_direct() || self.answered.contains(&selected));
    }
}

fn keep(kept: &mut VecDeque<(Route, Vec<u8>)>, datagram: (Route, Vec<u8>)) {
    if kept.len() == MAX_KEPT {
        kept.pop_front();
    }
    kept.push_back(datagram);
}

fn candidates(input: &mut Input) -> Vec<Candidate> {
    let kinds = [
        CandidateKind::Host,
        CandidateKind::PeerReflexive,
        CandidateKind::ServerReflexive,
        CandidateKind::Mapped,
    ];
    (0..input.pick(20))
        .map(|_| Candidate {
            kind: kinds[input.pick(4)],
            addr: input.addr(),
        })
        .collect()
}
