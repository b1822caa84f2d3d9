//! The search for a port, where plain checks cannot join the two: rounds of many packets, agreed on
//! by both sides.
//!
//! ```text
//!           ╭── dialer: plain checks cannot, or did not ──╮     ╭──────── next round ────────╮
//!  Idle ────┤                                             ├─▶ Opening ─▶ Sampling ─▶ Offered ─▶ Running
//!           ╰── acceptor: a hint of a new round came ─────╯   sockets    how ports   hints      until a path
//!                                                             open       are given   cross      is selected
//! ```
//!
//! In a round each side has one of two parts, by what its NAT does ([`plan`]):
//!
//! - **open**: many sockets, each sending to the one endpoint where the other side waits, so that
//!   each makes a mapping that lets that endpoint in;
//! - **probe**: one socket, sending to the many ports where the other side may have come out.
//!
//! A probe that hits an open port is an ordinary check: it is answered, teaches both sides a path,
//! and the session then lives on the socket that won.
//!
//! # Invariants
//!
//! - Nobody is sent to but the address from which the server hears the other side, or, sparingly,
//!   an address that side announced as its own.
//! - Each round is bounded in packets and time, and rounds are bounded in number, whatever the other
//!   side says.

mod plan;
mod playing;
mod ports;
mod round;
mod samples;
mod terms;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use self::plan::{Kind, Plan, Shape};
pub use self::samples::PortKnowledge;
use super::budget::Budget;
use super::{Role, SocketId, Strategy};
use crate::candidate::NatClass;
use crate::hint::{Hint, Ports};
use crate::stun::TransactionId;

/// What a side needs for a search besides what its agent knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFacts {
    /// An IPv4 STUN server, to take samples with; without one there is no search.
    pub server: Option<SocketAddr>,
    /// The IPv4 socket and where servers see it.
    pub own: Option<(SocketId, SocketAddr)>,
    /// How the NAT gives out ports.
    pub ports: PortKnowledge,
}

/// What a search came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchOutcome {
    /// Rounds begun.
    pub rounds: u32,
    /// Packets of the last round and those before: samples, openings and probes.
    pub packets: u32,
    /// Sockets opened at once, at most.
    pub sockets: u32,
    /// How the last round tried.
    pub strategy: Option<Strategy>,
    /// From the first round to the last thing that happened.
    pub took: Duration,
    /// Why it ended without a path, if it did.
    pub ended: Option<SearchEnd>,
}

/// Why a search ended without a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchEnd {
    /// Both sides' ports are unpredictable: no search would find one in reasonable time.
    Infeasible,
    /// Every round was played and nothing was hit.
    Exhausted,
    /// The other side did not take part.
    Unanswered,
    /// The owner did not allow it: the pair was tried lately, or others wait already.
    Refused,
    /// No sockets could be opened, or no sample taken.
    Unable,
}

/// What the search wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The owner's permission.
    Want,
    /// This many sockets.
    Open(u16),
    /// A plain Binding request to the server.
    Sample {
        socket: SocketId,
        server: SocketAddr,
        transaction: TransactionId,
    },
    /// A check.
    Check {
        socket: SocketId,
        remote: SocketAddr,
    },
    /// The other side told.
    Say(Hint),
    /// These sockets closed.
    Close(Vec<SocketId>),
    /// The permission is given back.
    Over,
}

/// What the agent knows and the search must.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) role: Role,
    /// The socket of the direct path in use.
    pub(super) direct: Option<Option<SocketId>>,
    pub(super) relay_rtt: Option<Duration>,
    pub(super) local_nat: NatClass,
    pub(super) remote_nat: NatClass,
    /// Since when plain checks run, if they do and the relay is up.
    pub(super) trying_since: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The owner was asked.
    Wanted,
    /// Sockets were asked for.
    Opening {
        until: Instant,
    },
    /// The server was asked how it sees them.
    Sampling {
        asked: Vec<(TransactionId, SocketId)>,
        seen: Vec<Option<SocketAddr>>,
        repeat_at: Instant,
        until: Instant,
    },
    /// We have told where we are.
    Offered {
        until: Instant,
    },
    Running(Round),
    /// Nothing to do until the next round.
    Resting {
        until: Instant,
    },
}

