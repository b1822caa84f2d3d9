//! Bytes to send, and proof that they arrived.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, ensure};

/// What a transfer carries each way: large enough to outlast a change of path.
pub(crate) const TRANSFER_BYTES: usize = 4 << 20;

/// Bytes that look random, differ by `seed` and replay by it.
pub(crate) fn bytes(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Writes `len` such bytes to a file.
pub(crate) fn write(path: &Path, seed: &str, len: usize) -> anyhow::Result<()> {
    std::fs::write(path, bytes(seed, len))
        .with_context(|| format!("{} can't be written", path.display()))
}

/// The same for files larger than memory should hold; returns the hash of what was written.
pub(crate) fn write_long(path: &Path, seed: &str, len: u64) -> anyhow::Result<blake3::Hash> {
    let cannot = || format!("{} can't be written", path.display());
    let mut file = File::create(path).with_context(cannot)?;
    let mut source = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let (mut hasher, mut piece, mut left) = (blake3::Hasher::new(), vec![0; 1 << 20], len);
    while left > 0 {
        let piece_len = left.min(piece.len() as u64) as usize;
        source.fill(&mut piece[..piece_len]);
        hasher.update(&piece[..piece_len]);
        file.write_all(&piece[..piece_len]).with_context(cannot)?;
        left -= piece_len as u64;
    }
    Ok(hasher.finalize())
}

/// The length and BLAKE3 hash of a file, of which `at_most` is read.
pub(crate) fn hash(path: &Path, at_most: u64) -> anyhow::Result<(u64, blake3::Hash)> {
    let file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(at_most))?;
    Ok((hasher.count(), hasher.finalize()))
}

/// Errors, with both sizes, unless `received` is `sent` byte for byte.
pub(crate) fn verify(sent: &Path, received: &Path) -> anyhow::Result<blake3::Hash> {
    // Bounded, should a broken transfer repeat itself for ever.
    let at_most = 4 * TRANSFER_BYTES as u64;
    let ((sent_len, sent_hash), (len, received_hash)) =
        (hash(sent, at_most)?, hash(received, at_most)?);
    ensure!(len == sent_len, "{len} of {sent_len} bytes arrived");
    ensure!(
        received_hash == sent_hash,
        "{len} bytes arrived, but not the ones sent"
    );
    Ok(received_hash)
}
