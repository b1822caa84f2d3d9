//! What is known of a session on every shard: counters and meters, shared without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::limits::{Limits, REASONS, ThrottleReason};
use super::meter::{Meter, Spent};
use super::session::Traffic;

/// The clock of one relay: shared times are nanoseconds since it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Some 584 years fit.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.0).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX / 2)
    }
}

/// Counters and meters of one session.
#[derive(Debug)]
pub(super) struct Flow {
    /// From the dialer, and from the accepting side. Each is usually written by one shard.
    ways: [Way; 2],
    session: Meter,
    /// Of the two sides, in all their sessions.
    peers: [Arc<Meter>; 2],
    server: Arc<Meter>,
}

/// One direction. What every packet touches comes first, so that the two ways' are in different lines
/// of the processor's cache.
#[derive(Debug, Default)]
struct Way {
    packets: AtomicU64,
    bytes: AtomicU64,
    heard_at: AtomicU64,
    /// Bytes, by reason.
    dropped: [AtomicU64; REASONS.len()],
}

impl Flow {
    pub(super) fn new(peers: [Arc<Meter>; 2], server: Arc<Meter>, now: u64) -> Self {
        let flow = Self {
            ways: Default::default(),
            session: Meter::default(),
            peers,
            server,
        };
        flow.heard(0, now);
        flow
    }

    /// Side `from` is alive.
    pub(super) fn heard(&self, from: usize, now: u64) {
        self.ways[from].heard_at.store(now, Ordering::Relaxed);
    }

    /// Whether more from side `from` may pass. What may is charged.
    pub(super) fn draw(
        &self,
        from: usize,
        bytes: u64,
        limits: &Limits,
        now: u64,
    ) -> Result<(), ThrottleReason> {
        use ThrottleReason::*;
        let period = Some(limits.period);
        let meters = [
            (
                &self.session,
                &limits.session,
                None,
                SessionRate,
                SessionTotal,
            ),
            (
                &*self.peers[from],
                &limits.peer,
                period,
                PeerRate,
                PeerTotal,
            ),
            (
                &*self.server,
                &limits.server,
                period,
                ServerRate,
                ServerTotal,
            ),
        ];
        for (meter, quota, period, rate, total) in meters {
            match meter.check(quota, period, now) {
                Ok(()) => (),
                Err(Spent::Rate) => return Err(rate),
                Err(Spent::Total) => return Err(total),
            }
        }
        for (meter, quota, ..) in meters {
            meter.charge(quota, bytes, now);
        }
        Ok(())
    }

    /// Counts what goes on.
    pub(super) fn carried(&self, from: usize, packets: u64, bytes: u64) {
        let way = &self.ways[from];
        way.packets.fetch_add(packets, Ordering::Relaxed);
        way.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what does not.
    pub(super) fn dropped(&self, from: usize, reason: ThrottleReason, bytes: u64) {
        self.ways[from].dropped[reason as usize].fetch_add(bytes, Ordering::Relaxed);
    }

    /// When either side was last heard.
    pub(super) fn heard_at(&self) -> u64 {
        let heard = |way: &Way| way.heard_at.load(Ordering::Relaxed);
        heard(&self.ways[0]).max(heard(&self.ways[1]))
    }

    /// For how long neither side was heard.
    pub(super) fn idle(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.heard_at()))
    }

    pub(super) fn traffic(&self) -> [Traffic; 2] {
        [0, 1].map(|side: usize| {
            let way = &self.ways[side];
            Traffic {
                packets: way.packets.load(Ordering::Relaxed),
                bytes: way.bytes.load(Ordering::Relaxed),
            }
        })
    }

    /// Bytes of side `from` that were dropped so far, by reason.
    pub(super) fn dropped_by_reason(&self, from: usize) -> [u64; REASONS.len()] {
        std::array::from_fn(|at| self.ways[from].dropped[at].load(Ordering::Relaxed))
    }
}
