//! Finds out whether a stream is too narrow for what is sent over it.

use std::time::Duration;

use gimlet::bulk;
use tokio::time::Instant;

/// Round trips in which a stretch went that was held up by the stream's window, or soon would be: the
/// window lets one go in less than one; where something is lost and repeated, in two or three.
const HELD_UP: u32 = 4;

/// The bulk is to carry so many times what is under way now: a path that slow start has not filled yet
/// doubles that, and what is lost and repeated doubles it again.
const ROOM: u64 = 12;

/// Round trip below which one stream is never too narrow: it carries 300 MB/s there. Where that is too
/// little the processors are what holds it up, and more streams would cost them more.
const SHORT: Duration = Duration::from_millis(4);

/// Of one sender.
#[derive(Debug)]
pub(super) struct Pace {
    stretch_began_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stretch_began_at: now,
        }
    }

    /// At the end of a stretch: how many streams it needs, if one is too narrow. `under_way` is how many
    /// bytes the path takes in a round trip.
    pub(super) fn stretch_ended(
        &mut self,
        now: Instant,
        rtt: Duration,
        under_way: u64,
    ) -> Option<u8> {
        let took = now - self.stretch_began_at;
        self.stretch_began_at = now;
        let stripes = bulk::stripes_for(ROOM * under_way);
        let is_held_up = rtt > SHORT && took <= HELD_UP * rtt;
        (is_held_up && stripes > 1).then_some(stripes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    fn after(took: Duration, under_way: u64) -> Option<u8> {
        after_round_trips_of(RTT, took, under_way)
    }

    fn after_round_trips_of(rtt: Duration, took: Duration, under_way: u64) -> Option<u8> {
        let began_at = Instant::now();
        let mut pace = Pace::new(began_at);
        pace.stretch_ended(began_at + took, rtt, under_way)
    }

    #[test]
    fn a_stretch_that_took_long_needs_no_more_streams() {
        assert_eq!(after(5 * RTT, 1 << 20), None);
        assert_eq!(after(Duration::from_secs(3600), 100 << 20), None);
    }

    #[test]
    fn one_at_the_speed_of_the_window_needs_several_and_not_without_bound() {
        assert_eq!(after(RTT, 500_000), Some(5));
        assert_eq!(after(3 * RTT, 300_000), Some(3));
        assert_eq!(after(RTT, 100 << 20), Some(bulk::DEFAULT_STRIPES));
    }

    #[test]
    fn a_path_that_takes_little_fits_into_one() {
        assert_eq!(after(RTT, 100_000), None);
    }

    #[test]
    fn each_stretch_counts_by_itself() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.stretch_ended(now + 10 * RTT, RTT, 1 << 20), None);
        assert_eq!(pace.stretch_ended(now + 11 * RTT, RTT, 500_000), Some(5));
    }

    #[test]
    fn a_short_path_needs_no_more_streams() {
        let quick = Duration::from_millis(2);
        assert_eq!(after_round_trips_of(quick, quick, 1 << 20), None);
    }
}
