//! A hash for session ids: dialers draw them, so it is keyed, or strangers could make a table slow.

use std::hash::{BuildHasher, Hasher};

use crate::limit::mix;

/// Makes hashers of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeded(pub(super) u64);

/// Folds eight bytes at a time, which is all that a session id has.
pub(super) struct Folded {
    state: u64,
    seed: u64,
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded {
            state: self.0,
            seed: self.0,
        }
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.state = mix(self.state ^ u64::from_le_bytes(word), self.seed);
        }
    }

    /// The length of what follows: all ids are of one.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.state
    }
}
