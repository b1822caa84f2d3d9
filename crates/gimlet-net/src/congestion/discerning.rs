//! CUBIC that looks at the queue before it believes that a loss means congestion.
//!
//! CUBIC (RFC 9438) cuts its window at every loss, so on a line that loses one packet in two hundred
//! it is hardly ever more than a few packets long. But a loss of congestion has a cause that shows: a
//! queue overflows, so packets sent about then waited as long as they ever do. Here a loss cuts the
//! window when the queue was at least half full then ([`Queue::was_full`]), or when more are lost than
//! lines lose ([`Losses`]); as TCP Veno does it (Fu and Liew, 2003), with CUBIC for Reno. Any other
//! loss is repeated and nothing more.
//!
//! ```text
//! SlowStart ── queue grows ──▶ Conservative ── five round trips ──▶ Avoidance
//!     ▲ ╰──────────────────────────┼── congestion ─────────────────────▲ │ congestion
//!     ╰──── queue was a burst ─────╯                                   ╰─╯
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
use super::losses::Losses;
use super::queue::Queue;

/// Window of a new path, bytes (RFC 9002 section 7.2).
const INITIAL_WINDOW: u64 = 14_720;

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
    losses: Losses,
    /// Packets sent before this say nothing new: the window was cut for them.
    cut_at: Option<Instant>,
    /// A packet sent after this ends the round trip when it is acknowledged.
    round_began_at: Option<Instant>,
    /// The newest packet of the acknowledgement being read.
    newest_acked: Option<Instant>,
    mtu: u64,
}

impl Discerning {
    fn new(mtu: u16) -> Self {
        Self {
            phase: Phase::SlowStart,
            window: INITIAL_WINDOW,
            fraction: 0.0,
            threshold: u64::MAX,
            queue: Queue::default(),
            losses: Losses::default(),
            cut_at: None,
            round_began_at: None,
            newest_acked: None,
            mtu: u64::from(mtu),
        }
    }

    fn min_window(&self) -> u64 {
        MIN_PACKETS * self.mtu
    }

    fn was_before_cut(&self, sent: Instant) -> bool {
        self.cut_at.is_some_and(|cut_at| sent <= cut_at)
    }

    fn grow(&mut self, now: Instant, bytes: u64, rtt: Duration) {
        match &mut self.phase {
            Phase::SlowStart => self.window += bytes,
            Phase::Conservative { .. } => self.window += bytes / CONSERVATIVE_DIVISOR,
            Phase::Avoidance(cubic) => {
                let window = cubic.grow(now, self.window, bytes, self.mtu, rtt) + self.fraction;
                self.window = window as u64;
                self.fraction = window.fract();
            }
        }
    }

    /// Looks at the queue at the end of a round trip.
    fn end_round(&mut self) {
        let (low, high) = SLOW_START_QUEUE;
        let limit = (self.queue.least().unwrap_or_default() / 8).clamp(low, high);
        let queue = self.queue.now();
        self.phase = match self.phase {
            Phase::SlowStart | Phase::Conservative { .. } if self.window >= self.threshold => {
                Phase::Avoidance(Cubic::from_slow_start(self.window))
            }
            Phase::SlowStart if queue >= limit => Phase::Conservative { queue, rounds: 1 },
            Phase::Conservative { queue: then, .. } if queue < then / 2 => Phase::SlowStart,
            Phase::Conservative { rounds, .. } if rounds >= CONSERVATIVE_ROUNDS => {
                Phase::Avoidance(Cubic::from_slow_start(self.window))
            }
            Phase::Conservative { queue, rounds } => Phase::Conservative {
                queue,
                rounds: rounds + 1,
            },
            Phase::SlowStart => Phase::SlowStart,
            Phase::Avoidance(cubic) => Phase::Avoidance(cubic),
        };
    }

    fn cut(&mut self, now: Instant) {
        let last = match &self.phase {
            Phase::Avoidance(cubic) => Some(cubic),
            Phase::SlowStart | Phase::Conservative { .. } => None,
        };
        let cubic = Cubic::after_congestion(self.window, self.mtu, last);
        self.window = ((self.window as f64 * BETA) as u64).max(self.min_window());
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
        self.newest_acked = self.newest_acked.max(Some(sent));
        self.losses.on_acked(now, sent, bytes, self.mtu);
        if app_limited {
            if let Phase::Avoidance(cubic) = &mut self.phase {
                cubic.pause();
            }
        } else if !self.was_before_cut(sent) {
            self.grow(now, bytes, rtt.get());
        }
    }

    fn on_end_acks(&mut self, now: Instant, _in_flight: u64, _app_limited: bool, _: Option<u64>) {
        let Some(sent) = self.newest_acked.take() else {
            return;
        };
        self.queue.on_sample(now, sent);
        if sent >= *self.round_began_at.get_or_insert(now) {
            self.round_began_at = Some(now);
            self.end_round();
        }
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        if !self.was_before_cut(sent) {
            self.losses.on_lost(lost_bytes);
            // No bytes lost is a mark of congestion by the network (ECN).
            let told = lost_bytes == 0;
            if told || self.queue.was_full(sent) || self.losses.are_too_many(self.mtu) {
                self.cut(now);
            }
        }
        if is_persistent_congestion {
            self.window = self.min_window();
            self.phase = Phase::SlowStart;
        }
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
