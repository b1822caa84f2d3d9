//! When an attempt is over, and why it failed if it did.

use std::time::{Duration, Instant};

use super::Agent;
use crate::traversal::path::{Path, State};
use crate::traversal::rank::maps_by_destination;
use crate::traversal::{Event, Failure, Reason, Stage};

/// Where the attempt is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attempt {
    /// The other side is not known yet.
    NotStarted,
    /// Checks are under way since then.
    Running { since: Instant },
    /// It was reported.
    Settled,
}

/// How much longer than the checks a proven path waits for the other side to choose it: a
/// nomination on a lossy link is repeated some ten times in that time.
const NOMINATION_GRACE: Duration = Duration::from_secs(5);

impl Agent {
    /// Begins an attempt, or takes a failed one up again: something new is being checked.
    pub(super) fn begin_attempt(&mut self, now: Instant) {
        let pending = self.paths.values().any(Path::is_pending);
        match self.attempt {
            _ if self.remote.is_none() => (),
            Attempt::NotStarted => self.attempt = Attempt::Running { since: now },
            Attempt::Settled if self.outcome.failure.is_some() && pending => {
                self.outcome.failure = None;
                self.attempt = Attempt::Running { since: now };
            }
            Attempt::Running { .. } | Attempt::Settled => (),
        }
    }

    /// When a running attempt is over whatever happens.
    pub(super) fn settle_at(&self) -> Option<Instant> {
        match self.attempt {
            // A search has its own end.
            Attempt::Running { .. } if self.search.is_active() => None,
            Attempt::Running { since } => {
                Some(since + self.config.check_timeout + NOMINATION_GRACE)
            }
            Attempt::NotStarted | Attempt::Settled => None,
        }
    }

    pub(super) fn settle(&mut self, now: Instant) {
        let success = self.selected.is_direct();
        let late_success = success && self.outcome.failure.is_some();
        let over = match self.attempt {
            Attempt::NotStarted => false,
            Attempt::Running { .. } => {
                let direct = || self.paths.values().filter(|p| p.route.is_direct());
                let open = |p: &Path| p.is_pending() || p.is_valid();
                let hopeless = !direct().any(open) && !self.search.is_active();
                success || hopeless || self.settle_at().is_some_and(|at| at <= now)
            }
            Attempt::Settled => late_success,
        };
        if !over {
            return;
        }
        self.outcome.failure = match success {
            true => None,
            false => Some(self.failure()),
        };
        self.outcome.counts.small_only = self.small_only();
        self.attempt = Attempt::Settled;
        self.push_event(Event::Settled(self.outcome));
    }

    fn small_only(&self) -> u32 {
        let small = |p: &&Path| p.route.is_direct() && p.answers > 0 && p.proven < self.mtu;
        let unproven = |p: &&Path| matches!(p.state, State::Idle | State::Checking { .. });
        let count = self.paths.values().filter(small).filter(unproven).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn failure(&self) -> Failure {
        let reason = self.reason();
        let stage = match reason {
            Reason::RelayOnly | Reason::NoRemoteCandidates | Reason::NoUsablePair => {
                Stage::Candidates
            }
            Reason::NotNominated => Stage::Nomination,
            Reason::SendFailed
            | Reason::NothingArrived
            | Reason::IncompatibleNats
            | Reason::Unanswered
            | Reason::TooLarge => Stage::Checks,
        };
        Failure { stage, reason }
    }

    fn reason(&self) -> Reason {
        let direct = || self.paths.values().filter(|p| p.route.is_direct());
        let Some(remote) = &self.remote else {
            return Reason::NothingArrived;
        };
        if self.sockets.is_empty() {
            Reason::RelayOnly
        } else if direct().next().is_none() && remote.announced == 0 {
            Reason::NoRemoteCandidates
        } else if direct().next().is_none() {
            Reason::NoUsablePair
        } else if direct().any(Path::is_valid) {
            Reason::NotNominated
        } else if self.small_only() > 0 {
            Reason::TooLarge
        } else if direct().all(|p| p.send_failures > 0) {
            Reason::SendFailed
        } else if maps_by_destination(self.local_nat, remote.nat) {
            Reason::IncompatibleNats
        } else if direct().any(|p| p.requests > 0) {
            Reason::Unanswered
        } else {
            Reason::NothingArrived
        }
    }
}
