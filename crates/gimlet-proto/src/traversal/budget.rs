//! A token bucket, so that no input can make an agent send without bound.

use std::time::{Duration, Instant};

/// Lets `burst` events pass at once and `per_second` on average.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// How much time one event costs.
    cost: Duration,
    /// How far ahead of the clock `paid_until` may run.
    depth: Duration,
    /// The clock of what was spent (GCRA): never behind `now` when used.
    paid_until: Instant,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let cost = Duration::from_secs(1) / per_second;
        Self {
            cost,
            depth: cost * burst,
            paid_until: now,
        }
    }

    /// Takes one event's worth if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let paid = self.paid_until.max(now) + self.cost;
        let allowed = paid <= now + self.depth;
        if allowed {
            self.paid_until = paid;
        }
        allowed
    }

    /// When [`take`](Self::take) next succeeds: `now` or later.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        let short =
            (self.paid_until.max(now) + self.cost).saturating_duration_since(now + self.depth);
        now + short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 3, start);
        assert_eq!((0..9).filter(|_| budget.take(start)).count(), 3);
        assert_eq!(budget.ready_at(start), start + Duration::from_millis(100));
        assert!(!budget.take(start + Duration::from_millis(99)));
        assert!(budget.take(start + Duration::from_millis(100)));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..9).filter(|_| budget.take(later)).count(), 3);
    }
}
