//! What `ping` says: an answer a line, and the sum at the end.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::output::ms;

/// One answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    pub(super) seq: u64,
    pub(super) rtt_ms: f64,
    pub(super) path: &'static str,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, rtt_ms, path } = self;
        write!(f, "{seq:>4}  {rtt_ms:>8.1} ms  {path}")
    }
}

/// All of them.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) min_ms: Option<f64>,
    pub(super) median_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
}

impl Summary {
    pub(super) fn new(sent: u64, round_trips: &[Duration]) -> Self {
        let mut sorted = round_trips.to_vec();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied();
        let last = sorted.len().saturating_sub(1);
        // The mean of the two in the middle, which are one where their number is odd.
        let middle = at(last / 2).zip(at(sorted.len() / 2));
        Self {
            sent,
            received: sorted.len() as u64,
            min_ms: at(0).map(ms),
            median_ms: middle.map(|(a, b)| ms((a + b) / 2)),
            max_ms: at(last).map(ms),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} received", self.sent, self.received)?;
        if let (Some(min), Some(median), Some(max)) = (self.min_ms, self.median_ms, self.max_ms) {
            write!(f, ", min/median/max {min:.1}/{median:.1}/{max:.1} ms")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_nothing_has_no_times() {
        let none = Summary::new(4, &[]);
        assert_eq!((none.sent, none.received, none.median_ms), (4, 0, None));
    }

    #[test]
    fn times_are_sorted_first() {
        let round_trips = [30, 10, 20].map(Duration::from_millis);
        let summary = Summary::new(3, &round_trips);
        assert_eq!(summary.min_ms, Some(10.0));
        assert_eq!(summary.median_ms, Some(20.0));
        assert_eq!(summary.max_ms, Some(30.0));
        let even = [40, 10, 20, 30].map(Duration::from_millis);
        assert_eq!(Summary::new(4, &even).median_ms, Some(25.0));
    }
}
