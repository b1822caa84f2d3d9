//! One remote as quinn knows it, where its packets go now, and whether that way is alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::{Route, SocketId};

use super::twin::Twin;
use crate::congestion::PathEpoch;
use crate::virtual_addr::VirtualAddr;

/// How long a path may stay silent under traffic before it is suspect, until its round-trip time is
/// known.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(1);

/// What an answer may take longer than a round trip, where three of those are longer: delayed
/// acknowledgements, and a queue on the way.
const LATE: Duration = Duration::from_millis(250);

/// A packet sent before is no longer waited for after this time: it wanted no answer, as the last
/// acknowledgement of a transfer does.
const FORGOTTEN: Duration = Duration::from_secs(3);

/// Longest datagram on any path, if nothing else is said: what QUIC tries by itself, between peers and
/// with a server.
const ORDINARY: u16 = 1452;

/// Smallest datagram that counts as a flow. What is smaller may be an answer to our own doubts, and
/// must not raise new ones.
pub(super) const FLOW: usize = 256;

/// Silence after which packets that come are news: something flows again. An ongoing transfer is
/// never silent for that long unless its way is broken.
const QUIET: Duration = Duration::from_secs(2);

/// Shortest time between two reports of packets that come over another relay session than ours take.
const ELSEWHERE: Duration = Duration::from_millis(100);

/// Where a link's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To a server itself.
    Server {
        /// From which socket.
        socket: SocketId,
        /// Where it is.
        remote: SocketAddr,
    },
    /// To the peer in relay frames.
    Relay {
        /// From which socket.
        socket: SocketId,
        /// Where the server is.
        server: SocketAddr,
        /// In frames of this session.
        session: SessionId,
    },
    /// Straight to the peer.
    Direct {
        /// From which socket.
        socket: SocketId,
        /// Where it is.
        remote: SocketAddr,
    },
}

impl Target {
    /// The route to a peer; `None` for a server.
    pub(super) fn route(self) -> Option<Route> {
        match self {
            Self::Direct { .. } => self.direct(),
            Self::Relay { .. } => Some(Route::Relay),
            Self::Server { .. } => None,
        }
    }

    /// From where QUIC comes straight.
    pub(super) fn place(self) -> Option<(SocketId, SocketAddr)> {
        match self {
            Self::Direct { socket, remote } | Self::Server { socket, remote } => {
                Some((socket, remote))
            }
            Self::Relay { .. } => None,
        }
    }

    pub(super) fn direct(self) -> Option<Route> {
        match self {
            Self::Direct { socket, remote } => Some(Route::Direct { socket, remote }),
            Self::Server { .. } | Self::Relay { .. } => None,
        }
    }
}

/// One remote: a peer or a server.
#[derive(Debug)]
pub struct Link {
    addr: VirtualAddr,
    target: ArcSwapOption<Target>,
    epoch: Arc<PathEpoch>,
    /// The longest datagram that is sent to the target.
    longest: AtomicU16,
    /// When the first packet that is still without any echo left; 0: none.
    unanswered_since: AtomicU64,
    /// How long that may be, milliseconds.
    patience: AtomicU64,
    /// When QUIC last came over the selected direct path; 0: never.
    heard_at: AtomicU64,
    /// When QUIC last came over any path; 0: never.
    flowed_at: AtomicU64,
    /// When any QUIC last came; 0: never.
    came_at: AtomicU64,
    /// When much QUIC last went over any path; 0: never.
    sent_at: AtomicU64,
    /// When QUIC last came over the relay session that packets take; 0: never.
    relayed_at: AtomicU64,
    /// When it was last said that QUIC comes over another one; 0: never.
    relayed_elsewhere_at: AtomicU64,
    twin: Twin,
    /// Whether the owner still waits to be told that the selected path carries QUIC.
    unconfirmed: AtomicBool,
}

impl Link {
    /// A remote without a way to it. Packets are dropped until it has a target.
    pub fn new(addr: VirtualAddr) -> Arc<Self> {
        Arc::new(Self {
            addr,
            target: ArcSwapOption::empty(),
            epoch: PathEpoch::new(),
            longest: AtomicU16::new(ORDINARY),
            unanswered_since: AtomicU64::new(0),
            patience: AtomicU64::new(DEFAULT_PATIENCE.as_millis() as u64),
            heard_at: AtomicU64::new(0),
            flowed_at: AtomicU64::new(0),
            came_at: AtomicU64::new(0),
            sent_at: AtomicU64::new(0),
            relayed_at: AtomicU64::new(0),
            relayed_elsewhere_at: AtomicU64::new(0),
            twin: Twin::default(),
            unconfirmed: AtomicBool::new(false),
        })
    }

