//! The small seeded generator behind every random choice: xoshiro256**, seeded by splitmix64.
//!
//! Its own, so that a seed means the same run for ever, whatever other crates change. It is not
//! for cryptography.

use std::time::Duration;

/// A seeded stream of numbers. The same seed gives the same stream on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Starts the stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| splitmix64(&mut mixed));
        Self { state }
    }

    /// Derives an independent stream, so that one part's draws never shift another's.
    pub fn derive(seed: u64, stream: u64) -> Self {
        let mut mixed = stream;
        Self::new(seed ^ splitmix64(&mut mixed))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A number below `bound`, or 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift: its bias is under 2^-32 for every bound used here.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// True with probability `p`; always at 1 and above, never at 0, below, or NaN.
    pub fn chance(&mut self, p: f64) -> bool {
        let unit = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit < p
    }

    /// A span from zero up to, not including, `limit`; zero for a zero limit.
    pub fn span(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos))
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_values() {
        let mut state = 1_234_567;
        assert_eq!(splitmix64(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(splitmix64(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_seed_decides_the_stream_and_streams_differ() {
        let draw = |mut rng: Rng| [rng.next_u64(), rng.next_u64()];
        assert_eq!(draw(Rng::new(1)), draw(Rng::new(1)));
        assert_ne!(draw(Rng::new(1)), draw(Rng::new(2)));
        assert_ne!(draw(Rng::derive(1, 1)), draw(Rng::derive(1, 2)));
    }

    #[test]
    fn draws_stay_in_bounds_and_spread_over_them() {
        let mut rng = Rng::new(3);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[rng.below(10) as usize] += 1;
        }
        assert!(
            counts.iter().all(|n| (850..1_150).contains(n)),
            "{counts:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.span(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn certain_and_impossible_chances_hold() {
        let mut rng = Rng::new(4);
        assert!((0..1_000).all(|_| rng.chance(1.0)));
        assert!((0..1_000).all(|_| !rng.chance(0.0) && !rng.chance(-1.0) && !rng.chance(f64::NAN)));
    }
}
