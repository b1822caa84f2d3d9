//! One side: its agent, its sockets, and what is counted of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, CandidateKind, NatClass};
use gimlet_proto::nat::Report;
use gimlet_proto::secret::Credentials;
use gimlet_proto::stun::{fragment_of, transaction_of};
use gimlet_proto::traversal::{Agent, Config, Event, Family, PortKnowledge, Role, Route, SocketId};
use gimlet_sim::{HostId, Rng};

use crate::layout::{Ground, SERVER_IPS};
use crate::probing::Probing;

/// Who.
pub(crate) const DIALER: usize = 0;
/// See [`DIALER`].
pub(crate) const ACCEPTOR: usize = 1;

/// Where an operating system's own choice of ports begins, and how many there are.
const EPHEMERAL: (u16, u64) = (32_768, 28_232);

/// What a side has sent directly so far, in datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    /// In all.
    pub(crate) total: u32,
    /// To ports that the other side neither announced nor was heard from, and to the server to learn
    /// how fresh sockets are seen.
    pub(crate) searching: u32,
    /// To hosts that the other side neither announced nor was heard from. There must be none.
    pub(crate) astray: u32,
    /// Most in any one second.
    pub(crate) busiest_second: u32,
}

/// One side.
pub(crate) struct Peer {
    pub(crate) host: HostId,
    pub(crate) agent: Agent,
    /// What it knows of its NAT.
    pub(crate) nat: NatClass,
    pub(crate) ports_known: PortKnowledge,
    pub(crate) probing: Option<Probing>,
    ip: IpAddr,
    ports: BTreeMap<SocketId, u16>,
    next_socket: u16,
    dice: Rng,
    /// How the server sees the first socket.
    pub(crate) reflexive: Option<SocketAddr>,
    /// From where QUIC is taken.
    allowed: BTreeSet<(SocketId, SocketAddr)>,
    /// Endpoints the other side announced or was heard from.
    known: BTreeSet<SocketAddr>,
    /// Since when a direct path is selected.
    pub(crate) direct_since: Option<Instant>,
    /// The attempt failed, as far as it is known by now.
    pub(crate) given_up: bool,
    pub(crate) sent: Sent,
    /// When the datagrams of the last second were sent.
    last_second: VecDeque<Instant>,
    /// A datagram of data arrived over a direct path.
    pub(crate) got_data: bool,
}

pub(crate) fn credentials(who: usize) -> Credentials {
    let byte = if who == DIALER { 1 } else { 2 };
    Credentials {
        fragment: [byte; 8],
        password: [0x10 + byte; 16],
    }
}

impl Peer {
    pub(crate) fn new(who: usize, ground: &Ground, mut dice: Rng, now: Instant) -> Self {
        let role = match who {
            DIALER => Role::Controlling,
            _ => Role::Controlled,
        };
        let mut seed = [0; 32];
        for bytes in seed.chunks_exact_mut(8) {
            bytes.copy_from_slice(&dice.next_u64().to_be_bytes());
        }
        let sockets = [(SocketId(0), Family::V4)];
        let agent = Agent::new(
            Config::default(),
            role,
            credentials(who),
            &sockets,
            seed,
            now,
        );
        let mut peer = Self {
            host: ground.host,
            agent,
            nat: NatClass::default(),
            ports_known: PortKnowledge::default(),
            probing: None,
            ip: ground.ip,
            ports: BTreeMap::new(),
            next_socket: 0,
            dice,
            reflexive: None,
            allowed: BTreeSet::new(),
            known: BTreeSet::new(),
            direct_since: None,
            given_up: false,
            sent: Sent::default(),
            last_second: VecDeque::new(),
            got_data: false,
        };
        peer.open_socket();
        peer
    }

