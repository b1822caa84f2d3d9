//! One exchange: SPAKE2 and the confirmation of its key, without a connection.
//!
//! Each step consumes the state before it, so that none can be taken twice. The claimant is side A. The
//! secrets of a run are drawn from the operating system.

use gimlet::PeerId;
use spake2::{Ed25519Group, Identity, Password, Spake2};

use super::Code;

/// Bytes of a [`Share`]: which side it is from, and a point.
const SHARE_LEN: usize = 33;

/// What each side sends first.
pub type Share = [u8; SHARE_LEN];

/// What shows that a side has the same key.
pub type Proof = [u8; 32];

/// What proofs are bound to: valid for these two, on this connection, and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Who claims the code.
    pub claimant: PeerId,
    /// Who offers it.
    pub offerer: PeerId,
    /// From the TLS session, which nobody shares but its two ends.
    pub exporter: [u8; 32],
}

/// A share that is no point of the group, or our own come back. Nothing was learned from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side's share is malformed")]
pub struct Malformed;

/// The claimant, waiting for the offerer's share.
pub struct Claiming {
    run: Spake2<Ed25519Group>,
    binding: Binding,
    share: Share,
}

/// A side with a key, which the other may or may not have.
pub struct Proving {
    claimant: Proof,
    offerer: Proof,
}

impl Claiming {
    /// Begins; the share is for the offerer.
    pub fn start(code: &Code, binding: Binding) -> (Self, Share) {
        let (password, a, b) = parties(code, &binding);
        let (run, share) = Spake2::start_a(&password, &a, &b);
        let share = whole(share);
        let claiming = Self {
            run,
            binding,
            share,
        };
        (claiming, share)
    }

    /// Takes the offerer's share. The proof is for the offerer.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the other side does not keep to the protocol.
    pub fn handle_share(self, share: &Share) -> Result<(Proving, Proof), Malformed> {
        let key = self.run.finish(share).map_err(|_| Malformed)?;
        let proving = Proving::new(&key, &self.binding, &self.share, share);
        let proof = proving.claimant;
        Ok((proving, proof))
    }
}

impl Proving {
    /// The offerer's side at once: takes the claimant's share, and gives its own for the claimant.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the other side does not keep to the protocol.
    pub fn answer(
        code: &Code,
        binding: &Binding,
        share: &Share,
    ) -> Result<(Self, Share), Malformed> {
        let (password, a, b) = parties(code, binding);
        let (run, own) = Spake2::<Ed25519Group>::start_b(&password, &a, &b);
        let own = whole(own);
        let key = run.finish(share).map_err(|_| Malformed)?;
        Ok((Self::new(&key, binding, share, &own), own))
    }

    /// Whether the claimant knows the code; then the offerer's proof is for it.
    pub fn check_claimant(self, proof: &Proof) -> Option<Proof> {
        same(&self.claimant, proof).then_some(self.offerer)
    }

    /// Whether the offerer knows the code.
    pub fn check_offerer(self, proof: &Proof) -> bool {
        same(&self.offerer, proof)
    }

    fn new(key: &[u8], binding: &Binding, claimant: &Share, offerer: &Share) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("gimlet 2026 code 1 confirmation");
        // All of fixed length, so that no two inputs are spelled the same.
        hasher
            .update(key)
            .update(binding.claimant.as_bytes())
            .update(binding.offerer.as_bytes())
            .update(&binding.exporter)
            .update(claimant)
            .update(offerer);
        let key = hasher.finalize();
        let proof = |who| *blake3::keyed_hash(key.as_bytes(), who).as_bytes();
        Self {
            claimant: proof(b"claimant"),
            offerer: proof(b"offerer"),
        }
    }
}

fn parties(code: &Code, binding: &Binding) -> (Password, Identity, Identity) {
    (
        Password::new(code.secret()),
        Identity::new(binding.claimant.as_bytes()),
        Identity::new(binding.offerer.as_bytes()),
    )
}

fn whole(share: Vec<u8>) -> Share {
    share.try_into().expect("a point and its side are 33 bytes")
}

/// In constant time.
fn same(a: &Proof, b: &Proof) -> bool {
    blake3::Hash::from_bytes(*a) == blake3::Hash::from_bytes(*b)
}

#[cfg(test)]
mod tests;
