//! Leaving: goodbyes to peers and servers, and how long they are stayed for.
//!
//! QUIC never learns whether the end of a connection was heard. Whoever has not heard it sends on, and is
//! told again for as long as we are there: two round trips, within bounds, and not the three probe
//! timeouts of a whole draining period, which only keep others from reusing what we leave behind.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gimlet_net::port_map::PortMapping;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::Endpoint;
use crate::engine::Command;

/// Bounds of the time that a goodbye is stayed for. On the shortest of paths, tasks still have to get to
/// it; people don't wait longer than the most, and who has heard nothing by then times out.
const FAREWELL: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// How long giving back a port may hold us up: a third of a second is what a router may take.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(350);

/// How long our own tasks may take to say everything. They do so at once, unless the machine is busy.
const TASK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to stay for a goodbye over such a round trip.
pub(crate) fn farewell_time(rtt: Duration) -> Duration {
    (2 * rtt).clamp(FAREWELL.0, FAREWELL.1)
}

/// The goodbyes that others may not have heard yet.
#[derive(Debug, Default)]
pub(crate) struct Farewells {
    stay_until: Mutex<Option<Instant>>,
}

impl Farewells {
    /// We have just closed a connection with such a round trip.
    pub(crate) fn said(&self, rtt: Duration) {
        let until = Instant::now() + farewell_time(rtt);
        let mut stay = self.lock();
        *stay = (*stay).max(Some(until));
    }

    /// Waits until all of them were heard, as far as that can be told.
    async fn heard(&self) {
        let until = *self.lock();
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.stay_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// Signs out and closes every connection; waits about two round trips for the goodbyes to be heard,
    /// 200 ms at most, and a third of a second where a router has to take a port back.
    pub async fn close(&self) {
        let shared = &self.inner.shared;
        let (done, said) = oneshot::channel();
        let stop = async {
            // An error, here and below, means that the engine is gone already.
            let _ = self.inner.commands.send(Command::Stop { done }).await;
            let _ = said.await;
        };
        let _ = timeout(TASK_TIMEOUT, stop).await;
        if let Some(lan) = &shared.lan {
            lan.close();
        }
        let mut mapping = shared.port_mapping.subscribe();
        let released = async {
            let off = mapping.wait_for(|mapping| *mapping == PortMapping::Off);
            // The guard is let go at once, so that the future can be sent to another thread.
            let _ = timeout(RELEASE_TIMEOUT, async { drop(off.await) }).await;
        };
        let _ = tokio::join!(timeout(TASK_TIMEOUT, self.sign_out()), released);
        shared.quic.close(0u8.into(), b"closed");
        // Connections that were closed just now say so from tasks of their own, which come first.
        tokio::task::yield_now().await;
        shared.farewells.heard().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_goodbye_is_stayed_for_two_round_trips_within_bounds() {
        for (rtt, stay) in [(0, 5), (1, 5), (40, 80), (100, 200), (300, 200)] {
            assert_eq!(farewell_time(ms(rtt)), ms(stay), "{rtt} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_of_several_goodbyes_counts() {
        let farewells = Farewells::default();
        let began_at = Instant::now();
        farewells.heard().await;
        assert_eq!(began_at.elapsed(), ms(0), "nothing was said");
        farewells.said(ms(60));
        farewells.said(ms(20));
        farewells.heard().await;
        assert_eq!(began_at.elapsed(), ms(120));
    }
}