    /// Binds one more socket to a port as an operating system chooses it.
    pub(crate) fn open_socket(&mut self) -> SocketId {
        let port = loop {
            let port = EPHEMERAL.0 + self.dice.below(EPHEMERAL.1) as u16;
            if !self.ports.values().any(|taken| *taken == port) {
                break port;
            }
        };
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        self.ports.insert(id, port);
        id
    }

    /// Closes sockets.
    pub(crate) fn close_sockets(&mut self, sockets: &[SocketId]) {
        self.ports.retain(|id, _| !sockets.contains(id));
    }

    /// The port a socket is bound to; `None` once it is closed.
    pub(crate) fn port_of(&self, socket: SocketId) -> Option<u16> {
        self.ports.get(&socket).copied()
    }

    /// Where a socket is bound; `None` once it is closed.
    pub(crate) fn address_of(&self, socket: SocketId) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.ip, self.port_of(socket)?))
    }

    /// The socket bound there.
    pub(crate) fn socket_at(&self, addr: SocketAddr) -> Option<SocketId> {
        let bound = |(_, port): &(_, &u16)| **port == addr.port();
        self.ports.iter().find(bound).map(|(id, _)| *id)
    }

    /// Takes what probing has found.
    pub(crate) fn learn(&mut self, report: &Report) {
        self.nat = report.class;
        self.reflexive = report.reflexive_v4;
        self.ports_known = PortKnowledge {
            step: report.step,
            block: report.block,
            exact: report.two_addresses,
        };
    }

    /// What this side announces.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let host = self.address_of(SocketId(0)).map(|addr| Candidate {
            kind: CandidateKind::Host,
            addr,
        });
        let seen = self.reflexive.map(|addr| Candidate {
            kind: CandidateKind::ServerReflexive,
            addr,
        });
        let mut candidates: Vec<_> = host.into_iter().chain(seen).collect();
        candidates.dedup_by_key(|c| c.addr);
        candidates
    }

    /// The other side announced these.
    pub(crate) fn note_announced(&mut self, candidates: &[Candidate]) {
        self.known.extend(candidates.iter().map(|c| c.addr));
    }

    /// The other side was heard from there.
    pub(crate) fn note_heard(&mut self, remote: SocketAddr) {
        self.known.insert(remote);
    }

    /// Whether a datagram is for the agent, as the engine tells sessions apart.
    pub(crate) fn is_for_agent(&self, who: usize, datagram: &[u8]) -> bool {
        fragment_of(datagram) == Some(credentials(who).fragment)
            || transaction_of(datagram).is_some_and(|id| self.agent.owns(&id))
    }

    pub(crate) fn count_sent(&mut self, remote: SocketAddr, now: Instant) {
        self.sent.total += 1;
        self.last_second.push_back(now);
        while self
            .last_second
            .front()
            .is_some_and(|&at| at + Duration::from_secs(1) <= now)
        {
            self.last_second.pop_front();
        }
        self.sent.busiest_second = self.sent.busiest_second.max(self.last_second.len() as u32);
        if SERVER_IPS.contains(&remote.ip()) {
            self.sent.searching += 1;
        } else if !self.known.contains(&remote) {
            self.sent.searching += 1;
            let near = |known: &SocketAddr| known.ip() == remote.ip();
            self.sent.astray += u32::from(!self.known.iter().any(near));
        }
    }

    pub(crate) fn takes_quic(&self, socket: SocketId, remote: SocketAddr) -> bool {
        self.allowed.contains(&(socket, remote))
    }

    pub(crate) fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Allowed { socket, remote } => {
                self.allowed.insert((socket, remote));
            }
            Event::Disallowed { socket, remote } => {
                self.allowed.remove(&(socket, remote));
            }
            Event::Selected { route, .. } => {
                self.direct_since = match route {
                    Route::Relay => None,
                    Route::Direct { .. } => self.direct_since.or(Some(now)),
                };
            }
            Event::Settled(outcome) => self.given_up = outcome.failure.is_some(),
            _ => (),
        }
    }
}
