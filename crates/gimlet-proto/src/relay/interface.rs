//! What goes into a relay and what comes out of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::limits::{Limits, ThrottleReason};
use super::session::Traffic;
use crate::frame::{self, FrameKind};
use crate::id::{ConnId, PeerId};
use crate::limit::Rate;
use crate::secret::{RelaySecret, SessionId};

/// Tuning for [`Relay`](super::Relay).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Sessions at once. Default 65,536: some 50 MB, and 9 MB more a shard. Further ones are refused.
    pub max_sessions: usize,
    /// A session without a frame either way for this long ends. Default 60 s: both sides keep it
    /// alive every 15 s, so three may be lost, and it survives a control session's reconnect.
    pub idle_timeout: Duration,
    /// `Unknown` answers a prefix may draw. Default 20 a second, 40 at once: enough for a peer
    /// with many sessions to learn that the server was restarted, and too few to flood anybody.
    pub unknown_rate: Rate,
    /// What may be relayed. Default everything.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 65_536,
            idle_timeout: Duration::from_secs(60),
            unknown_rate: Rate::per_second(20, 40),
            limits: Limits::default(),
        }
    }
}

/// A control session of a peer, which may have several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Control {
    /// Whose. First, so that those of one peer are neighbours.
    pub peer: PeerId,
    /// Which of them; a greater number is newer.
    pub conn: ConnId,
}

/// What the control side tells the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A control session began, or moved to this address.
    ControlAt {
        /// Which.
        control: Control,
        /// Its remote address, as the socket shows it.
        address: SocketAddr,
    },
    /// A control session is over. The sessions it made live on while they are used.
    ControlGone {
        /// Which.
        control: Control,
    },
    /// The accepting side has been told of this session.
    Open {
        /// The session.
        session: SessionId,
        /// Side A.
        dialer: Control,
        /// Authenticates the dialer's bind frames.
        secret: RelaySecret,
        /// Side B.
        acceptor: Control,
    },
    /// The accepting side accepted.
    Accept {
        /// The session.
        session: SessionId,
        /// Authenticates the accepting side's bind frames.
        secret: RelaySecret,
    },
    /// The session is over.
    Close {
        /// The session.
        session: SessionId,
    },
    /// What may be relayed has changed.
    Limit(LimitChange),
}

/// Limits that the operator changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitChange {
    /// In place of [`Config::limits`]. What was used so far stays used.
    pub limits: Limits,
    /// In place of [`Config::max_sessions`]. Sessions above it live on.
    pub max_sessions: usize,
}

/// What to do with a run of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the run on as it is.
    Forward {
        /// Where to.
        to: SocketAddr,
    },
    /// Send this back to where the run came from.
    Answer(Answer),
    /// Copied, to be judged again when the control side catches up.
    Held,
    /// Nothing.
    Dropped(Dropped),
}

/// A short frame for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The bind frame was taken.
    Bound([u8; frame::HEADER_LEN + 8]),
    /// There is no such session, or the sender is not bound to it.
    Unknown([u8; frame::HEADER_LEN]),
}

impl Answer {
    pub(super) fn unknown(session: SessionId) -> Self {
        Self::Unknown(frame::header(FrameKind::Unknown, session))
    }

    /// The datagram.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bound(bytes) => bytes,
            Self::Unknown(bytes) => bytes,
        }
    }
}

/// Why a run was ignored. Counted by the driver, never fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// A kind of frame that only a server sends.
    NotForServers,
    /// No such session, or the sender is not bound to it, and the sender has been told often enough.
    Unknown,
    /// A bind frame older than the last one of that side.
    StaleBind,
    /// The other side is neither bound nor signed in.
    NoRoute,
    /// The other side has bound nothing yet, and enough was sent to it.
    Unbound,
    /// Over a limit, or over its share of a busy relay.
    Throttled(ThrottleReason),
}

/// Something the control side or the log should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session is over here.
    Ended {
        /// Which.
        session: SessionId,
        /// Why.
        reason: EndReason,
        /// What was relayed from the dialer, and from the accepting side.
        relayed: [Traffic; 2],
    },
    /// Data was dropped for being too much. At most once a sweep for each side.
    Throttled {
        /// The session.
        session: SessionId,
        /// Who sent it.
        peer: PeerId,
        /// Why; where there were several reasons, the one that cost most.
        reason: ThrottleReason,
        /// Bytes dropped since the last time.
        dropped_bytes: u64,
    },
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The control side said so.
    Closed,
    /// No frame for [`Config::idle_timeout`].
    Idle,
    /// [`Config::max_sessions`] was reached when it should have opened.
    Full,
}

/// One datagram to put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to send it.
    pub to: SocketAddr,
    /// The whole frame.
    pub datagram: Vec<u8>,
}
