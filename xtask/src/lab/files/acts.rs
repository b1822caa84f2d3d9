//! What is done to a transfer, and when: at so many bytes, so that a fast machine is interrupted as
//! often as a slow one.

/// An interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    KillSender,
    KillReceiver,
    /// Takes the direct path away.
    Cut,
    /// Gives it back.
    Mend,
}

/// What is done, each once so many bytes have been sent, in order. Kills are spread over the file, each at
/// a random moment of its part, of either side in turn. So are cuts.
pub(super) fn plan(seed: u64, bytes: u64, kills: u32, cuts: u32) -> Vec<(u64, Act)> {
    let mut random = Random::new(seed);
    let mut acts = Vec::new();
    for n in 0..kills {
        let act = match (u64::from(n) + seed).is_multiple_of(2) {
            true => Act::KillReceiver,
            false => Act::KillSender,
        };
        acts.push((random.within(bytes, kills, n, 0.1..0.9), act));
    }
    for n in 0..cuts {
        acts.push((random.within(bytes, cuts, n, 0.15..0.25), Act::Cut));
        acts.push((random.within(bytes, cuts, n, 0.55..0.65), Act::Mend));
    }
    acts.sort_by_key(|(at, _)| *at);
    acts
}

/// Numbers that look random and replay.
struct Random(blake3::OutputReader);

impl Random {
    fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"interruptions").update(&seed.to_be_bytes());
        Self(hasher.finalize_xof())
    }

    /// A moment of the part `n` of `parts` equal ones, within this range of it.
    fn within(&mut self, bytes: u64, parts: u32, n: u32, range: std::ops::Range<f64>) -> u64 {
        let mut number = [0; 4];
        self.0.fill(&mut number);
        let number = f64::from(u32::from_be_bytes(number)) / f64::from(u32::MAX);
        let at = range.start + (range.end - range.start) * number;
        (bytes as f64 * (f64::from(n) + at) / f64::from(parts)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_take_turns_and_happen_while_bytes_flow() {
        for seed in 0..50 {
            let acts = plan(seed, 1000, 10, 0);
            assert_eq!(acts.len(), 10);
            assert_eq!(acts, plan(seed, 1000, 10, 0));
            assert!(acts.iter().all(|(at, _)| (10..990).contains(at)));
            assert!(acts.windows(2).all(|two| two[0].1 != two[1].1), "{acts:?}");
        }
        assert_ne!(plan(1, 1000, 10, 0), plan(3, 1000, 10, 0));
    }

    #[test]
    fn a_path_that_is_taken_away_is_given_back_before_the_end() {
        for seed in 0..50 {
            let acts = plan(seed, 1000, 4, 2);
            let of_path = |act: &Act| matches!(act, Act::Cut | Act::Mend);
            let path: Vec<_> = acts.iter().map(|(_, act)| *act).filter(of_path).collect();
            assert_eq!(path, [Act::Cut, Act::Mend, Act::Cut, Act::Mend]);
            assert!(acts.iter().all(|(at, _)| *at < 990));
        }
    }
}
