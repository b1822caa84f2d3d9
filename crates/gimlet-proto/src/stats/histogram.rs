//! A histogram of fixed size: what a share of many values stayed under, within a quarter.

/// Buckets: enough to reach from 0 past ten minutes in milliseconds, a quarter apart.
const BUCKETS: usize = 64;

/// What each bucket holds at most. Values above the last count as it: no attempt takes as long in
/// milliseconds, and no search sends as many packets.
const BOUNDS: [u32; BUCKETS] = bounds();

const fn bounds() -> [u32; BUCKETS] {
    let mut bounds = [0; BUCKETS];
    let (mut index, mut bound) = (0, 0);
    while index < BUCKETS {
        bounds[index] = bound;
        let quarter = bound / 4;
        bound += if quarter > 1 { quarter } else { 1 };
        index += 1;
    }
    bounds
}

/// See the [module docs](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Histogram {
    counts: [u32; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
        }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, value: u32) {
        let bucket = BOUNDS.partition_point(|&bound| bound < value);
        let count = &mut self.counts[bucket.min(BUCKETS - 1)];
        *count = count.saturating_add(1);
    }

    /// What this many percent of the values do not exceed, rounded up to the end of its bucket.
    pub(super) fn percentile(&self, percent: u64) -> Option<u32> {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut below = 0;
        let within = self.counts.iter().position(|&count| {
            below += u64::from(count);
            below >= rank
        });
        Some(BOUNDS[within?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_reach_past_ten_minutes_a_quarter_apart() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        assert!(BOUNDS[BUCKETS - 1] > 600_000, "{:?}", BOUNDS);
        let apart = |pair: &[u32]| pair[1] - pair[0] <= 1.max(pair[0] / 4);
        assert!(BOUNDS.windows(2).all(apart));
    }

    #[test]
    fn a_percentile_is_at_most_a_quarter_too_high() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for value in 1..=1000 {
            histogram.add(value);
        }
        for (percent, exact) in [(1, 10), (50, 500), (95, 950), (100, 1000)] {
            let shown = histogram.percentile(percent).unwrap();
            assert!(
                shown >= exact && shown <= exact + exact / 4,
                "{percent}: {shown}"
            );
        }
    }

    #[test]
    fn one_value_is_every_percentile_and_the_largest_has_a_place() {
        let mut histogram = Histogram::default();
        histogram.add(u32::MAX);
        assert_eq!(histogram.percentile(1), Some(BOUNDS[BUCKETS - 1]));
        let mut histogram = Histogram::default();
        histogram.add(0);
        assert_eq!(histogram.percentile(95), Some(0));
    }
}