    /// What quinn knows it by.
    pub fn addr(&self) -> VirtualAddr {
        self.addr
    }

    /// Restarts the congestion control of its connections on a change of target.
    pub fn epoch(&self) -> &Arc<PathEpoch> {
        &self.epoch
    }

    /// Where its packets go now.
    pub fn target(&self) -> Option<Target> {
        self.target.load().as_deref().copied()
    }

    /// The longest datagram that is sent where packets go now.
    pub fn longest(&self) -> u16 {
        self.longest.load(Ordering::Relaxed)
    }

    /// The same as [`set_target`](Self::set_target), for a target that takes datagrams of `longest` bytes; what
    /// every path takes is the least.
    pub fn set_target_for(&self, target: Target, longest: u16) -> bool {
        let changed = self.set_target(target);
        self.longest.store(longest.max(ORDINARY), Ordering::Relaxed);
        changed
    }

    /// Sends its packets elsewhere from now on, if they are short enough for every path; false where that is
    /// where they go already.
    pub fn set_target(&self, target: Target) -> bool {
        let before = self.target.swap(Some(Arc::new(target)));
        if before.as_deref() == Some(&target) {
            return false;
        }
        self.longest.store(ORDINARY, Ordering::Relaxed);
        self.unanswered_since.store(0, Ordering::Relaxed);
        self.unconfirmed
            .store(target.direct().is_some(), Ordering::Relaxed);
        if before.is_some() {
            self.epoch.advance();
        }
        true
    }

    /// Sets how long the path may be silent under traffic, from its round-trip time.
    pub fn set_rtt(&self, rtt: Duration) {
        let patience = (rtt * 3 + Duration::from_millis(25))
            .min(rtt + LATE)
            .clamp(Duration::from_millis(100), DEFAULT_PATIENCE);
        self.patience
            .store(patience.as_millis() as u64, Ordering::Relaxed);
    }

    /// How long the path may be silent under traffic.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.load(Ordering::Relaxed))
    }

    /// When QUIC last came over the selected direct path.
    pub(super) fn heard_at(&self) -> u64 {
        self.heard_at.load(Ordering::Relaxed)
    }

    /// Notes a packet sent to the peer; true when the silence has become suspect. Says so
    /// once per patience.
    pub(super) fn note_sent(&self, now: u64) -> bool {
        let since = self.unanswered_since.load(Ordering::Relaxed);
        let waited = now.saturating_sub(since);
        if since == 0 || waited > FORGOTTEN.as_millis() as u64 {
            self.unanswered_since.store(now, Ordering::Relaxed);
            return false;
        }
        let suspect = waited > self.patience.load(Ordering::Relaxed);
        if suspect {
            self.unanswered_since.store(now, Ordering::Relaxed);
        }
        suspect
    }

    /// Whether what was sent is unanswered for longer than it may be. Says so once per patience, as
    /// [`note_sent`](Self::note_sent) does: a sender whose window is full sends nothing.
    pub(super) fn is_overdue(&self, now: u64) -> bool {
        let since = self.unanswered_since.load(Ordering::Relaxed);
        let waited = now.saturating_sub(since);
        let patience = self.patience.load(Ordering::Relaxed);
        if since == 0 || waited <= patience || waited > FORGOTTEN.as_millis() as u64 {
            return false;
        }
        self.unanswered_since.store(now, Ordering::Relaxed);
        true
    }

    /// When anything of QUIC last came.
    pub(super) fn came_at(&self) -> u64 {
        self.came_at.load(Ordering::Relaxed)
    }

    /// When much was last sent.
    pub(super) fn sent_at(&self) -> u64 {
        self.sent_at.load(Ordering::Relaxed)
    }

    /// Notes that much is sent; true for the first after a silence.
    pub(super) fn note_sending(&self, now: u64) -> bool {
        let before = self.sent_at.load(Ordering::Relaxed);
        if before != now {
            self.sent_at.store(now, Ordering::Relaxed);
        }
        before == 0 || now.saturating_sub(before) > QUIET.as_millis() as u64
    }

    /// When QUIC last came over any path.
    pub(super) fn flowed_at(&self) -> u64 {
        self.flowed_at.load(Ordering::Relaxed)
    }

    /// Notes so much QUIC over any path; true for the first of a flow after a silence.
    pub(super) fn note_came(&self, now: u64, bytes: usize) -> bool {
        if self.came_at.load(Ordering::Relaxed) != now {
            self.came_at.store(now, Ordering::Relaxed);
        }
        if bytes < FLOW {
            return false;
        }
        let before = self.flowed_at.load(Ordering::Relaxed);
        if before != now {
            self.flowed_at.store(now, Ordering::Relaxed);
        }
        before == 0 || now.saturating_sub(before) > QUIET.as_millis() as u64
    }

    /// How long something that was sent has been without any echo; `None` where there is nothing.
    pub(super) fn unanswered_for(&self, now: u64) -> Option<Duration> {
        let since = self.unanswered_since.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_millis(now.saturating_sub(since)))
    }

    /// When QUIC last came over the relay session that packets take.
    pub(super) fn relayed_at(&self) -> u64 {
        self.relayed_at.load(Ordering::Relaxed)
    }

    /// Where packets go besides.
    pub(super) fn twin(&self) -> &Twin {
        &self.twin
    }

    /// Notes QUIC over a relay session; true where that is another than packets take, now and then.
    pub(super) fn note_relayed(&self, over: SessionId, now: u64) -> bool {
        let Some(Target::Relay { session, .. }) = self.target() else {
            return false;
        };
        self.unanswered_since.store(0, Ordering::Relaxed);
        if session != over {
            self.twin.heard(over);
        }
        let noted_at = match session == over {
            true => &self.relayed_at,
            false => &self.relayed_elsewhere_at,
        };
        let before = noted_at.load(Ordering::Relaxed);
        let news = session != over && now.saturating_sub(before) >= ELSEWHERE.as_millis() as u64;
        if before != now && (news || session == over) {
            noted_at.store(now, Ordering::Relaxed);
        }
        news
    }

    /// Notes QUIC on the direct path; true for the first since the path was selected.
    pub(super) fn note_heard(&self, now: u64) -> bool {
        self.unanswered_since.store(0, Ordering::Relaxed);
        self.heard_at.store(now, Ordering::Relaxed);
        // Cheaper than a swap on every batch.
        self.unconfirmed.load(Ordering::Relaxed) && self.unconfirmed.swap(false, Ordering::Relaxed)
    }
}

