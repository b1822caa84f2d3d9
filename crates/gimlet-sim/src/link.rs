//! One direction of a link: delay, jitter, loss, reordering, duplication, rate, queue, MTU.
//!
//! The queue is never stored. How long the link is still busy says how many bytes wait in it, so a
//! link costs the same whatever its load.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::counters::Dropped;
use crate::rng::Rng;

/// What draws the extra delay of a link with jitter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JitterKind {
    /// Every packet; the next waits for it. Under load all are about as late as the latest.
    #[default]
    InOrder,
    /// The link: it carries what waits, all at once, and then waits for its next turn. So do Wi-Fi, which
    /// sends in aggregates, and mobile networks, where a base station grants turns.
    Turns,
    /// Every packet, and one that draws less overtakes: netem's, and that of several ways at once.
    Overtaking,
}

/// How one direction of a link behaves. The default is perfect: no delay, no loss, no limit but
/// a 1,500-byte MTU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkConfig {
    /// Time from leaving the queue to arriving. Default zero.
    pub delay: Duration,
    /// Upper bound of a uniformly drawn extra delay. Default zero.
    pub jitter: Duration,
    /// What draws that delay. Default: every packet, and none overtakes another.
    pub jitter_kind: JitterKind,
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
            jitter_kind: JitterKind::default(),
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
    /// When it has its next turn, where its jitter is of that kind.
    turn_at: Option<Instant>,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, rng: Rng) -> Self {
        Self {
            config,
            rng,
            busy_until: None,
            last_arrival: None,
            turn_at: None,
        }
    }

    /// Replaces the link by another: what is under way still arrives, what comes next sees an
    /// empty queue.
    pub(crate) fn reconfigure(&mut self, config: LinkConfig) {
        self.config = config;
        self.busy_until = None;
        self.last_arrival = None;
        self.turn_at = None;
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
        let mut at = self.delayed(left_queue_at) + self.config.delay;
        if self.config.reorder > 0.0 && self.rng.chance(self.config.reorder) {
            at += self.hold_back();
        } else if self.config.jitter_kind != JitterKind::Overtaking {
            at = self.last_arrival.map_or(at, |last| last.max(at));
            self.last_arrival = Some(at);
        }
        let twice = self.config.duplicate > 0.0 && self.rng.chance(self.config.duplicate);
        Ok(Transit {
            at,
            duplicate_at: twice.then_some(at),
        })
    }

    /// When a packet that has left the queue then gets on its way.
    fn delayed(&mut self, at: Instant) -> Instant {
        match self.config.jitter_kind {
            JitterKind::InOrder | JitterKind::Overtaking => at + self.rng.span(self.config.jitter),
            JitterKind::Turns => match self.turn_at {
                Some(turn_at) if at <= turn_at => turn_at,
                Some(_) | None => {
                    let turn_at = at + self.rng.span(self.config.jitter);
                    *self.turn_at.insert(turn_at)
                }
            },
        }
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
