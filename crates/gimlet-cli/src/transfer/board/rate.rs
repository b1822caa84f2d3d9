//! How fast a transfer is.

use tokio::time::Instant;

/// Bytes a second over the last seconds.
pub(super) struct Rate {
    at: Instant,
    bytes: u64,
    pub(super) now: f64,
}

impl Rate {
    pub(super) fn new(at: Instant) -> Self {
        Self {
            at,
            bytes: 0,
            now: 0.0,
        }
    }

    pub(super) fn update(&mut self, at: Instant, bytes: u64) -> f64 {
        /// Time after which what was measured counts for a third.
        const MEMORY_S: f64 = 2.0;
        let span = at.duration_since(self.at).as_secs_f64();
        if span > 0.0 {
            let measured = bytes.saturating_sub(self.bytes) as f64 / span;
            let old = match self.now > 0.0 {
                true => (-span / MEMORY_S).exp(),
                false => 0.0,
            };
            self.now = self.now * old + measured * (1.0 - old);
            (self.at, self.bytes) = (at, bytes);
        }
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::board::TICK;

    #[test]
    fn the_rate_follows_what_comes() {
        let began_at = Instant::now();
        let mut rate = Rate::new(began_at);
        let mut last = 0.0;
        for n in 1..=40 {
            last = rate.update(began_at + n * TICK, u64::from(n) * 1000);
        }
        assert!((3999.0..4001.0).contains(&last), "{last}");
        for n in 41..=80 {
            last = rate.update(began_at + n * TICK, 40_000);
        }
        assert!(last < 100.0, "{last}");
    }
}
