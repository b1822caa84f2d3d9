//! The window of CUBIC over time (RFC 9438), in bytes.

use std::time::{Duration, Instant};

/// Steepness of the cubic function, packets per cubic second (RFC 9438 section 5.1).
const C: f64 = 0.4;

/// What is left of the window after congestion (section 4.6).
pub(super) const BETA: f64 = 0.7;

/// Growth of the Reno-friendly estimate, packets a round trip: as much as gives Reno's average with
/// cuts by [`BETA`] (section 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// Growth since the last congestion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cubic {
    /// The window to come back to, bytes.
    target: f64,
    /// The window when congestion was met, bytes.
    prior: f64,
    /// Time that `target` is away, seconds.
    k: f64,
    /// The window that Reno would have, bytes.
    reno: f64,
    /// Time since congestion, without times when the application sent too little (section 5.8).
    elapsed: Duration,
    last_ack_at: Option<Instant>,
}

impl Cubic {
    /// Grows from `window` on, which met no congestion.
    pub(super) fn from_slow_start(window: u64) -> Self {
        Self {
            target: window as f64,
            prior: window as f64,
            k: 0.0,
            reno: window as f64,
            elapsed: Duration::ZERO,
            last_ack_at: None,
        }
    }

    /// Begins again after congestion at `window`; `last` is how it grew before.
    pub(super) fn after_congestion(window: u64, mtu: u64, last: Option<&Self>) -> Self {
        let prior = window as f64;
        // Fast convergence (section 4.7): whoever had more before makes room for another.
        let target = match last {
            Some(last) if prior < last.target => prior * (1.0 + BETA) / 2.0,
            Some(_) | None => prior,
        };
        let reno = prior * BETA;
        Self {
            target,
            prior,
            k: ((target - reno).max(0.0) / mtu as f64 / C).cbrt(),
            reno,
            elapsed: Duration::ZERO,
            last_ack_at: None,
        }
    }

    /// The application sent too little to use the window.
    pub(super) fn pause(&mut self) {
        self.last_ack_at = None;
    }

    /// The window after `bytes` more were acknowledged.
    pub(super) fn grow(
        &mut self,
        now: Instant,
        window: u64,
        bytes: u64,
        mtu: u64,
        rtt: Duration,
    ) -> f64 {
        let (window, bytes, mtu) = (window as f64, bytes as f64, mtu as f64);
        if let Some(last) = self.last_ack_at.replace(now) {
            self.elapsed += now.saturating_duration_since(last);
        }
        let alpha = if self.reno < self.prior { ALPHA } else { 1.0 };
        self.reno += alpha * mtu * bytes / window;
        let t = (self.elapsed + rtt).as_secs_f64() - self.k;
        let cubic = self.target + C * t.powi(3) * mtu;
        // At most half as much again in a round trip (section 4.4).
        let goal = cubic.clamp(window, 1.5 * window);
        let grown = window + (goal - window) * bytes / window;
        grown.max(self.reno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1_400;
    const RTT: Duration = Duration::from_millis(40);

    /// The window after so many seconds with every window acknowledged once a round trip.
    fn after(mut cubic: Cubic, window: u64, seconds: u32) -> u64 {
        let (mut now, mut window) = (Instant::now(), window as f64);
        for _ in 0..seconds * 25 {
            window = cubic.grow(now, window as u64, window as u64, MTU, RTT);
            now += RTT;
        }
        window as u64
    }

    #[test]
    fn it_is_back_where_congestion_was_after_k() {
        // Cube root of 1000 * 0.3 / 0.4 packets: 9.1 s.
        let full = 1_000 * MTU;
        let cubic = Cubic::after_congestion(full, MTU, None);
        let start = full * 7 / 10;
        let soon = after(cubic, start, 3);
        assert!((full * 85 / 100..full * 95 / 100).contains(&soon), "{soon}");
        let then = after(cubic, start, 9);
        assert!(
            (full * 98 / 100..full * 102 / 100).contains(&then),
            "{then}"
        );
    }

    #[test]
    fn it_leaves_room_for_another_when_it_had_more_before() {
        let first = Cubic::after_congestion(1_000 * MTU, MTU, None);
        let second = Cubic::after_congestion(800 * MTU, MTU, Some(&first));
        assert_eq!(second.target as u64, 680 * MTU);
    }

    #[test]
    fn time_without_data_does_not_count() {
        let mut cubic = Cubic::from_slow_start(100 * MTU);
        let now = Instant::now();
        cubic.grow(now, 100 * MTU, MTU, MTU, RTT);
        cubic.pause();
        let later = now + Duration::from_secs(60);
        let window = cubic.grow(later, 100 * MTU, MTU, MTU, RTT);
        assert!(window < (101 * MTU) as f64);
    }

    #[test]
    fn a_small_window_grows_as_reno_does() {
        let cubic = Cubic::after_congestion(10 * MTU, MTU, None);
        let window = after(cubic, 7 * MTU, 1);
        assert!(window >= 17 * MTU, "{window}");
    }
}