/// Milliseconds since the socket was made, beginning with 1 so that 0 can mean never.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(tokio::time::Instant::now().into_std())
    }

    pub(super) fn now(&self) -> u64 {
        let now = tokio::time::Instant::now().into_std();
        now.saturating_duration_since(self.0).as_millis() as u64 + 1
    }

    pub(super) fn instant(&self, millis: u64) -> Option<Instant> {
        (millis > 0).then(|| self.0 + Duration::from_millis(millis - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Arc<Link> {
        let link = Link::new(VirtualAddr::new(1));
        link.set_rtt(Duration::from_millis(40));
        link
    }

    #[test]
    fn silence_under_traffic_is_suspect_after_the_patience_and_reported_once_per_patience() {
        let link = link();
        let patience = 3 * 40 + 25;
        assert!(!link.note_sent(1000));
        assert!(!link.note_sent(1000 + patience));
        assert!(link.note_sent(1001 + patience));
        assert!(!link.note_sent(1002 + patience));
        assert!(link.note_sent(1002 + 2 * patience));
    }

    #[test]
    fn a_sender_whose_window_is_full_is_overdue_once_per_patience() {
        let link = link();
        assert!(!link.is_overdue(1000));
        assert!(!link.note_sent(1000));
        assert!(!link.is_overdue(1100));
        assert!(link.is_overdue(1200));
        assert!(!link.is_overdue(1201));
        link.note_heard(1300);
        assert!(!link.is_overdue(2000));
    }

    #[test]
    fn any_echo_ends_the_suspicion() {
        let link = link();
        assert!(!link.note_sent(1000));
        link.note_heard(1040);
        assert!(!link.note_sent(5000));
        assert!(!link.note_sent(5040));
    }

    #[test]
    fn a_packet_of_long_ago_wanted_no_answer() {
        let link = link();
        assert!(!link.note_sent(1000));
        assert!(!link.note_sent(4001));
        assert!(link.note_sent(4200));
    }

    #[test]
    fn what_flows_after_a_silence_is_news_once() {
        let link = link();
        assert!(link.note_came(10, FLOW));
        assert!(!link.note_came(20, FLOW));
        assert!(!link.note_came(2020, FLOW));
        assert!(link.note_came(4021, FLOW));
        assert!(!link.note_came(8000, FLOW - 1));
        assert_eq!((link.flowed_at(), link.came_at()), (4021, 8000));
    }

    #[test]
    fn a_direct_path_is_confirmed_by_its_first_packet_only() {
        let link = link();
        let remote = "192.0.2.1:1".parse().unwrap();
        assert!(!link.note_heard(1));
        link.set_target(Target::Direct {
            socket: SocketId(0),
            remote,
        });
        assert!(link.note_heard(2));
        assert!(!link.note_heard(3));
        link.set_target(Target::Direct {
            socket: SocketId(0),
            remote,
        });
        assert!(!link.note_heard(4), "the same target again is no change");
    }
}
