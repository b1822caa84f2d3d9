//! One peer: its agent and its sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, CandidateKind};
use gimlet_proto::secret::Credentials;
use gimlet_proto::traversal::{Agent, Config, Event, Family, Role, SocketId};
use gimlet_sim::{HostId, RouterId};

use super::DIALER;

/// The id of the first socket of a search.
pub(super) const EXTRA: u16 = 256;

/// One peer.
pub(crate) struct Peer {
    pub(crate) host: HostId,
    /// The outermost router of its site.
    pub(crate) router: Option<RouterId>,
    pub(crate) agent: Agent,
    pub(super) sockets: Vec<SocketAddr>,
    /// Of searches, the first with the id [`EXTRA`].
    pub(super) extras: Vec<SocketAddr>,
    pub(super) neighbour: Option<(HostId, SocketAddr, Instant)>,
    pub(super) reflexive: Vec<Option<SocketAddr>>,
    pub(crate) events: Vec<(Duration, Event)>,
}

impl Peer {
    pub(super) fn new(
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

    pub(super) fn candidates(&self) -> Vec<Candidate> {
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

pub(super) fn credentials(who: usize) -> Credentials {
    Credentials {
        fragment: [who as u8; 8],
        password: [0x10 + who as u8; 16],
    }
}
