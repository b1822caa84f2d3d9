//! What came while this process was stopped is lost.
//!
//! A stopped process, or one that the system did not run for seconds, finds old datagrams in its socket
//! buffers. Taken for fresh ones, acknowledgements among them and those sent for them say that the
//! round trip takes as long as the sleep did: quinn then paces and repeats by minutes. As lost
//! packets they cost a round trip.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, sleep};

use super::PathSocket;

/// How often this process shows that it runs.
const BEAT: Duration = Duration::from_secs(1);

/// Without a beat for this long it was stopped. A runtime that is only busy is never so late.
const STOPPED_MS: u64 = 4_000;

/// How long the runtime has, once that shows, to find the sockets on which something waits. When a timer set
/// since then fires it has, however long it waited for a processor.
const SETTLE: Duration = Duration::from_millis(50);

/// Longest that datagrams are dropped, should they come faster than they are dropped.
const MAX_DROPS_MS: u64 = 1_000;

/// Awake, until it shows that the process was stopped. Then what is read is old, until the runtime has found the
/// sockets that have something and all of them have been emptied.
#[derive(Debug, Default)]
pub(super) struct Asleep {
    /// The last beat, in the socket's time; 0: nobody beats.
    beat: AtomicU64,
    /// When it showed that the process was stopped; 0: awake.
    woke: AtomicU64,
    /// Whether the runtime has found the sockets since.
    settled: AtomicBool,
}

impl Asleep {
    /// Whether what has just been read may be from before.
    pub(super) fn is_stale(&self, now: u64) -> bool {
        self.look(now);
        let woke = self.woke.load(Ordering::Acquire);
        woke != 0 && now < woke + MAX_DROPS_MS
    }

    /// Whether a look at all sockets that begins now finds everything that is old.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Such a look found nothing more.
    pub(super) fn emptied(&self) {
        self.settled.store(false, Ordering::Release);
        self.woke.store(0, Ordering::Release);
    }

    fn look(&self, now: u64) {
        let beat = self.beat.load(Ordering::Relaxed);
        if beat != 0 && now > beat + STOPPED_MS {
            self.beat.store(now, Ordering::Relaxed);
            self.settled.store(false, Ordering::Release);
            self.woke.store(now, Ordering::Release);
        }
    }

    /// This process runs; whether it was stopped.
    fn beat(&self, now: u64) -> bool {
        self.look(now);
        self.beat.store(now, Ordering::Relaxed);
        self.woke.load(Ordering::Acquire) != 0
    }

    fn settle(&self) {
        self.settled.store(true, Ordering::Release);
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

    fn beat(&self) -> bool {
        self.asleep.beat(self.clock.now())
    }

    /// Lets the reader empty all sockets, where there is nothing, too.
    fn settle(&self) {
        self.asleep.settle();
        self.receiver.wake();
    }
}

async fn beat(paths: Weak<PathSocket>) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(was_stopped) = paths.upgrade().map(|paths| paths.beat()) else {
            return;
        };
        if was_stopped {
            sleep(SETTLE).await;
            if let Some(paths) = paths.upgrade() {
                paths.settle();
            }
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
            assert!(!asleep.beat(1_000));
            assert!(!asleep.is_stale(1_000 + STOPPED_MS));
            if timer_first {
                assert!(asleep.beat(61_000));
            }
            assert!(asleep.is_stale(61_000));
            assert!(asleep.beat(61_001));
            asleep.settle();
            assert!(asleep.is_stale(61_051));
            assert!(asleep.is_settled());
            asleep.emptied();
            assert!(!asleep.is_stale(61_052) && !asleep.beat(61_052));
        }
    }

    #[test]
    fn a_process_that_hardly_gets_a_processor_drops_them_however_late_it_reads() {
        let asleep = Asleep::default();
        asleep.beat(1_000);
        assert!(asleep.beat(61_000));
        // A look at the sockets before the runtime knows of what waits ends nothing.
        assert!(!asleep.is_settled());
        assert!(asleep.is_stale(61_700));
        // But where ever more comes, some of it is fresh.
        assert!(!asleep.is_stale(61_000 + MAX_DROPS_MS));
    }

    #[test]
    fn a_second_sleep_begins_anew() {
        let asleep = Asleep::default();
        asleep.beat(1_000);
        asleep.beat(61_000);
        asleep.settle();
        assert!(asleep.is_stale(121_001));
        assert!(!asleep.is_settled());
    }
}
