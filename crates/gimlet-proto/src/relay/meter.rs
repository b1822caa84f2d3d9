//! One token bucket and one total that several shards draw from at once.
//!
//! A session's two directions usually arrive at two shards. So the bucket is an atomic number, the
//! time at which it will be full again (GCRA), and drawing from it takes no lock. Two shards that draw
//! at the same moment may both pass: the rate is exceeded by a batch a shard at most, and since both are
//! charged it is exact over time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::limits::{ByteRate, Quota};

/// What was drawn so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Nanoseconds on the relay's clock.
    full_at: AtomicU64,
    used: AtomicU64,
    /// When `used` began to count.
    since: AtomicU64,
}

/// Which part of a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Rate,
    Total,
}

impl Meter {
    /// Whether more may pass at `now`, nanoseconds on the relay's clock.
    pub(super) fn check(
        &self,
        quota: &Quota,
        period: Option<Duration>,
        now: u64,
    ) -> Result<(), Spent> {
        if let Some(total) = quota.total {
            if let Some(period) = period {
                self.begin_anew(period, now);
            }
            if self.used.load(Ordering::Relaxed) >= total {
                return Err(Spent::Total);
            }
        }
        match quota.rate {
            // Anything left: some of the burst has not been drawn.
            Some(rate) if self.full_at.load(Ordering::Relaxed) >= now + nanos(rate.burst, rate) => {
                Err(Spent::Rate)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Draws what has passed.
    pub(super) fn charge(&self, quota: &Quota, bytes: u64, now: u64) {
        if quota.total.is_some() {
            self.used.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(rate) = quota.rate {
            let cost = nanos(bytes, rate);
            let drawn = |full_at: u64| Some(full_at.max(now).saturating_add(cost));
            let _ = (self.full_at).fetch_update(Ordering::Relaxed, Ordering::Relaxed, drawn);
        }
    }

    /// Whether forgetting it changes nothing.
    pub(super) fn is_fresh(&self, period: Duration, now: u64) -> bool {
        let over = now.saturating_sub(self.since.load(Ordering::Relaxed)) >= as_nanos(period);
        let unused = self.used.load(Ordering::Relaxed) == 0;
        self.full_at.load(Ordering::Relaxed) <= now && (over || unused)
    }

    fn begin_anew(&self, period: Duration, now: u64) {
        let since = self.since.load(Ordering::Relaxed);
        if now.saturating_sub(since) < as_nanos(period) {
            return;
        }
        // One shard wins, so that what others charge from now on is kept.
        let begun = (self.since).compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_ok() {
            self.used.store(0, Ordering::Relaxed);
        }
    }
}

/// How long these bytes take at this rate.
fn nanos(bytes: u64, rate: ByteRate) -> u64 {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.per_second.get());
    // A century is as good as for ever, and leaves room to add to.
    u64::try_from(nanos).unwrap_or(u64::MAX).min(1 << 61)
}

fn as_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    const S: u64 = 1_000_000_000;

    fn rate(per_second: u64, burst: u64) -> Quota {
        let per_second = NonZeroU64::new(per_second).expect("not zero");
        Quota {
            rate: Some(ByteRate { per_second, burst }),
            total: None,
        }
    }

    /// Bytes that pass in ten seconds of batches of `batch` every millisecond.
    fn passed(quota: &Quota, batch: u64) -> u64 {
        let meter = Meter::default();
        let mut sum = 0;
        for ms in 0..10_000 {
            let now = ms * (S / 1000);
            if meter.check(quota, None, now).is_ok() {
                meter.charge(quota, batch, now);
                sum += batch;
            }
        }
        sum
    }

    #[test]
    fn the_rate_is_kept_whatever_the_length_of_batches() {
        for batch in [1_000, 10_000, 64_000] {
            let sum = passed(&rate(1_000_000, 100_000), batch);
            assert!((9_900_000..=10_300_000).contains(&sum), "{batch}: {sum}");
        }
        // Even where a batch is longer than the burst.
        let sum = passed(&rate(1_000_000, 1), 64_000);
        assert!((9_900_000..=10_100_000).contains(&sum), "{sum}");
    }

    #[test]
    fn after_a_rest_the_burst_passes_and_no_more() {
        let (meter, quota) = (Meter::default(), rate(1000, 500));
        let now = 100 * S;
        for _ in 0..5 {
            assert_eq!(meter.check(&quota, None, now), Ok(()));
            meter.charge(&quota, 100, now);
        }
        assert_eq!(meter.check(&quota, None, now), Err(Spent::Rate));
        assert_eq!(meter.check(&quota, None, now + S / 10), Ok(()));
    }

    #[test]
    fn a_total_is_final_within_its_period_and_begins_anew_after_it() {
        let meter = Meter::default();
        let quota = Quota {
            rate: None,
            total: Some(1000),
        };
        let day = Some(Duration::from_secs(86_400));
        meter.charge(&quota, 1000, S);
        assert_eq!(meter.check(&quota, day, 86_000 * S), Err(Spent::Total));
        assert_eq!(meter.check(&quota, None, 90_000 * S), Err(Spent::Total));
        assert_eq!(meter.check(&quota, day, 90_000 * S), Ok(()));
        assert!(meter.is_fresh(Duration::from_secs(86_400), 90_000 * S));
    }

    #[test]
    fn no_number_overflows() {
        let (meter, quota) = (Meter::default(), rate(1, u64::MAX));
        for _ in 0..10 {
            meter.charge(&quota, u64::MAX, S);
        }
        let _ = meter.check(&quota, None, S);
        meter.charge(&rate(u64::MAX, 0), 1, S);
    }
}
