//! Rate limits: a token bucket, and a bounded table of them keyed by address prefix.
//!
//! The bucket is GCRA: it stores one instant, the time at which it will be full again, so it costs
//! no timer. The table is set-associative and made once: it never grows, whoever sends.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How many units a second pass, and how many may pass at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    depth: Duration,
}

impl Rate {
    /// `units` a second, up to `burst` at once. Zero of either counts as one.
    pub const fn per_second(units: u32, burst: u32) -> Self {
        let units = if units == 0 { 1 } else { units };
        let burst = if burst == 0 { 1 } else { burst };
        let interval = Duration::from_nanos(1_000_000_000 / units as u64);
        Self {
            interval,
            depth: interval.saturating_mul(burst),
        }
    }
}

/// One token bucket. Begins full.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes `units`, or takes nothing and returns `false` when fewer are left.
    pub fn take(&mut self, units: u32, rate: &Rate, now: Instant) -> bool {
        let from = self.full_at.map_or(now, |full_at| full_at.max(now));
        let full_at = from + rate.interval.saturating_mul(units);
        let within = full_at.saturating_duration_since(now) <= rate.depth;
        if within {
            self.full_at = Some(full_at);
        }
        within
    }

    /// Whether it is as if nothing had ever been taken.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// Who shares one bucket: an IPv4 address, or an IPv6 /56, which is what one household gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix(u64);

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(1 << 56 | u64::from(v4.to_bits())),
            IpAddr::V6(v6) => Self((v6.to_bits() >> 72) as u64),
        }
    }
}

/// Buckets in one set: enough that honest prefixes which share a set rarely push each other out.
const WAYS: usize = 8;

/// A bounded table of buckets, one a prefix.
///
/// Buckets that have filled up again are forgotten first. When a set holds none, the fullest one
/// goes: a flood from many prefixes makes the limiter lenient, never large.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    seed: u64,
    sets: Box<[[Slot; WAYS]]>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    key: Prefix,
    bucket: Bucket,
}

impl Limiter {
    /// A table of at least `capacity` buckets of `rate`, all memory taken here. `seed` decides which
    /// prefixes share a set; draw it at random, or strangers can aim.
    pub fn new(rate: Rate, capacity: usize, seed: u64) -> Self {
        let empty = Slot {
            key: Prefix(u64::MAX),
            bucket: Bucket::default(),
        };
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self {
            rate,
            seed,
            sets: vec![[empty; WAYS]; sets].into_boxed_slice(),
        }
    }

    /// Whether one more unit of this sender passes now.
    pub fn allow(&mut self, source: IpAddr, now: Instant) -> bool {
        let key = Prefix::from(source);
        let index = mix(key.0, self.seed) as usize & (self.sets.len() - 1);
        let set = &mut self.sets[index];
        let way = match set.iter().position(|slot| slot.key == key) {
            Some(way) => way,
            None => {
                let way = victim(set, now);
                set[way] = Slot {
                    key,
                    bucket: Bucket::default(),
                };
                way
            }
        };
        set[way].bucket.take(1, &self.rate, now)
    }
}

fn victim(set: &[Slot; WAYS], now: Instant) -> usize {
    let full = set.iter().position(|slot| slot.bucket.is_full(now));
    full.unwrap_or_else(|| {
        let fullest = set.iter().enumerate().min_by_key(|(_, s)| s.bucket.full_at);
        fullest.map_or(0, |(way, _)| way)
    })
}

/// Spreads keys over sets: the folded 128-bit product that wyhash mixes with.
pub(crate) fn mix(key: u64, seed: u64) -> u64 {
    let product = u128::from(key ^ seed) * u128::from(seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const RATE: Rate = Rate::per_second(10, 3);

    #[test]
    fn a_burst_passes_and_then_the_rate_does() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.take(1, &RATE, now)));
        assert!(!bucket.take(1, &RATE, now));
        let later = now + Duration::from_millis(100);
        assert!(bucket.take(1, &RATE, later));
        assert!(!bucket.take(1, &RATE, later));
        let rested = now + Duration::from_secs(60);
        assert!(bucket.take(3, &RATE, rested), "no more than the burst");
        assert!(!bucket.take(1, &RATE, rested));
    }

    #[test]
    fn a_whole_ipv6_site_is_one_sender_and_each_ipv4_address_is_one() {
        let v6 = |text: &str| Prefix::from(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()));
        assert_eq!(v6("2001:db8:1:200::1"), v6("2001:db8:1:2ff:ffff::"));
        assert_ne!(v6("2001:db8:1:200::1"), v6("2001:db8:1:300::1"));
        let v4 = |text: &str| Prefix::from(IpAddr::V4(text.parse::<Ipv4Addr>().unwrap()));
        assert_ne!(v4("192.0.2.1"), v4("192.0.2.2"));
        assert_eq!(v4("192.0.2.1"), v6("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_flood_of_prefixes_neither_grows_the_table_nor_locks_a_newcomer_out() {
        let now = Instant::now();
        let mut limiter = Limiter::new(RATE, 64, 7);
        let size = limiter.sets.len();
        for n in 0..100_000u32 {
            limiter.allow(Ipv4Addr::from_bits(n).into(), now);
        }
        assert_eq!(limiter.sets.len(), size);
        assert!(limiter.allow(Ipv6Addr::LOCALHOST.into(), now));
    }

    #[test]
    fn one_sender_does_not_use_up_the_units_of_another() {
        let now = Instant::now();
        let mut limiter = Limiter::new(RATE, 1024, 7);
        let (loud, quiet) = (
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from([198, 51, 100, 1]),
        );
        let passed = (0..100).filter(|_| limiter.allow(loud, now)).count();
        assert_eq!(passed, 3);
        assert!(limiter.allow(quiet, now));
    }
}
