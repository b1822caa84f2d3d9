//! Notices when this host's place in the network changes: its addresses and routes, and that it
//! slept.
//!
//! `netwatch` tells of interfaces and routes. Sleep, of the host or of this process alone, shows in a
//! clock that went on meanwhile, see `Sleep`. `netwatch` looks for that only every 15 s, too late
//! for a transfer that shall go on within two.

use std::time::Duration;

use n0_watcher::Watcher as _;
use netwatch::netmon::{Monitor, State};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often the clocks are looked at. Shorter would cost battery, longer would cost whoever waits
/// for a transfer that long after waking.
const BEAT: Duration = Duration::from_secs(1);

/// How late a beat may be. A busy host is late by some hundred milliseconds; taking that for sleep
/// costs no more than a few checks.
const LATE: Duration = Duration::from_secs(2);

/// What has happened so far, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Addresses or routes changed, of this host's interfaces or of others.
    pub network: u64,
    /// The host, or this process, woke up.
    pub wakes: u64,
}

/// Tells of every change from now on, until the last receiver is dropped.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn changes() -> watch::Receiver<Changes> {
    let (tell, changes) = watch::channel(Changes::default());
    tokio::spawn(follow(tell));
    changes
}

async fn follow(tell: watch::Sender<Changes>) {
    let monitor = match Monitor::new().await {
        Ok(monitor) => Some(monitor),
        Err(error) => {
            tracing::debug!(%error, "interfaces cannot be watched");
            None
        }
    };
    let mut interfaces = monitor.as_ref().map(Monitor::interface_state);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sleep = Sleep::new(clock());
    loop {
        tokio::select! {
            told = next(&mut interfaces) => match told {
                true => tell.send_modify(|changes| changes.network += 1),
                false => interfaces = None,
            },
            _ = beat.tick() => {
                if sleep.beat(clock()) {
                    tell.send_modify(|changes| changes.wakes += 1);
                }
            }
            () = tell.closed() => return,
        }
    }
}

/// Waits for the next change of an interface, for ever where that cannot be told; `false` when it
/// cannot be told any more.
async fn next(interfaces: &mut Option<n0_watcher::Direct<State>>) -> bool {
    let Some(watcher) = interfaces else {
        return std::future::pending().await;
    };
    watcher.updated().await.is_ok()
}

/// Takes a beat that came late for the end of a sleep.
#[derive(Debug)]
struct Sleep {
    last: Duration,
}

impl Sleep {
    fn new(now: Duration) -> Self {
        Self { last: now }
    }

    /// Whether the time since the last beat was more than one, by a clock that does not sleep.
    fn beat(&mut self, now: Duration) -> bool {
        let since = now.saturating_sub(self.last);
        self.last = now;
        since > BEAT + LATE
    }
}

/// A clock that goes on while the host sleeps.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn clock() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.try_into().unwrap_or_default()
}

/// The calendar goes on while the host sleeps. That somebody sets it costs a few checks.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn clock() -> Duration {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_is_late_by_seconds_means_that_the_host_slept() {
        let mut sleep = Sleep::new(Duration::from_secs(100));
        assert!(!sleep.beat(Duration::from_secs(101)));
        assert!(!sleep.beat(Duration::from_millis(103_900)));
        assert!(sleep.beat(Duration::from_secs(163)));
        assert!(!sleep.beat(Duration::from_secs(164)));
    }

    #[test]
    fn a_clock_set_back_is_no_sleep() {
        let mut sleep = Sleep::new(Duration::from_secs(100));
        assert!(!sleep.beat(Duration::from_secs(5)));
        assert!(!sleep.beat(Duration::from_secs(6)));
    }

    #[test]
    fn the_clock_goes_on() {
        let before = clock();
        assert!(before > Duration::ZERO);
        assert!(clock() >= before);
    }

    #[tokio::test]
    async fn watching_ends_with_its_last_listener() {
        let (tell, changes) = watch::channel(Changes::default());
        let follower = tokio::spawn(follow(tell));
        drop(changes);
        let ended = tokio::time::timeout(Duration::from_secs(10), follower).await;
        ended.expect("it ends").expect("it does not panic");
    }
}
