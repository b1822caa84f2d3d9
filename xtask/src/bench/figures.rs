//! Medians and percentiles.

use serde::Serialize;

/// Bytes that processor time is told by.
pub(super) const GIB: f64 = (1u64 << 30) as f64;

/// Bytes in GiB.
pub(super) fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB
}

/// What many measurements of one thing say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Figure {
    /// Of nothing, nothing.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self {
            median: middle(&sorted)?,
            low: *sorted.first()?,
            high: *sorted.last()?,
        })
    }
}

/// Times as a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) max: f64,
}

impl Spread {
    /// By nearest rank; of nothing, nothing.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = sorted(values);
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Some(Self {
            p50: at(0.5)?,
            p95: at(0.95)?,
            max: *sorted.last()?,
        })
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => None,
        1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(Figure::of([3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = Figure::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((even.median, even.low, even.high), (2.5, 1.0, 4.0));
        assert_eq!(Figure::of([]), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let spread = Spread::of((1..=100).map(f64::from)).unwrap();
        assert_eq!((spread.p50, spread.p95, spread.max), (50.0, 95.0, 100.0));
        let one = Spread::of([7.0]).unwrap();
        assert_eq!((one.p50, one.p95, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of([]), None);
    }
}
