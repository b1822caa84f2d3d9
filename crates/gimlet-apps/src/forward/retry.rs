//! When to try the peer again: at once when it was lost, then with growing pauses.
//!
//! A machine without a clock. Somebody who wants to use the link now cuts a pause short, though never
//! below [`MIN_PAUSE`]: a busy listener must not become a flood of introductions.

use std::time::{Duration, Instant};

/// First pause, and the least there is between two attempts.
const MIN_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause: how late a peer that came back may be noticed where nobody asks for it.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// A session that held so long begins with short pauses again; one that ends at once does not.
const STEADY: Duration = Duration::from_secs(5);

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Retry {
    pause: Duration,
    /// When the last attempt ended, or the last session.
    ended_at: Option<Instant>,
    /// Between 0 and 1: how much of a pause is left out, so that peers don't come back as one.
    jitter: f64,
}

impl Retry {
    pub(super) fn new() -> Self {
        Self {
            pause: Duration::ZERO,
            ended_at: None,
            jitter: 0.0,
        }
    }

    /// An attempt failed.
    pub(super) fn handle_failed(&mut self, now: Instant, jitter: f64) {
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
        self.jitter = jitter.clamp(0.0, 1.0);
        self.ended_at = Some(now);
    }

    /// A session ended after so long.
    pub(super) fn handle_lost(&mut self, now: Instant, after: Duration, jitter: f64) {
        match after >= STEADY {
            true => *self = Self::new(),
            false => self.handle_failed(now, jitter),
        }
    }

    /// When to try again: earlier where somebody wants it. `None`: at once.
    pub(super) fn next_at(&self, wanted: bool) -> Option<Instant> {
        let ended_at = self.ended_at?;
        let pause = match wanted {
            true => self.pause.min(MIN_PAUSE),
            // Up to a quarter less.
            false => self.pause.mul_f64(1.0 - self.jitter / 4.0),
        };
        Some(ended_at + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_bound_and_a_steady_session_resets_them() {
        let (mut retry, now) = (Retry::new(), Instant::now());
        assert_eq!(retry.next_at(false), None);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            retry.handle_failed(now, 0.0);
            pauses.push((retry.next_at(false).unwrap() - now).as_millis());
        }
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]
        );
        retry.handle_lost(now, STEADY, 0.0);
        assert_eq!(retry.next_at(false), None);
    }

    #[test]
    fn who_wants_the_link_now_waits_half_a_second_at_most() {
        let (mut retry, now) = (Retry::new(), Instant::now());
        (0..6).for_each(|_| retry.handle_failed(now, 0.5));
        assert_eq!(retry.next_at(true), Some(now + MIN_PAUSE));
        assert!(retry.next_at(false).unwrap() > now + MAX_PAUSE / 2);
    }

    #[test]
    fn a_session_that_ends_at_once_counts_as_a_failure() {
        let (mut retry, now) = (Retry::new(), Instant::now());
        for _ in 0..3 {
            retry.handle_lost(now, Duration::from_millis(10), 0.0);
        }
        assert_eq!(retry.next_at(false), Some(now + Duration::from_secs(2)));
    }
}