/// A round under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Round {
    kind: Kind,
    plan: Plan,
    next_at: Instant,
    /// Packets sent in this round.
    sent: u32,
    until: Instant,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Search {
    facts: SearchFacts,
    stage: Stage,
    /// The round played or last played.
    round: u32,
    /// Rounds of the other side's that we have answered or asked for, since the last path.
    played: u32,
    sockets: Vec<SocketId>,
    /// From where our part of the round is sent, as the other side was told.
    told_from: Option<SocketId>,
    mine: Option<Ports>,
    /// What samples of a supposed sequence showed.
    sampled: Option<Shape>,
    /// What this round takes our NAT for.
    assumed: Option<Shape>,
    theirs: Option<Hint>,
    /// From where the server hears the other side.
    observed: Option<IpAddr>,
    /// What the last round's paths are called.
    found_by: Option<Kind>,
    budget: Budget,
    started_at: Option<Instant>,
    over: bool,
    outcome: SearchOutcome,
    actions: VecDeque<Action>,
}

impl Search {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            facts: SearchFacts::default(),
            stage: Stage::Idle,
            round: 0,
            played: 0,
            sockets: Vec::new(),
            told_from: None,
            mine: None,
            sampled: None,
            assumed: None,
            theirs: None,
            observed: None,
            found_by: None,
            budget: Budget::new(round::PACKETS_PER_SECOND, round::PACKETS_AT_ONCE, now),
            started_at: None,
            over: false,
            outcome: SearchOutcome::default(),
            actions: VecDeque::new(),
        }
    }

    pub(super) fn set_facts(&mut self, facts: SearchFacts) {
        self.facts = facts;
    }

    /// Whether the attempt should wait for it.
    pub(super) fn is_active(&self) -> bool {
        self.stage != Stage::Idle
    }

    pub(super) fn outcome(&self) -> SearchOutcome {
        self.outcome
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a socket was opened for this search and is not closed.
    pub(super) fn has(&self, socket: SocketId) -> bool {
        self.sockets.contains(&socket)
    }

    /// Whether a transaction is that of a sample.
    pub(super) fn owns(&self, transaction: &TransactionId) -> bool {
        match &self.stage {
            Stage::Sampling { asked, .. } => asked.iter().any(|(id, _)| id == transaction),
            _ => false,
        }
    }

    /// What a path is called that a check showed: ours if a round of the search led to it.
    pub(super) fn strategy_of(&self, socket: SocketId, remote: SocketAddr) -> Option<Strategy> {
        let ours = self.has(socket)
            || match &self.stage {
                Stage::Running(round) => match &round.plan {
                    Plan::Probe { ip, ports } => {
                        self.told_from == Some(socket)
                            && *ip == remote.ip()
                            && ports.contains(remote.port())
                    }
                    // A probe may also hit the mapping that plain checks had made.
                    Plan::Open { target } => *target == remote,
                },
                _ => false,
            };
        self.found_by.filter(|_| ours).map(Kind::strategy)
    }

    /// Begins anew: the network changed.
    pub(super) fn reset(&mut self) {
        let idle = self.stage == Stage::Idle;
        self.stop();
        if !idle {
            self.actions.push_back(Action::Over);
        }
        self.over = false;
        self.played = 0;
        self.sampled = None;
    }

    fn stop(&mut self) {
        self.stage = Stage::Idle;
        self.theirs = None;
        self.mine = None;
        self.close_all_but(None);
    }

    fn close_all_but(&mut self, kept: Option<SocketId>) {
        let (kept, closed): (Vec<_>, Vec<_>) =
            self.sockets.drain(..).partition(|&id| Some(id) == kept);
        self.sockets = kept;
        if !closed.is_empty() {
            self.actions.push_back(Action::Close(closed));
        }
    }
}
