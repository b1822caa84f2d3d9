//! What endpoint, connections and engine share about one peer.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gimlet_net::path::{Link, Target};
use gimlet_net::transport::LARGE_DATAGRAM;
use gimlet_net::window::ReceiveWindow;
use gimlet_proto::candidate::{Candidate, CandidateKind, NatClass};
use gimlet_proto::id::PeerId;
use gimlet_proto::message::RefuseReason;
use gimlet_proto::traversal::{Outcome, Strategy};
use tokio::sync::watch;

use crate::network::Network;

pub use gimlet_proto::message::PathKind;

/// Silence after which a path that answers again counts as new for congestion control. A doubt that
/// is over sooner was a hiccup, and quinn's own probes deal with it.
const INTERRUPTION: Duration = Duration::from_secs(1);

/// Over what a session runs right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Relay or direct.
    pub kind: PathKind,
    /// Our own address on a direct path; the port is that of the socket.
    pub local: Option<SocketAddr>,
    /// The peer's address on a direct path.
    pub remote: Option<SocketAddr>,
    /// Round-trip time that a check measured when the path was chosen.
    pub rtt: Option<Duration>,
    /// How a direct path was found.
    pub strategy: Option<Strategy>,
}

impl Path {
    pub(crate) const RELAY: Self = Self {
        kind: PathKind::Relay,
        local: None,
        remote: None,
        rtt: None,
        strategy: None,
    };

    /// Whether packets go straight to the peer.
    pub fn is_direct(&self) -> bool {
        self.kind == PathKind::Direct
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.remote) {
            (PathKind::Relay, _) => f.write_str("the relay"),
            (PathKind::Direct, Some(remote)) => write!(f, "a direct path to {remote}"),
            (PathKind::Direct, None) => f.write_str("a direct path"),
        }
    }
}

/// Where the introduction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asked for; no answer yet.
    Introducing,
    /// Both sides agreed.
    Introduced,
    /// It did not come about.
    Refused(RefuseReason),
}

/// When things happened in the current session.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    pub(crate) dialled_at: Option<Instant>,
    pub(crate) connected_at: Option<Instant>,
    pub(crate) introduced_at: Option<Instant>,
    pub(crate) direct_at: Option<Instant>,
    pub(crate) confirmed_at: Option<Instant>,
}

/// What is known of the session besides its path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) moments: Moments,
    pub(crate) outcome: Outcome,
    pub(crate) settled: bool,
    /// Whether the peer has said that it may be reached over a path of long datagrams.
    pub(crate) near: bool,
    pub(crate) nat_local: NatClass,
    pub(crate) nat_remote: NatClass,
}

/// One peer, as long as anybody here has to do with it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) link: Arc<Link>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) path: watch::Sender<Path>,
    pub(crate) facts: watch::Sender<Facts>,
    connections: Mutex<Vec<Arc<ReceiveWindow>>>,
    /// Dials and handshakes that are under way: the session is wanted although no connection is up.
    wanted: AtomicUsize,
}

impl Peer {
    pub(crate) fn new(id: PeerId, link: Arc<Link>) -> Arc<Self> {
        Arc::new(Self {
            id,
            link,
            phase: watch::Sender::new(Phase::Introducing),
            path: watch::Sender::new(Path::RELAY),
            facts: watch::Sender::default(),
            connections: Mutex::default(),
            wanted: AtomicUsize::new(0),
        })
    }

    pub(crate) fn add_connection(&self, connection: Arc<ReceiveWindow>) {
        self.connections().push(connection);
    }

    pub(crate) fn remove_connection(&self, connection: &quinn::Connection) {
        self.connections()
            .retain(|held| held.connection().stable_id() != connection.stable_id());
    }

    pub(crate) fn close_connections(&self) {
        for connection in self.connections().iter() {
            connection.connection().close(0u8.into(), b"closed");
        }
    }

    /// Whether the session is of use to anybody.
    pub(crate) fn is_in_use(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0 || !self.connections().is_empty()
    }

    /// Keeps the session wanted until dropped.
    pub(crate) fn want(self: &Arc<Self>) -> Wanted {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(self.clone())
    }

    /// Sends the link's packets elsewhere from now on, and lets every connection notice. `network` knows how
    /// long datagrams may be there.
    pub(crate) fn set_target(&self, target: Target, network: &Network) {
        let longest = match target {
            Target::Direct { remote, .. } => network.datagram_towards(remote.ip()),
            Target::Relay { .. } | Target::Server { .. } => None,
        };
        if self.link.set_target_for(target, longest.unwrap_or(0)) {
            self.nudge();
        }
    }

    /// The peer says where it may be reached.
    pub(crate) fn note_candidates(&self, candidates: &[Candidate], network: &Network) {
        let longest = |of: &Candidate| network.datagram_towards(of.addr.ip());
        let near = candidates
            .iter()
            .filter(|candidate| candidate.kind == CandidateKind::Host)
            .filter_map(longest)
            .any(|longest| longest >= LARGE_DATAGRAM);
        if near {
            self.facts.send_modify(|facts| facts.near = true);
        }
    }

    /// Packets come through again after nothing did for some time.
    pub(crate) fn recovered(&self, after: Duration) {
        if after >= INTERRUPTION {
            self.link.epoch().advance();
        }
        self.nudge();
    }

    /// Lets every connection find out now what was lost while nothing came through.
    pub(crate) fn nudge(&self) {
        self.link.epoch().make_way();
        self.connections().iter().for_each(|held| held.nudge());
    }

    /// The largest datagram that any connection sends.
    pub(crate) fn current_mtu(&self) -> u16 {
        let mtu = |held: &Arc<ReceiveWindow>| held.connection().stats().path.current_mtu;
        self.connections().iter().map(mtu).max().unwrap_or(0)
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Arc<ReceiveWindow>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Peer::want`].
#[derive(Debug)]
pub(crate) struct Wanted(Arc<Peer>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}
