//! Scenarios in virtual time, by subject; the bench they share.

mod access;
mod dialing;
mod directory;
mod introductions;
mod numbers;
mod reports;
mod sequences;

use super::*;
use crate::candidate::{Candidate, CandidateKind, NatClass};
use crate::message::{
    Accept, CloseSession, Introduce, List, Page, Resolve, Resolved, SignIn, SignedIn, Watch,
};
use crate::name::Name;
use crate::secret::{Credentials, RelaySecret};

/// A virtual clock around one machine, and what came out of it.
struct Bench {
    sut: Rendezvous,
    now: Instant,
    next_conn: u64,
    sent: Vec<(ConnId, ToPeer)>,
    closed: Vec<(ConnId, CloseReason)>,
    relay: Vec<relay::Command>,
    events: Vec<Event>,
}

impl Bench {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        Self {
            sut: Rendezvous::new(config, [], 1_700_000_000, now),
            now,
            next_conn: 0,
            sent: Vec::new(),
            closed: Vec::new(),
            relay: Vec::new(),
            events: Vec::new(),
        }
    }

    fn open() -> Self {
        Self::new(Config::new(Access::Open))
    }

    /// A connection of the peer that `n` names, seen at an address of its own.
    fn connect(&mut self, n: u8) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.sut.connected(conn, peer(n), seen(n), self.now);
        self.drain();
        conn
    }

    /// A connection of peer `n`, signed in without a name.
    fn sign_in(&mut self, n: u8) -> ConnId {
        let conn = self.sign_in_quietly(n);
        self.sent.clear();
        conn
    }

    /// The same, where others still want to hear what they were told meanwhile.
    fn sign_in_quietly(&mut self, n: u8) -> ConnId {
        let conn = self.connect(n);
        let answer = self.ask(conn, sign_in());
        assert!(matches!(answer, ToPeer::SignedIn(_)), "{answer:?}");
        conn
    }

    /// Another connection of peer `n`, which only dials, from an address of its own.
    fn dialing(&mut self, n: u8) -> ConnId {
        let conn = self.connect(n);
        let port = 5000 + conn.0 as u16;
        self.sut
            .handle_moved(conn, SocketAddr::new(seen(n).ip(), port));
        self.say(conn, dial_only());
        let answer = self.heard(conn).pop();
        assert!(matches!(answer, Some(ToPeer::SignedIn(_))), "{answer:?}");
        conn
    }

    fn named(&mut self, n: u8, name: &str) -> ConnId {
        let conn = self.connect(n);
        let name = Some(name.parse().unwrap());
        self.say(conn, SignIn { name, ..sign_in() });
        self.sent.clear();
        conn
    }

    fn say(&mut self, conn: ConnId, message: impl Into<ToServer>) {
        self.sut.handle_message(conn, message.into(), self.now);
        self.drain();
    }

    /// Says something and returns what the speaker hears of it.
    fn ask(&mut self, conn: ConnId, message: impl Into<ToServer>) -> ToPeer {
        self.say(conn, message);
        self.heard(conn).pop().expect("an answer to whoever asked")
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.sut.handle_timeout(self.now);
        self.drain();
    }

    /// What was sent to a connection since it was last asked for.
    fn heard(&mut self, conn: ConnId) -> Vec<ToPeer> {
        let mine = |(to, _): &mut (ConnId, ToPeer)| *to == conn;
        let mine: Vec<_> = self.sent.extract_if(.., mine).collect();
        mine.into_iter().map(|(_, message)| message).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.sut.poll_output() {
            match output {
                Output::Send(conn, message) => {
                    assert!(!self.is_closed(conn), "{message:?} to a closed connection");
                    self.sent.push((conn, message));
                }
                Output::Close(conn, reason) => {
                    assert!(!self.is_closed(conn), "closed twice");
                    self.closed.push((conn, reason));
                }
                Output::Relay(command) => self.relay.push(command),
                Output::Store(_) => (),
            }
        }
        while let Some(event) = self.sut.poll_event() {
            self.events.push(event);
        }
    }

    fn is_closed(&self, conn: ConnId) -> bool {
        self.closed.iter().any(|(closed, _)| *closed == conn)
    }

    fn why_closed(&self, conn: ConnId) -> Option<CloseReason> {
        let mut closed = self.closed.iter();
        closed.find(|(c, _)| *c == conn).map(|&(_, reason)| reason)
    }

    /// Peers 1 and 2 signed in, and a session between them accepted.
    fn introduced() -> (Self, ConnId, ConnId) {
        let mut bench = Self::open();
        let (a, b) = (bench.sign_in(1), bench.sign_in(2));
        bench.say(a, introduce(9, 2));
        bench.say(b, accept(9));
        bench.sent.clear();
        bench.relay.clear();
        (bench, a, b)
    }
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn seen(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 4000))
}

fn session(n: u8) -> SessionId {
    SessionId([n; 8])
}

fn sign_in() -> SignIn {
    SignIn {
        id: 1,
        token: None,
        name: None,
        lease_s: 30,
        reachable: true,
        software: "test/1".to_owned(),
    }
}

fn dial_only() -> SignIn {
    SignIn {
        reachable: false,
        ..sign_in()
    }
}

fn control(n: u8, conn: ConnId) -> relay::Control {
    let peer = peer(n);
    relay::Control { peer, conn }
}

fn credentials(n: u8) -> Credentials {
    Credentials {
        fragment: [n; 8],
        password: [n; 16],
    }
}

fn candidate(text: &str) -> Candidate {
    Candidate {
        kind: CandidateKind::Host,
        addr: text.parse().unwrap(),
    }
}

fn introduce(n: u8, to: u8) -> Introduce {
    Introduce {
        session: session(n),
        peer: peer(to),
        secret: RelaySecret([n; 32]),
        credentials: credentials(n),
        candidates: vec![candidate("10.0.0.1:5")],
        nat: NatClass::default(),
    }
}

fn accept(n: u8) -> Accept {
    Accept {
        session: session(n),
        secret: RelaySecret([n + 100; 32]),
        credentials: credentials(n + 100),
        candidates: vec![candidate("10.0.0.2:5")],
        nat: NatClass::default(),
    }
}

fn failed(reason: FailReason) -> ToPeer {
    Failed { id: 1, reason }.into()
}

fn refused(n: u8, reason: RefuseReason) -> ToPeer {
    let session = session(n);
    Refused { session, reason }.into()
}

fn session_closed(n: u8) -> ToPeer {
    ToPeer::SessionClosed(CloseSession {
        session: session(n),
    })
}
