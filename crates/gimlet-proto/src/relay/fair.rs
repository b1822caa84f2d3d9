//! Shares of an overloaded shard: deficit round robin over sessions, in rounds of time.
//!
//! # When
//!
//! A shard keeps up as long as its socket runs dry now and then: short queues only even out bursts.
//! As in CoDel, a queue that did not empty once in [`STANDING`] is a standing one, and the system is about
//! to drop from its tail, whoever's that is: who sends most gets most. From then on the shard is
//! *pressed*. It also is when the system says that it has dropped something: a process that has to wait
//! for a processor loses what its buffer can't hold, and yet empties it at each of its turns.
//!
//! # How
//!
//! Every [`ROUND`] each session is given a quantum; what it sends on is taken off, and at nothing left
//! its packets are dropped, which costs a tenth of sending them. Debts are carried over, gifts are not.
//! The quantum begins just below what the greatest session sends and shrinks while the queue stands,
//! so the greatest is cut first and those below notice nothing (the shares are max-min fair). It never
//! shrinks below an equal share of what was sent on, and a fourth of it for the chances of arrival:
//! sessions that all want the same are left to the system's queue, since dropping more of them would
//! gain nobody anything.
//!
//! **Invariant:** a session that uses less than an equal share of what the shard sends on loses nothing
//! here.

use std::time::{Duration, Instant};

use super::runs::cost;

/// Time without an empty queue after which it is a standing one: CoDel's interval (RFC 8289), a
/// long round trip. Shorter would punish windows that open at once, longer lets neighbours starve.
pub const STANDING: Duration = Duration::from_millis(100);

/// One round: short beside a round trip, long beside a batch (65 µs at 1 GB/s).
pub const ROUND: Duration = Duration::from_millis(10);

/// Rounds without a drop after which the shard is not pressed any more.
const CALM_ROUNDS: u32 = 10;

/// Rounds after an overflow in which no quantum grows: reports come every 100 ms, so three of them missing
/// means that it is over.
const HOLD_ROUNDS: u32 = 30;

/// Most rounds that count as one: after a longer pause nobody is owed all of it.
const MAX_STEP: u128 = 10;

/// Rounds whose quantum a session may save: batches arrive by chance, several in one round and none in
/// the next.
const SAVED: u64 = 4;

/// The controller of one shard.
#[derive(Debug)]
pub(super) struct Fair {
    state: State,
    round: u64,
    /// Rounds that passed as one when the last ended: several where sending or a processor was waited for.
    step: u64,
    round_began: Instant,
    /// In this round: whether the queue was empty once, what was sent on, by how many sessions, by the
    /// greatest of them, and whether any was cut.
    was_dry: bool,
    /// Whether the last receive call emptied the queue.
    empty: bool,
    sent: u64,
    active: u64,
    greatest: u64,
    cut: bool,
    /// Rounds since the last overflow.
    since_overflow: u32,
    /// The most that was an equal share lately.
    least: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Keeping { dry_at: Instant },
    Pressed { since: u64, quantum: u64, calm: u32 },
}

/// What one session has of the rounds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    /// The last round it was active in. Counted from 1, so that 0 is none.
    round: u64,
    used: u64,
    left: i64,
}

impl Fair {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Keeping { dry_at: now },
            round: 1,
            step: 1,
            round_began: now,
            was_dry: true,
            empty: true,
            sent: 0,
            active: 0,
            greatest: 0,
            cut: false,
            since_overflow: HOLD_ROUNDS,
            least: 0,
        }
    }

    /// Notes a receive call, and whether it emptied the queue.
    pub(super) fn received(&mut self, dry: bool, now: Instant) {
        self.was_dry |= dry;
        // What was empty stayed so until something came: waiting for a burst is no standing queue.
        let was_empty = std::mem::replace(&mut self.empty, dry);
        if (dry || was_empty)
            && let State::Keeping { dry_at } = &mut self.state
        {
            *dry_at = now;
        }
        let elapsed = now.saturating_duration_since(self.round_began);
        if elapsed >= ROUND {
            self.end_round(elapsed, now);
        }
    }

    /// Notes that the system has dropped something.
    pub(super) fn overflowed(&mut self) {
        self.since_overflow = 0;
    }

    /// Whether a run of this session is sent on.
    pub(super) fn pass(&mut self, share: &mut Share, datagrams: u64, bytes: u64) -> bool {
        let cost = cost(datagrams, bytes);
        if share.round != self.round {
            if let State::Pressed { since, quantum, .. } = self.state {
                let gift = i64::try_from(quantum).unwrap_or(i64::MAX);
                let gifts =
                    |rounds: u64| gift.saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX));
                share.left = match share.round >= since {
                    true => {
                        let left = (share.left).saturating_add(gifts(self.round - share.round));
                        left.min(gifts(SAVED.max(self.step)))
                    }
                    false => gifts(self.step),
                };
            }
            share.round = self.round;
            share.used = 0;
            self.active += 1;
        }
        if let State::Pressed { .. } = self.state {
            if share.left <= 0 {
                self.cut = true;
                return false;
            }
            share.left = share.left.saturating_sub_unsigned(cost);
        }
        share.used += cost;
        self.sent += cost;
        self.greatest = self.greatest.max(share.used);
        true
    }

    fn end_round(&mut self, elapsed: Duration, now: Instant) {
        // A round that took longer, because sending blocked, is as good as several.
        let step = (elapsed.as_micros() / ROUND.as_micros()).clamp(1, MAX_STEP) as u64;
        let greatest = self.greatest / step;
        let equal = self.sent / step / self.active.max(1);
        self.least = equal.max(self.least - self.least / 64);
        let least = self.least;
        self.state = match self.state {
            State::Keeping { dry_at }
                if self.since_overflow > 0 && now.saturating_duration_since(dry_at) < STANDING =>
            {
                State::Keeping { dry_at }
            }
            State::Keeping { .. } => State::Pressed {
                since: self.round + step,
                quantum: (greatest - greatest / 8).max(least).max(1),
                calm: 0,
            },
            State::Pressed { calm, .. }
                if calm >= CALM_ROUNDS && self.since_overflow >= HOLD_ROUNDS =>
            {
                State::Keeping { dry_at: now }
            }
            State::Pressed {
                since,
                quantum,
                calm,
            } => State::Pressed {
                since,
                quantum: match (self.since_overflow, self.was_dry) {
                    (0, _) => (quantum - quantum / 4).max(least).max(1),
                    (_, false) => (quantum - quantum / 8).max(least).max(1),
                    (1..HOLD_ROUNDS, true) => quantum,
                    (HOLD_ROUNDS.., true) => quantum.saturating_add(quantum / 8 + 1),
                },
                calm: if self.cut { 0 } else { calm + 1 },
            },
        };
        self.since_overflow = self.since_overflow.saturating_add(1);
        self.round += step;
        self.step = step;
        self.round_began = now;
        (self.was_dry, self.cut) = (false, false);
        (self.sent, self.active, self.greatest) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests;
