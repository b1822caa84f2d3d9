//! What came while this process was stopped is lost.
//!
//! A stopped process, or one that the system did not run for seconds, finds old datagrams in its socket
//! buffers. Taken for fresh ones, acknowledgements among them and those sent for them say that the
//! round trip takes as long as the sleep did: quinn then paces and repeats by minutes. As lost
//! packets they cost a round trip.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::PathSocket;

/// How often this process shows that it runs.
const BEAT: Duration = Duration::from_secs(1);

/// Without a beat for this long it was stopped. A runtime that is only busy is never so late.
const STOPPED_MS: u64 = 4_000;

/// How long datagrams are dropped once that shows: long enough for the system to hand over what has
/// waited, whichever of timers and sockets it wakes first.
const DROPS_MS: u64 = 50;

#[derive(Debug, Default)]
pub(super) struct Asleep {
    /// The last beat, in the socket's time; 0: nobody beats.
    beat: AtomicU64,
    /// Until when what is read counts as old.
    drops_until: AtomicU64,
}

impl Asleep {
    /// Whether what has just been read may be from before.
    pub(super) fn is_stale(&self, now: u64) -> bool {
        self.look(now);
        now < self.drops_until.load(Ordering::Relaxed)
    }

    fn look(&self, now: u64) {
        let beat = self.beat.load(Ordering::Relaxed);
        if beat != 0 && now > beat + STOPPED_MS {
            self.beat.store(now, Ordering::Relaxed);
            self.drops_until.store(now + DROPS_MS, Ordering::Relaxed);
        }
    }

    fn beat(&self, now: u64) {
        self.look(now);
        self.beat.store(now, Ordering::Relaxed);
    }
}

impl PathSocket {
    /// Begins to notice when this process is stopped, and then drops what came meanwhile. For real
    /// sockets; ends with the last owner.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn notice_sleep(self: &Arc<Self>) {
        self.beat();
        tokio::spawn(beat(Arc::downgrade(self)));
    }

    fn beat(&self) {
        self.asleep.beat(self.clock.now());
    }
}

async fn beat(paths: Weak<PathSocket>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match paths.upgrade() {
            Some(paths) => paths.beat(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_datagrams_are_dropped_whoever_notices_first() {
        for timer_first in [true, false] {
            let asleep = Asleep::default();
            assert!(!asleep.is_stale(1_000_000), "nobody beats");
            asleep.beat(1_000);
            assert!(!asleep.is_stale(1_000 + STOPPED_MS));
            if timer_first {
                asleep.beat(61_000);
            }
            assert!(asleep.is_stale(61_000));
            asleep.beat(61_001);
            assert!(asleep.is_stale(60_999 + DROPS_MS));
            assert!(!asleep.is_stale(61_000 + DROPS_MS));
        }
    }
}
