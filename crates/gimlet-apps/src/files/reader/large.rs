//! A file of several chunks that is being read.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use super::block::Block;
use super::source::{Source, broken};
use crate::files::hash::{self, ChunkHasher, Digest, PART};
use crate::files::record::Failure;

pub(super) struct Large {
    pub(super) entry: u32,
    source: Source,
    /// What is to be sent of it.
    wanted: Chunks,
    /// What is there already, and only hashed.
    rest: Chunks,
    digests: BTreeMap<u32, Digest>,
    pub(super) began_at: Instant,
}

impl Large {
    /// Of a file of which these ranges are wanted: first chunk and count, ascending.
    pub(super) fn new(
        entry: u32,
        source: Source,
        ranges: Vec<(u32, u32)>,
        began_at: Instant,
    ) -> Self {
        let (wanted, rest) = Chunks::split(&ranges, hash::chunks(source.size));
        Self {
            entry,
            source,
            wanted,
            rest,
            digests: BTreeMap::new(),
            began_at,
        }
    }

    /// Whether every chunk has been read.
    pub(super) fn is_read(&self) -> bool {
        self.wanted.is_empty() && self.rest.is_empty()
    }

    pub(super) fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether there is something to be done while nothing can be sent.
    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Reads, hashes and packs the next chunk that is wanted.
    pub(super) fn read_chunk(&mut self, block: &mut Block) -> Result<(), Failure> {
        let Some(chunk) = self.wanted.next() else {
            return Ok(());
        };
        let len = hash::chunk_len(self.source.size, chunk);
        let mut hasher = ChunkHasher::new(self.source.size, chunk);
        let mut at = hash::offset(chunk);
        for part in block.room(len).chunks_mut(PART) {
            self.source.file.read_exact_at(part, at).map_err(broken)?;
            hasher.update(part);
            at += part.len() as u64;
        }
        let digest = hasher.finish();
        self.digests.insert(chunk, digest);
        block.chunk(self.entry, chunk, len, digest);
        Ok(())
    }

    /// Hashes the next chunk of the rest.
    pub(super) fn hash_chunk(&mut self) -> Result<(), Failure> {
        let Some(chunk) = self.rest.next() else {
            return Ok(());
        };
        let digest = hash::digest_on_disk(&self.source.file, self.source.size, chunk);
        self.digests.insert(chunk, digest.map_err(broken)?);
        Ok(())
    }

    /// The hash of the file, when all of it is read.
    pub(super) fn finish(&self) -> Result<Digest, Failure> {
        let digests: Vec<Digest> = self.digests.values().copied().collect();
        match self.source.is_unchanged() {
            true => Ok(hash::merge(&digests)),
            false => Err(Failure::Changed),
        }
    }
}

/// Chunks of a file, ascending: ranges of a first one and how many.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chunks(VecDeque<(u32, u32)>);

impl Chunks {
    /// Those in `ranges`, which are ascending, and those between, of so many in all.
    fn split(ranges: &[(u32, u32)], chunks: u32) -> (Self, Self) {
        let (mut inside, mut between) = (Self::default(), Self::default());
        let mut next = 0;
        for &(first, count) in ranges {
            let (first, end) = (first.min(chunks), first.saturating_add(count).min(chunks));
            between.push(next, first);
            inside.push(first, end);
            next = end;
        }
        between.push(next, chunks);
        (inside, between)
    }

    /// Those from one to before another.
    fn push(&mut self, first: u32, end: u32) {
        if first < end {
            self.0.push_back((first, end - first));
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> Option<u32> {
        let (first, count) = self.0.front_mut()?;
        let chunk = *first;
        match *count {
            1 => {
                self.0.pop_front();
            }
            _ => (*first, *count) = (chunk + 1, *count - 1),
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut chunks: Chunks) -> Vec<u32> {
        std::iter::from_fn(|| chunks.next()).collect()
    }

    #[test]
    fn every_chunk_is_either_wanted_or_of_the_rest() {
        for (ranges, wanted, rest) in [
            (vec![(0, u32::MAX)], vec![0, 1, 2, 3, 4], vec![]),
            (vec![], vec![], vec![0, 1, 2, 3, 4]),
            (vec![(1, 2), (4, 1)], vec![1, 2, 4], vec![0, 3]),
            (vec![(0, 1), (1, 1)], vec![0, 1], vec![2, 3, 4]),
            (vec![(3, 9)], vec![3, 4], vec![0, 1, 2]),
            (vec![(9, 1)], vec![], vec![0, 1, 2, 3, 4]),
        ] {
            let (inside, between) = Chunks::split(&ranges, 5);
            assert_eq!((all(inside), all(between)), (wanted, rest), "{ranges:?}");
        }
    }
}
