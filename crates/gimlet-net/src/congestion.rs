//! Starts congestion control afresh when packets move to another path.
//!
//! quinn does not see our path changes, so a wrapper around its controller does what RFC 9000
//! section 9.4 asks: after a change the window is the initial one, and what happens to packets sent
//! before says nothing about the new path. Those still in flight do not count against the new
//! window either, or a full old window would keep the new path silent until they time out.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

mod cubic;
mod discerning;
mod drain;
mod losses;
mod queue;

pub use discerning::DiscerningConfig;

/// Room beside two packets that fill a window, bytes: little ones are under way, too.
const BESIDE: u64 = 1500;

/// Counts the path changes of one peer; shared by all connections with it.
#[derive(Debug)]
pub struct PathEpoch {
    changes: AtomicU64,
    /// Packets that shall leave however full the window is.
    urgent: AtomicU64,
}

impl PathEpoch {
    /// The first path.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            changes: AtomicU64::new(0),
            urgent: AtomicU64::new(0),
        })
    }

    /// Packets go another way from now on.
    pub fn advance(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets each connection send a packet now, however full its window is. What fills it may be lost;
    /// that is known only after something is acknowledged.
    pub fn make_way(&self) {
        self.urgent.fetch_add(1, Ordering::Relaxed);
    }

    fn current(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    fn urgent(&self) -> u64 {
        self.urgent.load(Ordering::Relaxed)
    }
}

/// Wraps the controllers that `inner` makes.
pub struct RestartingFactory {
    inner: Arc<dyn ControllerFactory + Send + Sync>,
    epoch: Arc<PathEpoch>,
    /// Bytes of the datagram that probes the path.
    probe: u16,
}

impl RestartingFactory {
    /// Restarts controllers of `inner` whenever `epoch` advances.
    pub fn new(inner: Arc<dyn ControllerFactory + Send + Sync>, epoch: Arc<PathEpoch>) -> Self {
        let probe = 0;
        Self {
            inner,
            epoch,
            probe,
        }
    }

    /// Leaves room beside a probe of so many bytes until one of them has got through: it may be longer than a
    /// first window, and would keep everything else back until it is acknowledged. Default: none.
    pub fn with_probe(mut self, bytes: u16) -> Self {
        self.probe = bytes;
        self
    }
}

impl ControllerFactory for RestartingFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Restarting {
            controller: self.inner.clone().build(now, current_mtu),
            seen: self.epoch.current(),
            urgent: self.epoch.urgent(),
            started_at: None,
            in_flight: 0,
            stale: 0,
            mtu: current_mtu,
            factory: self,
        })
    }
}

struct Restarting {
    factory: Arc<RestartingFactory>,
    controller: Box<dyn Controller>,
    /// The epoch that `controller` belongs to.
    seen: u64,
    /// How often way was made, until something left.
    urgent: u64,
    /// When that epoch was noticed; `None` in the first.
    started_at: Option<Instant>,
    /// Bytes in flight, as far as quinn tells.
    in_flight: u64,
    /// Bytes in flight that were sent in an earlier epoch.
    stale: u64,
    mtu: u16,
}

impl Restarting {
    fn notice_epoch(&mut self, now: Instant) {
        let current = self.factory.epoch.current();
        if current != self.seen {
            self.seen = current;
            self.started_at = Some(now);
            self.stale = self.in_flight;
            self.controller = self.factory.inner.clone().build(now, self.mtu);
        }
    }

    fn is_stale(&self, sent: Instant) -> bool {
        self.started_at.is_some_and(|started_at| sent < started_at)
    }

    fn left(&mut self, sent: Instant, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.is_stale(sent) {
            self.stale = self.stale.saturating_sub(bytes);
        }
    }
}

