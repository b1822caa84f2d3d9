//! One path between the peers: its life, its timers and what is known of it.
//!
//! See the [module docs](super) for the picture of the states.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::config::{
    Config, FIRST_RETRY, FORGIVEN_AFTER, FULL_SIZE_FIRST, IDLE_RETRY, MAX_RETRY,
    PROBATION_INTERVAL, REVIVAL, SUSPECT_MAX, SUSPECT_MIN,
};
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
    /// Checks that incoming ones may still trigger.
    pub(super) triggers: u32,
}

/// Incoming checks that trigger one each until the path is proven. A few are needed when the first
/// ones are lost; without a limit, two sides that never get answers would play ping-pong.
const TRIGGERS: u32 = 8;

/// Refused sends after which an unproven path is given up.
const SEND_FAILURES: u32 = 3;

/// Rechecks of a dead path that nothing holds on to: some ten minutes.
const MAX_REVIVALS: usize = 40;

/// A path that kept dying is trusted again after `2^n` checks, but n stays below this: 13 seconds.
const MAX_PROBATION: u32 = 6;

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

    /// Begins checking. The first check is due at once.
    pub(super) fn start(&mut self, now: Instant) {
        self.state = State::Checking {
            sent: 0,
            since: now,
            gap: FIRST_RETRY,
            next_at: now,
        };
    }

    /// Reacts to a valid check from the other side: whether one of ours must go out at once.
    ///
    /// Its check arriving means that our next one is likely to pass the NATs, so an unproven path
    /// starts over with short gaps.
    pub(super) fn trigger(&mut self, now: Instant) -> bool {
        let answer_awaited = match self.state {
            State::Waiting | State::Idle | State::Checking { .. } | State::Dead { .. } => true,
            State::Valid { .. } | State::Probing { .. } | State::Probation { .. } => false,
        };
        if !answer_awaited || self.triggers == 0 {
            return false;
        }
        self.triggers -= 1;
        let sent = match self.state {
            State::Checking { sent, .. } => sent,
            State::Dead { .. } => return true,
            _ => 0,
        };
        self.state = State::Checking {
            sent: sent + 1,
            since: now,
            gap: FIRST_RETRY,
            next_at: now + FIRST_RETRY,
        };
        true
    }

    /// Doubts a valid path; the first probe is due at once.
    pub(super) fn suspect(&mut self, now: Instant) {
        if let State::Valid { since, .. } = self.state {
            let patience = (self.rtt.unwrap_or_default() * 4).clamp(SUSPECT_MIN, SUSPECT_MAX);
            self.state = State::Probing {
                since,
                gap: patience / 4,
                next_at: now,
                give_up_at: now + patience,
            };
        }
    }

    /// Takes the next step. Call it when the timer has fired.
    pub(super) fn step(&mut self, now: Instant, standing: Standing, config: &Config) -> Step {
        let direct = self.route.is_direct();
        match &mut self.state {
            State::Waiting | State::Idle => Step::GaveUp,
            State::Checking {
                sent,
                since,
                gap,
                next_at,
            } => {
                let over = now >= *since + config.check_timeout || standing.hopeless && *sent > 4;
                if over && *sent > 0 {
                    return self.give_up(now, standing);
                }
                // After a few that may have been lost for their size alone, every other one is small.
                let small = *sent >= FULL_SIZE_FIRST && *sent % 2 == 1;
                *sent += 1;
                *next_at = now + *gap;
                *gap = (*gap * 3 / 2).min(MAX_RETRY);
                Step::Send(match direct && !small {
                    true => Size::Full,
                    false => Size::Small,
                })
            }
            State::Valid {
                answered_at,
                unanswered,
                next_at,
                ..
            } => {
                if now >= *answered_at + config.consent_timeout {
                    return self.die(now);
                }
                if !standing.kept && !standing.pinned {
                    self.state = State::Idle;
                    // The other side may keep it, and its checks must not bring it back each time.
                    self.triggers = 0;
                    return Step::GaveUp;
                }
                // A path in reserve proves a size that has grown meanwhile; one in use is QUIC's concern.
                let grow = direct && !standing.selected && self.proven < standing.mtu;
                let size = match grow && *unanswered % 2 == 0 {
                    true => Size::Full,
                    false => Size::Small,
                };
                *unanswered += 1;
                *next_at = now + IDLE_RETRY;
                Step::Send(size)
            }
            State::Probing {
                gap,
                next_at,
                give_up_at,
                ..
            } => {
                if now >= *give_up_at {
                    return self.die(now);
                }
                *next_at = (now + *gap).min(*give_up_at);
                Step::Send(Size::Small)
            }
            State::Dead { tries, next_at } => {
                if *tries >= MAX_REVIVALS && !standing.pinned {
                    self.state = State::Idle;
                    return Step::GaveUp;
                }
                *next_at = now + REVIVAL[(*tries).min(REVIVAL.len() - 1)];
                *tries += 1;
                Step::Send(if direct { Size::Full } else { Size::Small })
            }
            State::Probation {
                next_at,
                give_up_at,
                ..
            } => {
                if now >= *give_up_at {
                    return self.die(now);
                }
                *next_at = now + PROBATION_INTERVAL;
                Step::Send(Size::Small)
            }
        }
    }

    /// Ends checking without success. What is pinned goes on trying.
    fn give_up(&mut self, now: Instant, standing: Standing) -> Step {
        self.state = match standing.pinned {
            true => State::Dead {
                tries: 0,
                next_at: now + REVIVAL[0],
            },
            false => State::Idle,
        };
        Step::GaveUp
    }

    fn die(&mut self, now: Instant) -> Step {
        let healthy_since = match self.state {
            State::Valid { since, .. } | State::Probing { since, .. } => Some(since),
            _ => None,
        };
        if healthy_since.is_some_and(|since| now >= since + FORGIVEN_AFTER) {
            self.deaths = 0;
        }
        self.deaths += 1;
        self.proven = 0;
        self.rtt = None;
        self.state = State::Dead {
            tries: 0,
            next_at: now + REVIVAL[0],
        };
        Step::Lost
    }

    /// Takes a valid answer. `size` is that of check and answer, `enough` what proves the path.
    pub(super) fn answered(
        &mut self,
        rtt: Duration,
        size: u16,
        enough: u16,
        next_at: Instant,
        now: Instant,
    ) {
        self.rtt = Some(self.rtt.map_or(rtt, |old| (old * 7 + rtt) / 8));
        self.proven = self.proven.max(size);
        self.answers += 1;
        self.send_failures = 0;
        match self.state {
            State::Waiting | State::Idle | State::Checking { .. } => {
                if self.proven >= enough {
                    self.become_valid(now, next_at, now);
                }
            }
            State::Valid { since, .. } | State::Probing { since, .. } => {
                self.become_valid(since, next_at, now);
            }
            // Late answers to the last small probes must not bring it back.
            State::Dead { .. } => {
                if size >= enough && self.deaths == 0 {
                    self.become_valid(now, next_at, now);
                } else if size >= enough {
                    let left = (1 << self.deaths.min(MAX_PROBATION)) - 1;
                    self.begin_probation(left, now);
                }
            }
            State::Probation { left: 0 | 1, .. } => self.become_valid(now, next_at, now),
            State::Probation { left, .. } => self.begin_probation(left - 1, now),
        }
    }

    fn begin_probation(&mut self, left: u32, now: Instant) {
        self.state = State::Probation {
            left,
            next_at: now + PROBATION_INTERVAL,
            give_up_at: now + PROBATION_INTERVAL + SUSPECT_MAX,
        };
    }

    /// Ends probation early: the other side has chosen this path.
    pub(super) fn trust(&mut self, next_at: Instant, now: Instant) {
        match self.state {
            State::Probation { .. } => self.become_valid(now, next_at, now),
            State::Checking { .. } if self.proven > 0 => self.become_valid(now, next_at, now),
            _ => (),
        }
    }

    fn become_valid(&mut self, since: Instant, next_at: Instant, now: Instant) {
        self.triggers = TRIGGERS;
        self.state = State::Valid {
            since,
            answered_at: now,
            unanswered: 0,
            next_at,
        };
    }

    /// Counts a refused send; an unproven path gives up after a few.
    pub(super) fn send_failed(&mut self) {
        self.send_failures = self.send_failures.saturating_add(1);
        if matches!(self.state, State::Checking { .. })
            && self.send_failures >= SEND_FAILURES
            && self.route.is_direct()
        {
            self.state = State::Idle;
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
        super::rank::strategy(self.origin.kind(), self.rank, self.mapped, local)
    }
}
