//! Sees whose queue it is.
//!
//! A sender alone on a line needs no queue, and whoever shares the line with it (a call, a game)
//! suffers from one. So when a queue stays for a round trip, the window is held for two at what the
//! path takes without one. Alone, the queue goes, and the window stays there. If the queue stays, it is
//! another's: giving way to a flow that fills queues would leave us nothing, so the window comes
//! back, and only losses cut it until the next look. (Copa, Arun and Balakrishnan 2018, tells the two
//! cases apart likewise.)

use std::time::{Duration, Instant};

use super::cubic::Cubic;
use super::queue::Queue;

/// Queue that is not left standing: a quarter of the round trip within these bounds. Shorter, and
/// timers and radio look like one; longer, and calls beside a transfer suffer.
const STANDING_QUEUE: (Duration, Duration) = (Duration::from_millis(8), Duration::from_millis(25));

/// And at least so many packets, or a slow line, on which few take that long, never had any rest.
const MIN_QUEUE_PACKETS: u64 = 10;

/// Round trips that are shorter count as this long where the window is chosen anew: a process that
/// does not run for a moment would else find nothing to do, and idle more than it gains. On one machine,
/// with a round trip of 0.3 ms, windows of less than 1 MB cost a fifth of the rate.
const SHORTEST: Duration = Duration::from_millis(3);

/// Round trips of a look after its first: one until less is sent, one until it shows.
const ROUNDS: u8 = 1;

/// How long a queue that stayed is taken for another's. A look costs some of the rate for two round
/// trips: hardly anything once in ten seconds.
const CONTESTED: Duration = Duration::from_secs(10);

/// A look that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// How the window grew before.
    pub(super) cubic: Cubic,
    /// The window before.
    pub(super) window: u64,
    /// What the path holds without a queue, bytes.
    pub(super) path: u64,
    /// The window after it, where the queue was ours.
    pub(super) after: u64,
    /// The queue before.
    queue: Duration,
    rounds: u8,
}

/// What a round trip has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nothing yet.
    Nothing,
    /// The queue was ours.
    Ours,
    /// The queue is another's.
    Anothers,
}

impl Drain {
    /// A look, if there is a queue to look at.
    pub(super) fn begin(queue: &Queue, cubic: Cubic, window: u64, mtu: u64) -> Option<Self> {
        let (least, standing) = (queue.least()?, queue.standing());
        let path = window as f64 * least.as_secs_f64() / (least + standing).as_secs_f64();
        let path = path as u64;
        let share = least.max(SHORTEST).as_secs_f64() / (least + standing).as_secs_f64();
        let after = (window as f64 * share) as u64;
        let limit = (least / 4).clamp(STANDING_QUEUE.0, STANDING_QUEUE.1);
        let is_one = standing >= limit && window - path >= MIN_QUEUE_PACKETS * mtu;
        is_one.then_some(Self {
            cubic,
            window,
            path,
            after: after.min(window),
            queue: standing,
            rounds: 0,
        })
    }

    /// The window meanwhile: a little less than the path takes, as that is only estimated. An eighth of
    /// what stands in the queue: much more would make room for a part of another's queue as well, and that
    /// would then pass for ours.
    pub(super) fn hold(&self) -> u64 {
        let margin = (self.window - self.path) / 8;
        self.path - margin.min(self.path / 10)
    }

    /// A round trip is over.
    pub(super) fn end_round(&mut self, queue: &Queue) -> Shown {
        if self.rounds < ROUNDS {
            self.rounds += 1;
            return Shown::Nothing;
        }
        match queue.now() * 4 < self.queue {
            true => Shown::Ours,
            false => Shown::Anothers,
        }
    }
}

/// Until when looking is of no use.
pub(super) fn contested_until(now: Instant) -> Instant {
    now + CONTESTED
}
