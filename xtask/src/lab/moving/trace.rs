//! When bytes arrived, and how long they stayed away.

use std::time::{Duration, Instant};

/// Arrivals kept: an hour of one every 10 ms, which no test here lasts.
const MAX_ARRIVALS: usize = 360_000;

/// Silence up to this is what a busy machine does to a paced stream now and then, five round trips
/// long, and no interruption.
const HICCUP: Duration = Duration::from_millis(200);

/// The arrivals of one transfer.
#[derive(Debug, Default)]
pub(super) struct Trace {
    arrivals: Vec<Instant>,
}

impl Trace {
    /// Something arrived.
    pub(super) fn arrived(&mut self, at: Instant) {
        if self.arrivals.len() < MAX_ARRIVALS {
            self.arrivals.push(at);
        }
    }

    /// Whether anything arrived after `since`.
    pub(super) fn flows_after(&self, since: Instant) -> bool {
        self.arrivals.last().is_some_and(|last| *last > since)
    }

    /// How long after `since` the longest silence before `until` ended: the time to traffic
    /// again. Where no silence was an interruption, the time to the first arrival. Nothing if the
    /// silence goes on.
    pub(super) fn back_after(&self, since: Instant, until: Instant) -> Option<Duration> {
        let first = self.arrivals.partition_point(|at| *at <= since);
        let mut before = since;
        let at_once = self.arrivals.get(first).map(|at| *at - since);
        let mut longest = (HICCUP, at_once);
        for &at in &self.arrivals[first..] {
            let silence = at - before;
            if silence > longest.0 {
                longest = (silence, Some(at - since));
            }
            before = at;
        }
        if until.saturating_duration_since(before) > longest.0 {
            return None;
        }
        longest.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(start: Instant, arrivals: &[u64]) -> Trace {
        let mut trace = Trace::default();
        for ms in arrivals {
            trace.arrived(start + Duration::from_millis(*ms));
        }
        trace
    }

    fn back(arrivals: &[u64], since: u64) -> Option<u64> {
        back_until(arrivals, since, *arrivals.last().unwrap())
    }

    fn back_until(arrivals: &[u64], since: u64, until: u64) -> Option<u64> {
        let start = Instant::now();
        let [since, until] = [since, until].map(|ms| start + Duration::from_millis(ms));
        let back = trace(start, arrivals).back_after(since, until)?;
        Some(u64::try_from(back.as_millis()).unwrap())
    }

    #[test]
    fn what_was_under_way_does_not_hide_the_silence_after_it() {
        assert_eq!(back(&[0, 10, 20, 30, 900, 910], 15), Some(885));
    }

    #[test]
    fn where_nothing_is_interrupted_traffic_is_back_with_the_first_arrival() {
        assert_eq!(back(&[0, 10, 20, 30, 130, 140, 300, 310], 15), Some(5));
    }

    #[test]
    fn a_second_and_longer_silence_counts_from_the_event_too() {
        assert_eq!(back(&[0, 300, 310, 1_000, 1_010], 5), Some(995));
    }

    #[test]
    fn a_silence_that_goes_on_is_no_return() {
        assert_eq!(back_until(&[0, 600, 610], 5, 1200), Some(595));
        assert_eq!(back_until(&[0, 600, 610], 5, 1300), None);
    }

    #[test]
    fn after_the_last_arrival_there_is_nothing() {
        assert_eq!(back(&[0, 10], 10), None);
        let start = Instant::now();
        assert!(!trace(start, &[0, 10]).flows_after(start + Duration::from_millis(10)));
        assert!(trace(start, &[0, 10]).flows_after(start + Duration::from_millis(9)));
    }
}
