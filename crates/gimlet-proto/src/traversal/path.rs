//! One path between the peers: what is known of it, and where it is in its life.
//!
//! See the [module docs](super) for the picture of the states.

mod life;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::config::SUSPECT_MAX;
use super::rank::{Rank, score};
use super::{Route, Strategy};
use crate::candidate::CandidateKind;

/// How a path came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The relay, which is always there.
    Relay,
    /// The other side announced the address.
    Announced(CandidateKind),
    /// A valid check came from there, with this sender's fragment.
    Learned { at: Instant, sender: [u8; 8] },
}

impl Origin {
    /// The kind of the remote candidate.
    pub(super) fn kind(self) -> CandidateKind {
        match self {
            Self::Announced(kind) => kind,
            Self::Relay | Self::Learned { .. } => CandidateKind::PeerReflexive,
        }
    }
}

/// Where a path is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not checked yet: the pacer takes the best first.
    Waiting,
    /// Checked since then, not proven yet.
    Checking {
        sent: u32,
        since: Instant,
        gap: Duration,
        next_at: Instant,
    },
    /// Proven, and checked again now and then.
    Valid {
        since: Instant,
        answered_at: Instant,
        unanswered: u32,
        next_at: Instant,
    },
    /// Was valid; must answer quickly to stay so.
    Probing {
        since: Instant,
        gap: Duration,
        next_at: Instant,
        give_up_at: Instant,
    },
    /// Fell silent; checked again with growing gaps.
    Dead { tries: usize, next_at: Instant },
    /// Answers again after a death, but has to do so `left` more times.
    Probation {
        left: u32,
        next_at: Instant,
        give_up_at: Instant,
    },
    /// Not checked, until something new happens.
    Idle,
}

/// What a path wants when its timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A check be sent.
    Send(Size),
    /// To be told: it fell silent.
    Lost,
    /// Nothing: it gave up quietly.
    GaveUp,
}

/// How large a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Padded to the size that the path must carry.
    Full,
    /// Without padding.
    Small,
}

/// What a path must know of its surroundings to decide on its next step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// It is the selected path.
    pub(super) selected: bool,
    /// It must not be given up: selected, nominated, or the relay.
    pub(super) pinned: bool,
    /// It is among the best in reserve.
    pub(super) kept: bool,
    /// Checking it longer can bring nothing better than what is in use.
    pub(super) hopeless: bool,
    /// Datagram size to prove.
    pub(super) mtu: u16,
}

/// One path.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) route: Route,
    pub(super) origin: Origin,
    pub(super) rank: Rank,
    pub(super) state: State,
    /// Smoothed as in RFC 9002 section 5.3.
    pub(super) rtt: Option<Duration>,
    /// Largest datagram it has carried both ways; 0 if none since it last died.
    pub(super) proven: u16,
    /// Our own address as the other side sees it.
    pub(super) mapped: Option<SocketAddr>,
    /// The owner was told that QUIC may come from here.
    pub(super) allowed: bool,
    /// Valid checks received.
    pub(super) requests: u32,
    /// Answers received, of any size, since the attempt began.
    pub(super) answers: u32,
    /// Sends that the system refused in a row.
    pub(super) send_failures: u32,
    /// How often it died lately; each time makes its way back longer.
    pub(super) deaths: u32,
    /// The search that it was found by.
    pub(super) found_by: Option<Strategy>,
    /// Checks that incoming ones may still trigger.
    pub(super) triggers: u32,
}

/// Incoming checks that trigger one each until the path is proven. A few are needed when the first
/// ones are lost; without a limit, two sides that never get answers would play ping-pong.
const TRIGGERS: u32 = 8;

impl Path {
    pub(super) fn new(route: Route, origin: Origin, rank: Rank) -> Self {
        Self {
            route,
            origin,
            rank,
            state: State::Waiting,
            rtt: None,
            proven: 0,
            mapped: None,
            allowed: false,
            requests: 0,
            answers: 0,
            send_failures: 0,
            deaths: 0,
            found_by: None,
            triggers: TRIGGERS,
        }
    }

    /// Forgets what a change of network makes doubtful, and waits to be checked again.
    pub(super) fn renew(&mut self) {
        self.state = State::Waiting;
        self.rtt = None;
        self.proven = 0;
        self.requests = 0;
        self.answers = 0;
        self.send_failures = 0;
        self.deaths = 0;
        self.triggers = TRIGGERS;
    }

    /// When [`step`](Self::step) has something to do.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting | State::Idle => None,
            State::Checking { next_at, .. }
            | State::Valid { next_at, .. }
            | State::Probing { next_at, .. }
            | State::Dead { next_at, .. }
            | State::Probation { next_at, .. } => Some(next_at),
        }
    }

    /// Moves the timer, for lack of budget or because the path was selected.
    pub(super) fn set_next_at(&mut self, at: Instant) {
        match &mut self.state {
            State::Waiting | State::Idle => (),
            State::Checking { next_at, .. }
            | State::Valid { next_at, .. }
            | State::Probing { next_at, .. }
            | State::Dead { next_at, .. }
            | State::Probation { next_at, .. } => *next_at = at,
        }
    }

    /// Proven, and not yet given up.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, State::Valid { .. } | State::Probing { .. })
    }

    /// Proven, and not doubted.
    pub(super) fn is_valid(&self) -> bool {
        matches!(self.state, State::Valid { .. })
    }

    /// Proven, but not heard of for longer than a suspect path is given.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        match self.state {
            State::Valid { answered_at, .. } => now >= answered_at + SUSPECT_MAX,
            _ => false,
        }
    }

    /// Known to have fallen silent.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead { .. } | State::Probation { .. })
    }

    /// Whether more may come of it without new input.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Waiting | State::Checking { .. })
    }

    /// For choosing: rank and round-trip time.
    pub(super) fn merit(&self) -> (Rank, Option<Duration>) {
        (self.rank, self.rtt)
    }

    /// For sorting: lower is better; the route makes it a total order.
    pub(super) fn order(&self) -> (Duration, Route) {
        (score(self.rank, self.rtt), self.route)
    }

    /// How it was found.
    pub(super) fn strategy(&self, local: &[crate::candidate::Candidate]) -> Option<Strategy> {
        if self.found_by.is_some() {
            return self.found_by;
        }
        super::rank::strategy(self.origin.kind(), self.rank, self.mapped, local)
    }
}
