//! Transaction ids and jitter drawn from one seed.

use std::time::Duration;

use crate::stun::TransactionId;

/// A stream of bytes that nobody without the seed can predict: an off-path attacker must not guess a
/// transaction id.
pub(crate) struct Entropy(blake3::OutputReader);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl Entropy {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("gimlet 2026 traversal entropy");
        hasher.update(seed);
        Self(hasher.finalize_xof())
    }

    pub(crate) fn transaction(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.0.fill(&mut id);
        TransactionId(id)
    }

    pub(crate) fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        self.0.fill(&mut word);
        u32::from_be_bytes(word)
    }

    /// `interval` times 0.8 to 1.2, as RFC 7675 section 5.1 asks for, so that sessions do not beat
    /// in step.
    pub(crate) fn jitter(&mut self, interval: Duration) -> Duration {
        interval * (800 + self.word() % 401) / 1000
    }
}