impl Controller for Restarting {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.notice_epoch(now);
        self.urgent = self.factory.epoch.urgent();
        self.in_flight += bytes;
        self.controller.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.notice_epoch(now);
        self.left(sent, bytes);
        if !self.is_stale(sent) {
            self.controller.on_ack(now, sent, bytes, app_limited, rtt);
        }
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.notice_epoch(now);
        self.in_flight = in_flight;
        self.stale = self.stale.min(in_flight);
        self.controller.on_end_acks(
            now,
            in_flight - self.stale,
            app_limited,
            largest_packet_num_acked,
        );
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.notice_epoch(now);
        self.left(sent, lost_bytes);
        if !self.is_stale(sent) {
            self.controller
                .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu;
        self.controller.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        // quinn sends nothing that is acknowledged, nor the end of a connection, before a whole packet fits;
        // the longest ones are longer than an initial window. Two are acknowledged at once, one after the
        // 25 ms for which the peer waits for a second.
        let mut least = 2 * u64::from(self.mtu);
        if least > self.controller.initial_window() {
            least += BESIDE;
        }
        let window = match self.factory.epoch.current() == self.seen {
            true => self.controller.window().max(least) + self.stale,
            false => self.controller.initial_window().max(least) + self.in_flight,
        };
        let window = match self.mtu < self.factory.probe {
            true => window + u64::from(self.factory.probe),
            false => window,
        };
        match self.factory.epoch.urgent() == self.urgent {
            true => window,
            // One packet and the beginning of another: quinn rounds to whole ones.
            false => window.max(self.in_flight + 2 * u64::from(self.mtu)),
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.controller.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            factory: self.factory.clone(),
            controller: self.controller.clone_box(),
            ..*self
        })
    }

    fn initial_window(&self) -> u64 {
        self.controller.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::congestion::CubicConfig;
    use std::time::Duration;

    const PACKET: u64 = 1200;

    #[test]
    fn a_path_change_restarts_the_window_and_leaves_room_beside_what_is_in_flight() {
        let mut t = Bench::new();
        t.send(10);
        t.lose(1);
        let reduced = t.controller.window();
        assert!(reduced < t.controller.initial_window());

        t.epoch.advance();
        let in_flight = 9 * PACKET;
        assert_eq!(
            t.controller.window(),
            t.controller.initial_window() + in_flight
        );
        t.send(1);
        assert_eq!(
            t.controller.window(),
            t.controller.initial_window() + in_flight
        );
    }

    #[test]
    fn losses_of_packets_sent_before_the_change_do_not_count() {
        let mut t = Bench::new();
        t.send(10);
        t.epoch.advance();
        t.now += Duration::from_millis(1);
        let before = t.now - Duration::from_millis(1);
        t.send(1);
        t.controller
            .on_congestion_event(t.now, before, true, 10 * PACKET);
        assert_eq!(t.controller.window(), t.controller.initial_window());
    }

    #[test]
    fn losses_after_the_change_count() {
        let mut t = Bench::new();
        t.send(1);
        t.epoch.advance();
        t.now += Duration::from_millis(1);
        t.send(10);
        t.lose(1);
        assert!(t.controller.window() < t.controller.initial_window() + PACKET);
    }

    #[test]
    fn without_a_change_it_is_the_inner_controller() {
        let mut t = Bench::new();
        t.send(5);
        assert_eq!(t.controller.window(), t.controller.initial_window());
        t.controller.on_end_acks(t.now, 0, false, Some(4));
        assert_eq!(t.controller.window(), t.controller.initial_window());
    }

    struct Bench {
        epoch: Arc<PathEpoch>,
        controller: Box<dyn Controller>,
        now: Instant,
    }

    #[test]
    fn way_is_made_for_one_packet_through_a_full_window() {
        let mut t = Bench::new();
        let full = t.controller.initial_window() / PACKET + 1;
        t.send(full);
        let window = t.controller.window();
        t.epoch.make_way();
        assert!(t.controller.window() >= (full + 1) * PACKET);
        t.send(1);
        assert_eq!(t.controller.window(), window);
    }

    #[test]
    fn a_path_change_leaves_room_for_a_packet_however_long_packets_are() {
        let mut t = Bench::new();
        let long = u16::MAX - 47;
        t.controller.on_mtu_update(long);
        t.epoch.advance();
        assert!(t.controller.window() > u64::from(long));
        t.send(1);
        assert!(t.controller.window() > u64::from(long) + PACKET);
    }

    #[test]
    fn a_probe_leaves_room_beside_it_until_one_has_got_through() {
        let inner = Arc::new(CubicConfig::default());
        let plain = RestartingFactory::new(inner.clone(), PathEpoch::new());
        let first = Arc::new(plain).build(Instant::now(), 1200).window();
        let factory = RestartingFactory::new(inner, PathEpoch::new()).with_probe(60_000);
        let mut controller = Arc::new(factory).build(Instant::now(), 1200);
        assert_eq!(controller.window(), first + 60_000);
        controller.on_mtu_update(60_000);
        assert_eq!(controller.window(), 2 * 60_000 + BESIDE);
    }

    #[test]
    fn two_packets_fit_beside_a_little_one_however_long_they_are() {
        for long in [1452, 8952, u16::MAX - 47] {
            let mut t = Bench::new();
            t.controller.on_mtu_update(long);
            assert!(
                t.controller.window() > 2 * u64::from(long) + PACKET,
                "{long}"
            );
        }
    }

    impl Bench {
        fn new() -> Self {
            let (epoch, now) = (PathEpoch::new(), Instant::now());
            let inner = Arc::new(CubicConfig::default());
            let factory = Arc::new(RestartingFactory::new(inner, epoch.clone()));
            Self {
                epoch,
                controller: factory.build(now, PACKET as u16),
                now,
            }
        }

        fn send(&mut self, packets: u64) {
            for n in 0..packets {
                self.controller.on_sent(self.now, PACKET, n);
            }
        }

        fn lose(&mut self, packets: u64) {
            self.controller
                .on_congestion_event(self.now, self.now, false, packets * PACKET);
        }
    }
}
