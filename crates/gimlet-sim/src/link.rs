//! One direction of a link: delay, jitter, loss, reordering, duplication, rate, queue, MTU.
//!
//! The queue is never stored. How long the link is still busy says how many bytes wait in it, so a
//! link costs the same whatever its load.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::counters::Dropped;
use crate::rng::Rng;

/// How one direction of a link behaves. The default is perfect: no delay, no loss, no limit but
/// a 1,500-byte MTU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkConfig {
    /// Time from leaving the queue to arriving. Default zero.
    pub delay: Duration,
    /// Upper bound of a uniformly drawn extra delay. Jitter alone never reorders. Default zero.
    pub jitter: Duration,
    /// Chance that a packet is lost, 0 to 1. Default 0.
    pub loss: f64,
    /// Chance that a packet is held back so that later ones overtake it, 0 to 1. Default 0.
    pub reorder: f64,
    /// Chance that a packet arrives twice, 0 to 1. Default 0.
    pub duplicate: f64,
    /// Bits per second, counted with IP and UDP headers. Default `None`: unlimited.
    pub rate: Option<u64>,
    /// Bytes that may wait while the link is busy; matters only with a rate. Default 256 KiB,
    /// which is about 200 full packets: a common home router.
    pub queue: usize,
    /// Longest packet with its headers; longer ones vanish without notice. Default 1,500.
    pub mtu: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            rate: None,
            queue: 256 * 1024,
            mtu: 1_500,
        }
    }
}

impl LinkConfig {
    /// A link that only delays.
    pub fn with_delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }
}

/// When a packet comes out of the link, and when its duplicate does if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transit {
    pub(crate) at: Instant,
    pub(crate) duplicate_at: Option<Instant>,
}

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    rng: Rng,
    /// When the last accepted byte has left the queue.
    busy_until: Option<Instant>,
    /// When the latest packet in order arrives; the next may not overtake it.
    last_arrival: Option<Instant>,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            busy_until: None,
            last_arrival: None,
        }
    }

    /// Replaces the link by another: what is under way still arrives, what comes next sees an
    /// empty queue.
    pub(crate) fn reconfigure(&mut self, config: LinkConfig) {
        self.config = config;
        self.busy_until = None;
        self.last_arrival = None;
    }

    /// Takes a packet of `size` bytes, headers included.
    pub(crate) fn transmit(&mut self, now: Instant, size: usize) -> Result<Transit, Dropped> {
        if size > self.config.mtu {
            return Err(Dropped::TooBig);
        }
        let left_queue_at = self.enqueue(now, size)?;
        if self.config.loss > 0.0 && self.rng.chance(self.config.loss) {
            return Err(Dropped::Loss);
        }
        let mut at = left_queue_at + self.config.delay + self.rng.span(self.config.jitter);
        if self.config.reorder > 0.0 && self.rng.chance(self.config.reorder) {
            at += self.hold_back();
        } else {
            at = self.last_arrival.map_or(at, |last| last.max(at));
            self.last_arrival = Some(at);
        }
        let twice = self.config.duplicate > 0.0 && self.rng.chance(self.config.duplicate);
        Ok(Transit {
            at,
            duplicate_at: twice.then_some(at),
        })
    }

    /// Queues `size` bytes behind what waits already; returns when the last of them is on the wire.
    fn enqueue(&mut self, now: Instant, size: usize) -> Result<Instant, Dropped> {
        let Some(rate) = self.config.rate else {
            return Ok(now);
        };
        if rate == 0 {
            return Err(Dropped::QueueFull);
        }
        let free_at = self.busy_until.map_or(now, |busy| busy.max(now));
        let backlog = free_at.saturating_duration_since(now);
        let waiting = backlog.as_nanos() * u128::from(rate) / (8 * 1_000_000_000);
        // An idle link takes any packet, whatever its queue: it goes straight to the wire.
        if waiting > 0 && waiting + size as u128 > self.config.queue as u128 {
            return Err(Dropped::QueueFull);
        }
        let nanos = size as u128 * 8 * 1_000_000_000 / u128::from(rate);
        let sent_at = free_at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.busy_until = Some(sent_at);
        Ok(sent_at)
    }

    /// At least a millisecond, so that packets of one burst overtake; at most about half as long
    /// again as the link, so that it stays a reordering and does not become a loss.
    fn hold_back(&mut self) -> Duration {
        Duration::from_millis(1) + self.rng.span(self.config.delay / 2)
    }
}

#[cfg(test)]
mod tests;
