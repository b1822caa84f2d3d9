//! CUBIC that looks at the queue before it believes that a loss means congestion.
//!
//! CUBIC (RFC 9438) cuts its window at every loss, so on a line that loses one packet in two hundred
//! it is hardly ever more than a few packets long. But a loss of congestion has a cause that shows: a
//! queue overflows, so packets sent about then waited as long as they ever do. Here a loss cuts the
//! window when the queue was at least half full then ([`Queue::was_full`]) and more are lost there than
//! the line loses anyway, or when more are lost than lines lose ([`Losses`]); as TCP Veno does it (Fu and
//! Liew, 2003), with CUBIC for Reno. Any other loss is repeated and nothing more. And a queue that is ours
//! alone is not left standing ([`Drain`]).
//!
//! ```text
//!                                                                 ╭─ congestion ─╮
//! SlowStart ── queue ──▶ Conservative ── five round trips ──▶ Avoidance ◀────────╯
//!     ▲ │                    │ │                                ▲ ▲ │
//!     │ ╰──── congestion ────┼─┴──────── congestion ────────────╯ │ │ queue stays
//!     ├── queue was a burst ─╯                                    │ ▼
//!     ╰──────────── never cut, and the queue is another's ──────── Draining, two round trips
//! ```
//!
//! Slow start ends as in HyStart++ (RFC 9406). Beside a CUBIC flow in one queue both see it overflow,
//! and both give way. quinn paces by the window: a quarter faster than one window a round trip.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use super::cubic::{BETA, Cubic};
use super::drain::{self, Drain, Shown};
use super::losses::Losses;
use super::queue::Queue;

/// Window of a new path, bytes (RFC 9002 section 7.2).
const INITIAL_WINDOW: u64 = 14_720;

/// Where slow start ends while nothing is known.
const NEVER_CUT: u64 = u64::MAX;

/// Least window, packets (RFC 9002 section 7.2).
const MIN_PACKETS: u64 = 2;

/// Queue that ends slow start: an eighth of the round trip within these bounds (RFC 9406
/// section 4.3).
const SLOW_START_QUEUE: (Duration, Duration) =
    (Duration::from_millis(4), Duration::from_millis(16));

/// Round trips of conservative slow start, and by what it grows slower (RFC 9406 section 4.3).
const CONSERVATIVE_ROUNDS: u8 = 5;
const CONSERVATIVE_DIVISOR: u64 = 4;

/// Makes controllers that tell losses of congestion from those of the line.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscerningConfig;

impl ControllerFactory for DiscerningConfig {
    fn build(self: Arc<Self>, _now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Discerning::new(current_mtu))
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The window doubles every round trip.
    SlowStart,
    /// A queue was seen; it grows by a quarter of that until it is clear that the queue stays.
    Conservative { queue: Duration, rounds: u8 },
    /// It grows as CUBIC says.
    Avoidance(Cubic),
    /// It is held, to see whether the queue goes.
    Draining(Drain),
}

/// The controller of one path.
#[derive(Debug, Clone)]
struct Discerning {
    phase: Phase,
    /// Bytes that may be in flight.
    window: u64,
    /// Part of a byte that the window has grown by besides.
    fraction: f64,
    /// Slow start ends here, if not before.
    threshold: u64,
    queue: Queue,
    /// Whether the queue was full when what is acknowledged now was sent.
    is_full: bool,
    losses: Losses,
    /// Smoothed.
    rtt: Duration,
    /// Packets sent before this say nothing new: the window was cut for them.
    cut_at: Option<Instant>,
    /// Until then a queue is taken for another's.
    contested_until: Option<Instant>,
    /// A packet sent after this ends the round trip when it is acknowledged.
    round_began_at: Option<Instant>,
    /// When the first packet left that ever arrived.
    first_arrived: Option<Instant>,
    /// The newest packet of the acknowledgement being read.
    newest_acked: Option<Instant>,
    /// Bytes of it by which the window may grow.
    to_grow: u64,
    mtu: u64,
}

impl Discerning {
    fn new(mtu: u16) -> Self {
        Self {
            phase: Phase::SlowStart,
            window: INITIAL_WINDOW,
            fraction: 0.0,
            threshold: NEVER_CUT,
            queue: Queue::default(),
            is_full: true,
            losses: Losses::default(),
            rtt: Duration::ZERO,
            cut_at: None,
            contested_until: None,
            round_began_at: None,
            first_arrived: None,
            newest_acked: None,
            to_grow: 0,
            mtu: u64::from(mtu),
        }
    }

    fn min_window(&self) -> u64 {
        MIN_PACKETS * self.mtu
    }

    fn was_before_cut(&self, sent: Instant) -> bool {
        self.cut_at.is_some_and(|cut_at| sent <= cut_at)
    }

    /// A packet has arrived; `rtt` is the smoothed round trip.
    fn acked(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: Duration) {
        self.rtt = rtt;
        self.newest_acked = self.newest_acked.max(Some(sent));
        self.first_arrived.get_or_insert(sent);
        self.losses
            .on_acked(now, sent, bytes, self.mtu, self.is_full);
        if app_limited {
            if let Phase::Avoidance(cubic) = &mut self.phase {
                cubic.pause();
            }
        } else if !self.was_before_cut(sent) {
            self.to_grow += bytes;
        }
    }

