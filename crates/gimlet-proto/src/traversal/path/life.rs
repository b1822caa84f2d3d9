//! How a path moves from state to state: by its timer, by what comes in, by its owner.

use std::time::{Duration, Instant};

use super::{Path, Size, Standing, State, Step, TRIGGERS};
use crate::traversal::config::{
    Config, FORGIVEN_AFTER, FULL_SIZE_FIRST, IDLE_RETRY, MAX_RETRY, PROBATION_INTERVAL, REVIVAL,
    SUSPECT_MAX, SUSPECT_MIN,
};

/// Refused sends after which an unproven path is given up.
const SEND_FAILURES: u32 = 3;

/// Rechecks of a dead path that nothing holds on to: some ten minutes.
const MAX_REVIVALS: usize = 40;

/// A path that kept dying is trusted again after `2^n` checks, but n stays below this: 13 seconds.
const MAX_PROBATION: u32 = 6;

impl Path {
    /// Begins checking. The first check is due at once, the second after `gap`.
    pub(in crate::traversal) fn start(&mut self, gap: Duration, now: Instant) {
        self.state = State::Checking {
            sent: 0,
            since: now,
            gap,
            next_at: now,
        };
    }

    /// Reacts to a valid check from the other side: whether one of ours must go out at once.
    ///
    /// Its check arriving means that our next one is likely to pass the NATs, so an unproven path
    /// starts over with short gaps.
    pub(in crate::traversal) fn trigger(&mut self, gap: Duration, now: Instant) -> bool {
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
            gap,
            next_at: now + gap,
        };
        true
    }

    /// Doubts a valid path; the first probe is due at once.
    pub(in crate::traversal) fn suspect(&mut self, now: Instant) {
        if let State::Valid { since, .. } = self.state {
            // Two round trips, so that a probe may be lost, and some for a queue on the way.
            let patience = self.rtt.unwrap_or_default() * 2 + Duration::from_millis(100);
            let patience = patience.clamp(SUSPECT_MIN, SUSPECT_MAX);
            self.state = State::Probing {
                since,
                gap: patience / 4,
                next_at: now,
                give_up_at: now + patience,
            };
        }
    }

    /// Takes the next step. Call it when the timer has fired.
    pub(in crate::traversal) fn step(
        &mut self,
        now: Instant,
        standing: Standing,
        config: &Config,
    ) -> Step {
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
                // One in reserve is of use only if it carries what QUIC sends by now.
                let grow = direct && !standing.selected && self.proven < standing.mtu;
                Step::Send(match grow {
                    true => Size::Full,
                    false => Size::Small,
                })
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
    pub(in crate::traversal) fn answered(
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
    pub(in crate::traversal) fn trust(&mut self, next_at: Instant, now: Instant) {
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
    pub(in crate::traversal) fn send_failed(&mut self) {
        self.send_failures = self.send_failures.saturating_add(1);
        if matches!(self.state, State::Checking { .. })
            && self.send_failures >= SEND_FAILURES
            && self.route.is_direct()
        {
            self.state = State::Idle;
        }
    }
}
