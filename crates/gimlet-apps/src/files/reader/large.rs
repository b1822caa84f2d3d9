//! A file of several chunks that is being read.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use super::block::Block;
use super::source::{Source, broken};
use crate::files::hash::{self, ChunkHasher, Digest};
use crate::files::record::Failure;

/// Bytes read at once: hashed while they are still in the processor's cache.
const PART: usize = 128 << 10;

pub(super) struct Large {
    pub(super) entry: u32,
    source: Source,
    next: u32,
    /// What of it is to be sent; the rest is only hashed.
    ranges: VecDeque<(u32, u32)>,
    digests: Vec<Digest>,
    pub(super) began_at: Instant,
}

impl Large {
    pub(super) fn new(
        entry: u32,
        source: Source,
        ranges: Vec<(u32, u32)>,
        began_at: Instant,
    ) -> Self {
        Self {
            entry,
            source,
            next: 0,
            ranges: ranges.into(),
            digests: Vec::new(),
            began_at,
        }
    }

    /// Whether every chunk has been read.
    pub(super) fn is_read(&self) -> bool {
        self.next == hash::chunks(self.source.size)
    }

    /// Reads and hashes the next chunk, and packs it where it is wanted.
    pub(super) fn read_chunk(&mut self, block: &mut Block) -> Result<(), Failure> {
        let chunk = self.next;
        let len = hash::chunk_len(self.source.size, chunk);
        let room = block.room(len);
        let mut hasher = ChunkHasher::new(self.source.size, chunk);
        let mut at = hash::offset(chunk);
        for part in room.chunks_mut(PART) {
            self.source.file.read_exact_at(part, at).map_err(broken)?;
            hasher.update(part);
            at += part.len() as u64;
        }
        let digest = hasher.finish();
        self.digests.push(digest);
        self.next += 1;
        while self
            .ranges
            .front()
            .is_some_and(|(from, count)| from.saturating_add(*count) <= chunk)
        {
            self.ranges.pop_front();
        }
        if self.ranges.front().is_some_and(|(from, _)| *from <= chunk) {
            block.chunk(self.entry, chunk, len, digest);
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<Digest, Failure> {
        match self.source.is_unchanged() {
            true => Ok(hash::merge(&self.digests)),
            false => Err(Failure::Changed),
        }
    }
}