    /// Lets the window grow by all that an acknowledgement was for.
    fn grow(&mut self, now: Instant) {
        let bytes = std::mem::take(&mut self.to_grow);
        if bytes == 0 {
            return;
        }
        match &mut self.phase {
            Phase::SlowStart => self.window += bytes,
            Phase::Conservative { .. } => self.window += bytes / CONSERVATIVE_DIVISOR,
            Phase::Avoidance(cubic) => {
                let window =
                    cubic.grow(now, self.window, bytes, self.mtu, self.rtt) + self.fraction;
                self.window = window as u64;
                self.fraction = window.fract();
            }
            Phase::Draining(_) => (),
        }
    }

    /// An acknowledgement was read to its end.
    fn end_acks(&mut self, now: Instant) {
        let Some(sent) = self.newest_acked.take() else {
            return;
        };
        self.grow(now);
        self.queue.on_sample(now, sent);
        self.is_full = self.queue.was_full(sent);
        if sent >= *self.round_began_at.get_or_insert(now) {
            self.round_began_at = Some(now);
            self.phase = self.next_phase(now);
        }
    }

    /// What a round trip leads to.
    fn next_phase(&mut self, now: Instant) -> Phase {
        match self.phase {
            Phase::SlowStart | Phase::Conservative { .. } => self.next_of_slow_start(now),
            Phase::Avoidance(cubic) => {
                let drain = Drain::begin(&self.queue, cubic, self.window, self.mtu);
                match drain.filter(|_| !self.is_contested(now)) {
                    Some(drain) => {
                        self.window = drain.hold().max(self.min_window());
                        Phase::Draining(drain)
                    }
                    None => Phase::Avoidance(cubic),
                }
            }
            Phase::Draining(mut drain) => match drain.end_round(&self.queue) {
                Shown::Nothing => Phase::Draining(drain),
                Shown::Ours => {
                    self.window = drain.after.max(self.min_window());
                    Phase::Avoidance(Cubic::from_slow_start(self.window))
                }
                Shown::Anothers => {
                    self.contested_until = Some(drain::contested_until(now));
                    self.window = drain.window;
                    match self.threshold {
                        // The queue that ended slow start was not ours: there may be room for much more.
                        NEVER_CUT => Phase::SlowStart,
                        _ => Phase::Avoidance(drain.cubic),
                    }
                }
            },
        }
    }

    /// Whether the queue is known to be another's.
    fn is_contested(&self, now: Instant) -> bool {
        self.contested_until.is_some_and(|until| now < until)
    }

    fn next_of_slow_start(&self, now: Instant) -> Phase {
        let (low, high) = SLOW_START_QUEUE;
        let limit = (self.queue.least().unwrap_or_default() / 8).clamp(low, high);
        let queue = self.queue.now();
        match self.phase {
            _ if self.window >= self.threshold => {
                Phase::Avoidance(Cubic::from_slow_start(self.window))
            }
            Phase::SlowStart if queue >= limit && !self.is_contested(now) => {
                Phase::Conservative { queue, rounds: 1 }
            }
            Phase::Conservative { queue: then, .. } if queue < then / 2 => Phase::SlowStart,
            Phase::Conservative { rounds, .. } if rounds >= CONSERVATIVE_ROUNDS => {
                Phase::Avoidance(Cubic::from_slow_start(self.window))
            }
            Phase::Conservative { queue, rounds } => Phase::Conservative {
                queue,
                rounds: rounds + 1,
            },
            phase @ (Phase::SlowStart | Phase::Avoidance(_) | Phase::Draining(_)) => phase,
        }
    }

    /// So much is lost; `sent` is when the last of it was.
    fn lost(&mut self, now: Instant, sent: Instant, is_persistent: bool, bytes: u64) {
        // Before anything arrived the path may not have been there: a lost first flight says as little of
        // a queue as a lost SYN, which does not end slow start either (RFC 5681 section 3.1).
        let was_before_path = self.first_arrived.is_some_and(|first| sent < first);
        if !self.was_before_cut(sent) && !was_before_path {
            let was_full = self.queue.was_full(sent);
            self.losses.on_lost(bytes, was_full);
            let of_queue = was_full && self.losses.are_of_queue(self.mtu);
            // No bytes lost is a mark of congestion by the network (ECN).
            if bytes == 0 || of_queue || self.losses.are_too_many(self.mtu) {
                self.cut(now);
            }
        }
        if is_persistent {
            self.window = self.min_window();
            self.phase = Phase::SlowStart;
        }
    }

    fn cut(&mut self, now: Instant) {
        let (window, last) = match &self.phase {
            Phase::SlowStart | Phase::Conservative { .. } => (self.window, None),
            Phase::Avoidance(cubic) => (self.window, Some(cubic)),
            Phase::Draining(drain) => (drain.window, Some(&drain.cubic)),
        };
        let cubic = Cubic::after_congestion(window, self.mtu, last);
        self.window = ((window as f64 * BETA) as u64).max(self.min_window());
        self.threshold = self.window;
        self.phase = Phase::Avoidance(cubic);
        self.cut_at = Some(now);
        self.losses.reset(now);
    }
}

impl Controller for Discerning {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.acked(now, sent, bytes, app_limited, rtt.get());
    }

    fn on_end_acks(&mut self, now: Instant, _in_flight: u64, _app_limited: bool, _: Option<u64>) {
        self.end_acks(now);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.lost(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu);
        self.window = self.window.max(self.min_window());
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests;
