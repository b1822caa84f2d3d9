//! The rendezvous of a small server: connections that come and go and say anything.
//!
//! What must hold after every call: tables keep to their limits, a closed connection hears nothing
//! more, and what is sent can be read. When everybody has gone, nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, CandidateKind, NatClass};
use gimlet_proto::hint::{Hint, Ports};
use gimlet_proto::id::PeerId;
use gimlet_proto::limit::Rate;
use gimlet_proto::message::{
    Accept, AskStats, Candidates, CloseSession, Coordinate, DropNumber, HoldNumber, Introduce,
    List, NatReport, Outcome, PathKind, PathReport, RefuseReason, Refused, ReleaseName, Resolve,
    SignIn, SignOut, ToPeer, ToServer, Unwatch, Watch,
};
use gimlet_proto::name::Name;
use gimlet_proto::relay;
use gimlet_proto::rendezvous::config::NameLimits;
use gimlet_proto::rendezvous::{Access, CloseReason, Config, ConnId, Output, Rendezvous};
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use gimlet_proto::stats::Attempt;
use gimlet_proto::wire::{MAX_RECORD, Reader, Record, encode};

use crate::input::Input;

/// Calls of one run.
const MAX_CALLS: usize = 300;

const MAX_PEERS: usize = 4;
const MAX_SESSIONS: usize = 6;
const TOKEN: &str = "token";
const NAMES: [&str; 5] = ["a", "bob", "carol-2", "d.e", "x_y"];

pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut bench = Bench::new(&mut input);
    for _ in 0..MAX_CALLS {
        if input.is_empty() {
            break;
        }
        bench.call(&mut input);
        bench.drain();
    }
    bench.everybody_goes();
}

struct Bench {
    sut: Rendezvous,
    now: Instant,
    next_conn: u64,
    /// Connections that are up, oldest first.
    up: BTreeMap<ConnId, PeerId>,
    /// Sessions that the relay was told to open and not yet to close.
    relayed: BTreeSet<SessionId>,
}

impl Bench {
    fn new(input: &mut Input) -> Self {
        let now = Instant::now();
        let mut config = Config::new(match input.pick(3) {
            0 => Access::Open,
            1 => Access::Tokens(vec![TOKEN.to_owned()]),
            _ => Access::Keys((0..6).map(peer).collect()),
        });
        config.tell_observed = input.bool();
        config.max_peers = MAX_PEERS;
        config.max_sessions = MAX_SESSIONS;
        config.max_sessions_per_peer = 3;
        config.max_pending_in = 2;
        config.max_pending_out = 2;
        config.requests = Rate::per_second(20, 60);
        config.max_excess = 10;
        config.names = NameLimits {
            per_key: 2,
            total: 4,
            unused_ttl: Duration::from_secs(3600),
        };
        Self {
            sut: Rendezvous::new(config, [], 1_700_000_000, now),
            now,
            next_conn: 0,
            up: BTreeMap::new(),
            relayed: BTreeSet::new(),
        }
    }

    fn call(&mut self, input: &mut Input) {
        match input.byte() % 16 {
            0 | 1 => {
                self.next_conn += 1;
                let (conn, peer) = (ConnId(self.next_conn), peer(input.byte() & 7));
                self.up.insert(conn, peer);
                self.sut.connected(conn, peer, input.addr(), self.now);
            }
            2 => {
                if let Some(conn) = self.conn(input) {
                    self.up.remove(&conn);
                    self.sut.disconnected(conn, CloseReason::Lost);
                }
            }
            3 => {
                if let Some(conn) = self.conn(input) {
                    self.sut.handle_moved(conn, input.addr());
                }
            }
            4 => {
                if let Some(conn) = self.conn(input) {
                    self.sut.handle_alive(conn, self.now);
                }
            }
            5 => {
                let reason = match input.bool() {
                    true => relay::EndReason::Idle,
                    false => relay::EndReason::Full,
                };
                self.relay_ended(session(input.byte() & 7), reason);
            }
            6 => self.let_run(input.span()),
            7 => {
                // As it comes off the wire.
                let (kind, body) = (u16::from(input.byte() & 31), input.bytes());
                if let Ok(Some(message)) = ToServer::from_parts(kind, body) {
                    self.say(input, message);
                }
            }
            8 if input.byte() == 8 => self.sut.drain(input.span()),
            _ => {
                let message = message(input);
                self.say(input, message);
            }
        }
    }

    /// One of the connections that are up, or one that never was.
    fn conn(&self, input: &mut Input) -> Option<ConnId> {
        let index = usize::from(input.byte()).checked_rem(self.up.len())?;
        self.up.keys().nth(index).copied()
    }

    fn say(&mut self, input: &mut Input, message: ToServer) {
        let conn = self.conn(input).unwrap_or(ConnId(0));
        self.sut.handle_message(conn, message, self.now);
    }

    fn relay_ended(&mut self, session: SessionId, reason: relay::EndReason) {
        self.relayed.remove(&session);
        self.sut.handle_relay(relay::Event::Ended {
            session,
            reason,
            relayed: Default::default(),
        });
    }

