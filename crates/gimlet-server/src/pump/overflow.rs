//! What the system drops because a pump did not get to read it: the sign of overload that receiving
//! itself can't see, where this process has to wait for a processor.

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::socket::Drops;
use tokio::time::{self, MissedTickBehavior};

use crate::counters::Counters;

/// How often it is looked at, while anything is relayed.
const INTERVAL: Duration = Duration::from_millis(100);

/// What one socket lost.
#[derive(Debug)]
pub(super) struct Loss {
    drops: Drops,
    seen: u32,
}

impl Loss {
    pub(super) fn new(drops: Drops) -> Self {
        let seen = drops.total().unwrap_or(0);
        Self { drops, seen }
    }

    /// Datagrams since this was last asked.
    pub(super) fn since(&mut self) -> u64 {
        let total = self.drops.total().unwrap_or(self.seen);
        u64::from(total.wrapping_sub(std::mem::replace(&mut self.seen, total)))
    }
}

/// Counts what the shared sockets lose, for as long as the server runs.
pub(crate) async fn watch(sockets: Vec<Drops>, counters: Arc<Counters>) -> std::io::Result<()> {
    let mut losses: Vec<_> = sockets.into_iter().map(Loss::new).collect();
    let mut ticks = time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut relayed = 0;
    loop {
        ticks.tick().await;
        let now = counters.relayed_packets.value();
        if std::mem::replace(&mut relayed, now) != now {
            let lost = losses.iter_mut().map(Loss::since).sum();
            counters.receive_overflowed.add(lost);
        }
    }
}
