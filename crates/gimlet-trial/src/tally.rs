//! Counting trials: shares with confidence intervals, and percentiles.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::Trial;

/// z for 95 % of a normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Trials of one kind, counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    trials: u32,
    /// Milliseconds, of the direct ones.
    after_connect: Vec<f64>,
    after_exchange: Vec<f64>,
    sent: [Vec<f64>; 2],
    strategies: BTreeMap<&'static str, u32>,
    failures: BTreeMap<&'static str, u32>,
    searched: u32,
    astray: u32,
    misjudged: u32,
    busiest_second: u32,
}

/// A share of something, with the interval that holds the true one in 95 of 100 cases (Wilson 1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: u32,
    /// Of how many.
    pub of: u32,
    /// The lower end, 0 to 1.
    pub low: f64,
    /// The upper end, 0 to 1.
    pub high: f64,
}

/// The middle and the slow end of many values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half are at most this.
    pub p50: f64,
    /// Nineteen of twenty are at most this.
    pub p95: f64,
}

/// What many trials come to. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Those that ended direct.
    pub direct: Share,
    /// From `connect` until both sides have a direct path; `None` if none has.
    pub after_connect_ms: Option<Spread>,
    /// The same, from when candidates were exchanged.
    pub after_exchange_ms: Option<Spread>,
    /// Datagrams that the dialer sent directly until then, or until it gave up.
    pub sent_by_dialer: Spread,
    /// The same of the acceptor.
    pub sent_by_acceptor: Spread,
    /// How direct paths were found.
    pub strategies: BTreeMap<&'static str, u32>,
    /// Why there was none.
    pub failures: BTreeMap<&'static str, u32>,
    /// Trials in which a side sent to a port that was neither announced nor heard from.
    pub searched: u32,
    /// Datagrams to hosts that were neither announced nor heard from.
    pub astray: u32,
    /// Sides whose prober was wrong about mapping or allocation.
    pub misjudged: u32,
    /// The most datagrams that a side sent within a second in any trial.
    pub busiest_second: u32,
}

impl Tally {
    /// Counts a trial.
    pub fn add(&mut self, trial: &Trial) {
        self.trials += 1;
        self.after_connect.extend(trial.after_connect.map(ms));
        self.after_exchange.extend(trial.after_exchange.map(ms));
        for (all, sent) in self.sent.iter_mut().zip(trial.sent) {
            all.push(f64::from(sent));
        }
        if let Some(strategy) = trial.strategy {
            *self.strategies.entry(strategy.name()).or_default() += 1;
        }
        if let Some(failure) = trial.failure {
            *self.failures.entry(failure.reason.name()).or_default() += 1;
        }
        self.searched += u32::from(trial.searching.iter().any(|sent| *sent > 0));
        self.astray += trial.astray;
        self.misjudged += trial.misjudged;
        self.busiest_second = self.busiest_second.max(trial.busiest_second);
    }

    /// Counts all that another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.trials += other.trials;
        self.after_connect.extend(&other.after_connect);
        self.after_exchange.extend(&other.after_exchange);
        for (all, more) in self.sent.iter_mut().zip(&other.sent) {
            all.extend(more);
        }
        for (name, count) in &other.strategies {
            *self.strategies.entry(name).or_default() += count;
        }
        for (name, count) in &other.failures {
            *self.failures.entry(name).or_default() += count;
        }
        self.searched += other.searched;
        self.astray += other.astray;
        self.misjudged += other.misjudged;
        self.busiest_second = self.busiest_second.max(other.busiest_second);
    }

    /// How many were direct this long after `connect`.
    pub fn direct_within(&self, limit: Duration) -> Share {
        let limit = ms(limit);
        let count = self.after_connect.iter().filter(|at| **at <= limit).count();
        Share::new(count as u32, self.trials)
    }

    /// What it comes to.
    pub fn figures(&self) -> Figures {
        let none = Spread { p50: 0.0, p95: 0.0 };
        Figures {
            direct: Share::new(self.after_connect.len() as u32, self.trials),
            after_connect_ms: Spread::of(&self.after_connect),
            after_exchange_ms: Spread::of(&self.after_exchange),
            sent_by_dialer: Spread::of(&self.sent[0]).unwrap_or(none),
            sent_by_acceptor: Spread::of(&self.sent[1]).unwrap_or(none),
            strategies: self.strategies.clone(),
            failures: self.failures.clone(),
            searched: self.searched,
            astray: self.astray,
            misjudged: self.misjudged,
            busiest_second: self.busiest_second,
        }
    }
}

impl Share {
    /// `count` of `of`.
    pub fn new(count: u32, of: u32) -> Self {
        let (n, p) = (
            f64::from(of.max(1)),
            f64::from(count) / f64::from(of.max(1)),
        );
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        // Rounding must not leave a certain outcome's own share outside.
        Self {
            count,
            of,
            low: ((middle - half) / scale).clamp(0.0, p),
            high: ((middle + half) / scale).clamp(p, 1.0),
        }
    }

    /// The share itself, 0 to 1.
    pub fn value(&self) -> f64 {
        f64::from(self.count) / f64::from(self.of.max(1))
    }
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        // The nearest rank: a value that occurred.
        let rank = |percent: usize| (sorted.len() * percent).div_ceil(100).max(1) - 1;
        let at = |percent| sorted.get(rank(percent)).copied();
        Some(Self {
            p50: at(50)?,
            p95: at(95)?,
        })
    }
}

fn ms(span: Duration) -> f64 {
    // To the microsecond, so that reports are short.
    span.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let half = Share::new(50, 100);
        assert!((half.low - 0.4038).abs() < 1e-4 && (half.high - 0.5962).abs() < 1e-4);
        let all = Share::new(1000, 1000);
        assert!(
            (all.low - 0.99617).abs() < 1e-5 && all.high == 1.0,
            "{all:?}"
        );
        let none = Share::new(0, 20);
        assert!(
            none.low == 0.0 && (none.high - 0.16113).abs() < 1e-4,
            "{none:?}"
        );
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let spread = Spread::of(&values).unwrap();
        assert_eq!((spread.p50, spread.p95), (50.0, 95.0));
        assert_eq!(Spread::of(&[7.0]).unwrap().p95, 7.0);
        assert_eq!(Spread::of(&[]), None);
    }
}
