//! BLAKE3 of a file, in chunks that can be verified each by itself.
//!
//! A chunk is an aligned subtree of BLAKE3's tree, so its chaining value proves it, and the values of
//! all chunks merge to the hash that `b3sum` prints. A file of one chunk has no chaining value: there
//! the hash of the file takes its place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use blake3::Hasher;
use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a chunk: what is lost of a file when a transfer is cut off, and what a journal's record
/// stands for. A power of two, as BLAKE3's tree asks for.
pub(super) const CHUNK: u32 = 1 << 20;

/// Bytes read at once: hashed while they are still in the processor's cache.
pub(super) const PART: usize = 128 << 10;

/// The chaining value of a chunk, or the hash of a file that is one chunk.
pub(super) type Digest = [u8; 32];

/// How many chunks a file has; an empty one has one that is empty.
pub(super) fn chunks(size: u64) -> u32 {
    let chunks = size.div_ceil(u64::from(CHUNK)).max(1);
    u32::try_from(chunks).expect("the manifest takes no larger files")
}

/// Bytes of that chunk.
pub(super) fn chunk_len(size: u64, chunk: u32) -> u32 {
    let from = offset(chunk);
    let len = size.saturating_sub(from).min(u64::from(CHUNK));
    u32::try_from(len).expect("a chunk is small")
}

/// Where that chunk begins.
pub(super) fn offset(chunk: u32) -> u64 {
    u64::from(chunk) * u64::from(CHUNK)
}

/// Hashes one chunk as its bytes come.
#[derive(Debug)]
pub(super) struct ChunkHasher {
    hasher: Hasher,
    whole: bool,
}

impl ChunkHasher {
    /// Of a file of `size` bytes.
    pub(super) fn new(size: u64, chunk: u32) -> Self {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset(chunk));
        let whole = size <= u64::from(CHUNK);
        Self { hasher, whole }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Once all bytes of the chunk have come.
    pub(super) fn finish(&self) -> Digest {
        match self.whole {
            true => *self.hasher.finalize().as_bytes(),
            false => self.hasher.finalize_non_root(),
        }
    }
}

/// The digest of a chunk that is in memory.
pub(super) fn digest(size: u64, chunk: u32, bytes: &[u8]) -> Digest {
    let mut hasher = ChunkHasher::new(size, chunk);
    hasher.update(bytes);
    hasher.finish()
}

/// The digest of a chunk of a file of `size` bytes.
pub(super) fn digest_on_disk(file: &File, size: u64, chunk: u32) -> io::Result<Digest> {
    let mut hasher = ChunkHasher::new(size, chunk);
    let mut left = chunk_len(size, chunk) as usize;
    let mut at = offset(chunk);
    let mut part = vec![0; PART.min(left)];
    while left > 0 {
        let part = &mut part[..PART.min(left)];
        file.read_exact_at(part, at)?;
        hasher.update(part);
        at += part.len() as u64;
        left -= part.len();
    }
    Ok(hasher.finish())
}

/// The hash of a file from the digests of all its chunks, of which there is at least one.
pub(super) fn merge(digests: &[Digest]) -> Digest {
    match digests {
        [] => *blake3::hash(b"").as_bytes(),
        [whole] => *whole,
        digests => {
            let (left, right) = digests.split_at(left_len(digests.len()));
            *merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes()
        }
    }
}

fn subtree(digests: &[Digest]) -> Digest {
    match digests {
        [one] => *one,
        digests => {
            let (left, right) = digests.split_at(left_len(digests.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The largest power of two below `chunks`, which is two or more.
fn left_len(chunks: usize) -> usize {
    chunks.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_chunks(bytes: &[u8]) -> Digest {
        let size = bytes.len() as u64;
        let digests: Vec<Digest> = (0..chunks(size))
            .map(|chunk| {
                let from = offset(chunk) as usize;
                let part = &bytes[from..from + chunk_len(size, chunk) as usize];
                digest(size, chunk, part)
            })
            .collect();
        merge(&digests)
    }

    #[test]
    fn the_hash_is_the_one_that_b3sum_prints() {
        let chunk = CHUNK as usize;
        let bytes: Vec<u8> = (0..7 * chunk + 5).map(|n| ((n * 31) >> 7) as u8).collect();
        for size in [
            0,
            1,
            1024,
            chunk - 1,
            chunk,
            chunk + 1,
            2 * chunk,
            3 * chunk + 1,
            4 * chunk,
            7 * chunk + 5,
        ] {
            let bytes = &bytes[..size];
            assert_eq!(in_chunks(bytes), *blake3::hash(bytes).as_bytes(), "{size}");
        }
    }

    #[test]
    fn a_chunk_is_hashed_the_same_in_pieces() {
        let bytes: Vec<u8> = (0..CHUNK).map(|n| (n >> 3) as u8).collect();
        let mut hasher = ChunkHasher::new(u64::from(CHUNK) * 3, 1);
        for piece in bytes.chunks(7001) {
            hasher.update(piece);
        }
        assert_eq!(hasher.finish(), digest(u64::from(CHUNK) * 3, 1, &bytes));
    }

    #[test]
    fn an_empty_file_has_one_empty_chunk() {
        assert_eq!((chunks(0), chunk_len(0, 0)), (1, 0));
        let size = 2 * u64::from(CHUNK) + 3;
        assert_eq!(
            (chunks(size), chunk_len(size, 1), chunk_len(size, 2)),
            (3, CHUNK, 3)
        );
    }
}