    fn let_run(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(at) = self.sut.poll_timeout().filter(|&at| at <= until) {
            self.now = self.now.max(at);
            self.sut.handle_timeout(self.now);
            let next = self.sut.poll_timeout();
            assert!(next.is_some_and(|next| next > self.now), "a timer moves on");
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.sut.poll_output() {
            match output {
                Output::Send(conn, message) => {
                    assert!(self.up.contains_key(&conn), "{message:?} to nobody");
                    let record = encode(&message);
                    assert!(record.len() <= MAX_RECORD);
                    let mut reader = Reader::default();
                    reader.extend(&record);
                    assert_eq!(reader.poll::<ToPeer>(), Ok(Some(message)));
                }
                Output::Close(conn, _) => assert!(self.up.remove(&conn).is_some(), "closed twice"),
                Output::Relay(relay::Command::Open { session, .. }) => {
                    assert!(self.relayed.insert(session), "opened twice");
                }
                Output::Relay(relay::Command::Close { session }) => {
                    self.relayed.remove(&session);
                }
                Output::Relay(_) | Output::Store(_) => (),
            }
        }
        while self.sut.poll_event().is_some() {}
        let signed_in = self.sut.online() + self.sut.dialing();
        assert!(signed_in <= MAX_PEERS.min(self.up.len()));
        assert!(self.sut.sessions() <= MAX_SESSIONS);
        assert!(
            self.relayed.len() <= MAX_SESSIONS,
            "the relay is told of every end"
        );
    }

    fn everybody_goes(&mut self) {
        while let Some((conn, _)) = self.up.pop_first() {
            self.sut.disconnected(conn, CloseReason::Lost);
            self.drain();
        }
        assert_eq!(self.sut.online() + self.sut.dialing(), 0);
        for session in self.relayed.clone() {
            self.relay_ended(session, relay::EndReason::Idle);
        }
        self.drain();
        assert_eq!(self.sut.sessions(), 0, "a session was left over");
        self.let_run(Duration::from_secs(60));
    }
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn session(n: u8) -> SessionId {
    SessionId([n; 8])
}

fn text(input: &mut Input) -> String {
    match input.byte() {
        n @ 0..128 => NAMES[usize::from(n) % NAMES.len()].to_owned(),
        n @ 128..160 => peer(n & 7).to_string(),
        n @ 160..192 => peer(n & 7).to_string()[..usize::from(n & 15)].to_owned(),
        192..208 => input.addr().to_string(),
        _ => String::from_utf8_lossy(input.bytes()).into_owned(),
    }
}

fn name(input: &mut Input) -> Option<Name> {
    text(input).parse().ok()
}

fn credentials(input: &mut Input) -> Credentials {
    Credentials {
        fragment: [input.byte(); 8],
        password: [1; 16],
    }
}

fn candidates(input: &mut Input) -> Vec<Candidate> {
    let addr = |input: &mut Input| -> SocketAddr {
        match input.bool() {
            true => SocketAddr::from(([127, 0, 0, 1], input.u16())),
            false => input.addr(),
        }
    };
    (0..input.pick(20))
        .map(|_| Candidate {
            kind: CandidateKind::Host,
            addr: addr(input),
        })
        .collect()
}

fn message(input: &mut Input) -> ToServer {
    let session = session(input.byte() & 7);
    let peer = peer(input.byte() & 7);
    let id = u32::from(input.byte());
    match input.byte() % 22 {
        0..=3 => SignIn {
            id,
            token: input.bool().then(|| TOKEN.to_owned()),
            name: name(input),
            lease_s: input.u16().into(),
            reachable: input.byte() < 200,
            software: text(input),
        }
        .into(),
        4 => SignOut {}.into(),
        5 => List {
            id,
            after: input.bool().then_some(peer),
        }
        .into(),
        6 => Resolve {
            id,
            text: text(input),
        }
        .into(),
        7..=9 => Introduce {
            session,
            peer,
            secret: RelaySecret([2; 32]),
            credentials: credentials(input),
            candidates: candidates(input),
            nat: NatClass::default(),
        }
        .into(),
        10 | 11 => Accept {
            session,
            secret: RelaySecret([3; 32]),
            credentials: credentials(input),
            candidates: candidates(input),
            nat: NatClass::default(),
        }
        .into(),
        12 => ToServer::Refuse(Refused {
            session,
            reason: RefuseReason::Declined,
        }),
        13 => Candidates {
            session,
            candidates: candidates(input),
        }
        .into(),
        14 => CloseSession { session }.into(),
        15 => PathReport {
            session,
            path: PathKind::Direct,
        }
        .into(),
        16 => Coordinate {
            session,
            hint: Hint {
                round: input.u16().into(),
                nat: NatClass::default(),
                ports: Ports::Unknown,
            },
        }
        .into(),
        17 => match input.bool() {
            true if input.bool() => Unwatch { peer }.into(),
            true => Watch { peer }.into(),
            false => NatReport {
                nat: NatClass::default(),
            }
            .into(),
        },
        18 => Outcome {
            session,
            attempt: Attempt {
                packets: input.u16().into(),
                ..Attempt::default()
            },
        }
        .into(),
        19 => AskStats { id }.into(),
        20 => match input.bool() {
            true => HoldNumber {
                id,
                ttl_s: input.u16().into(),
            }
            .into(),
            false => DropNumber {
                number: input.u16().into(),
            }
            .into(),
        },
        _ => match name(input) {
            Some(name) => ReleaseName { name }.into(),
            None => SignOut {}.into(),
        },
    }
}
