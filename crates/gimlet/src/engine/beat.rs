//! How regularly something comes from a peer. What came in nearly every tenth of a second and comes
//! no more is missed sooner than what comes now and then.

use std::time::Instant;

/// Ticks that are looked at, up to the last in which something came.
const LOOKED_AT: u32 = 8;

/// So many of them make it regular: an acknowledgement may be lost, or two.
const REGULAR: u32 = 6;

/// What came of late, tick by tick.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beat {
    /// The last tick is the lowest bit.
    ticks: u32,
    came_at: Option<Instant>,
    /// The last thing whose successor was missed already.
    missed_since: Option<Instant>,
}

impl Beat {
    /// A tick is over; `came_at`: when something came last.
    pub(super) fn tick(&mut self, came_at: Option<Instant>) {
        self.ticks = self.ticks << 1 | u32::from(came_at > self.came_at);
        self.came_at = came_at;
    }

    /// Whether things came regularly, at least until they stopped.
    pub(super) fn was_regular(self) -> bool {
        let last = self.ticks.trailing_zeros().min(u32::BITS - LOOKED_AT);
        let looked_at = self.ticks >> last & ((1 << LOOKED_AT) - 1);
        looked_at.count_ones() >= REGULAR
    }

    /// Whether a silence is news. Said once for each.
    pub(super) fn is_missed(&mut self) -> bool {
        let news = self.was_regular() && self.missed_since != self.came_at;
        if news {
            self.missed_since = self.came_at;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// What came in each tick of these, `x`.
    fn after(ticks: &str) -> Beat {
        let (mut beat, mut now, mut came_at) = (Beat::default(), Instant::now(), None);
        for tick in ticks.chars() {
            now += TICK;
            if tick == 'x' {
                came_at = Some(now);
            }
            beat.tick(came_at);
        }
        beat
    }

    #[test]
    fn what_came_in_nearly_every_tick_was_regular() {
        for (ticks, regular) in [
            ("", false),
            ("xxxxx", false),
            ("xxxxxx", true),
            ("xx.xxx.x", true),
            ("xx.x.x.x", false),
            ("xxxxxxxx....", true),
            ("x.....x.....x", false),
        ] {
            assert_eq!(after(ticks).was_regular(), regular, "{ticks}");
        }
    }

    #[test]
    fn a_silence_of_seconds_is_no_end_of_a_flow() {
        let silence = |ticks| after(&format!("xxxxxxxx{}", ".".repeat(ticks)));
        assert!(silence(24).was_regular());
        assert!(!silence(30).was_regular());
    }

    #[test]
    fn each_silence_is_missed_once() {
        let mut beat = after("xxxxxxxx..");
        assert!(beat.is_missed());
        assert!(!beat.is_missed());
        beat.tick(Some(Instant::now() + 20 * TICK));
        assert!(beat.is_missed(), "another one");
        assert!(!after("x...x...").is_missed());
    }
}
