//! When to try again: soon at first, then ever more patiently.

use std::time::Duration;

/// Before the second attempt.
const FIRST: Duration = Duration::from_millis(200);

/// Between attempts that have failed for long: a peer that comes is told of by its server anyway.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double, each up to a half shorter by chance, so that many who lost the same peer don't
/// come back in step.
#[derive(Debug)]
pub(crate) struct Retry {
    next: Duration,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next pause. `random` is any number.
    pub(crate) fn pause(&mut self, random: u32) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        let spared = f64::from(random) / f64::from(u32::MAX) / 2.0;
        pause.mul_f64(1.0 - spared)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut retry = Retry::new();
        let pauses: Vec<_> = (0..10).map(|_| retry.pause(0)).collect();
        assert_eq!(pauses[0], FIRST);
        assert_eq!(pauses[1], FIRST * 2);
        assert_eq!(pauses[9], LONGEST);
        assert_eq!(retry.pause(u32::MAX), LONGEST / 2);
        retry.reset();
        assert_eq!(retry.pause(0), FIRST);
    }
}
