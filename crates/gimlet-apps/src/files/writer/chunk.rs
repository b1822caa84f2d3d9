//! A chunk is here: it is verified, written and noted.

use std::time::Instant;

use super::{MAX_OPEN, Open, Writer};
use crate::files::error::ReceiveError;
use crate::files::hash;
use crate::files::install;
use crate::files::journal::{self, Note};
use crate::files::plan::State;
use crate::files::record::Chunk;
use crate::files::staged::Staged;

impl Writer {
    /// Takes a chunk and its bytes, the first of which came then.
    pub(super) fn chunk(
        &mut self,
        chunk: Chunk,
        data: &[u8],
        began_at: Instant,
    ) -> Result<(), ReceiveError> {
        let size = self.plan.manifest.size(chunk.entry);
        let size = size.ok_or(ReceiveError::Misbehaved)?;
        let is_in_it = chunk.chunk < hash::chunks(size);
        if !is_in_it || chunk.len != hash::chunk_len(size, chunk.chunk) {
            return Err(ReceiveError::Misbehaved);
        }
        match hash::chunks(size) {
            1 => self.whole(chunk, data, began_at),
            _ => self.part(chunk, data, size, began_at),
        }
    }

    /// A file of one chunk.
    fn whole(&mut self, chunk: Chunk, data: &[u8], began_at: Instant) -> Result<(), ReceiveError> {
        let (entry, digest) = (chunk.entry, chunk.digest);
        if !matches!(self.plan.states[entry as usize], State::Wanted) {
            return Err(ReceiveError::Misbehaved);
        }
        if *blake3::hash(data).as_bytes() != digest {
            return Err(ReceiveError::Corrupt);
        }
        install::small_file(&mut self.plan, entry, data)
            .map_err(|source| self.disk(entry, source))?;
        self.verified += u64::from(chunk.len);
        let (place, version) = journal::identify(&self.plan.manifest, entry);
        let note = Note::Chunk { chunk: 0, digest };
        self.plan.journal.note(place, version, note);
        self.plan.states[entry as usize] = State::Done(Box::new(digest));
        self.arrived(entry, digest, 0, began_at)
    }

    /// A chunk of several.
    fn part(
        &mut self,
        chunk: Chunk,
        data: &[u8],
        size: u64,
        began_at: Instant,
    ) -> Result<(), ReceiveError> {
        let Chunk {
            entry,
            chunk,
            len,
            digest,
        } = chunk;
        let at = self.open(entry, size, began_at)?;
        if chunk < self.open[at].next {
            return Err(ReceiveError::Misbehaved);
        }
        if hash::digest(size, chunk, data) != digest {
            return Err(ReceiveError::Corrupt);
        }
        let open = &mut self.open[at];
        open.next = chunk + 1;
        let written = (open.file).write(data, hash::offset(chunk), &mut self.writeback);
        written.map_err(|source| self.disk(entry, source))?;
        if self.open[at].digests.insert(chunk, digest).is_none() {
            self.verified += u64::from(len);
        }
        let (place, version) = journal::identify(&self.plan.manifest, entry);
        let note = Note::Chunk { chunk, digest };
        self.plan.journal.note(place, version, note);
        Ok(())
    }

    /// Where among the open files this one is, opened if need be.
    fn open(&mut self, entry: u32, size: u64, began_at: Instant) -> Result<usize, ReceiveError> {
        if let Some(at) = self.open.iter().position(|open| open.entry == entry) {
            return Ok(at);
        }
        let state = &mut self.plan.states[entry as usize];
        let kept = match state {
            State::Wanted => None,
            State::Kept(kept) if !kept.standing => Some(std::mem::take(&mut kept.digests)),
            State::Nothing | State::Kept(_) | State::Done(_) | State::Failed => {
                return Err(ReceiveError::Misbehaved);
            }
        };
        if self.open.len() == MAX_OPEN {
            return Err(ReceiveError::Misbehaved);
        }
        let is_new = kept.is_none();
        let file = install::stage_file(&mut self.plan, entry, is_new)
            .map_err(|source| self.disk(entry, source))?;
        let digests = kept.unwrap_or_default();
        let resumed = digests
            .keys()
            .map(|c| u64::from(hash::chunk_len(size, *c)))
            .sum();
        self.open.push(Open {
            entry,
            file: Staged::new(file, size),
            digests,
            next: 0,
            resumed,
            began_at,
        });
        Ok(self.open.len() - 1)
    }
}
