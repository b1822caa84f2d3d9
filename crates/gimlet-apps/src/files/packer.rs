//! Takes the bulk apart into parcels for the writing thread, as the bytes come.
//!
//! Bytes are read straight to where they are needed: a larger chunk to the begin of a buffer of its own,
//! so that it can be hashed and written as it lies there; smaller ones one behind the other, with their
//! records, so that they change threads together.

use std::time::Instant;

use super::buffer::Buffer;
use super::hash::CHUNK;
use super::record::{Chunk, HEADER, Malformed, Record};

/// Bytes of chunks that go together; larger ones go alone. Large enough that a thread is not woken for
/// a handful of bytes, small enough that a slow line fills one in seconds: what waits before it in the
/// same buffer is not written down yet.
const TOGETHER: u32 = 64 << 10;

/// What goes to the writing thread at once.
#[derive(Debug)]
pub(super) struct Parcel {
    /// When the first of it came.
    pub(super) began_at: Instant,
    /// Of one chunk, these are the bytes; else there are whole records, with theirs.
    pub(super) chunk: Option<Chunk>,
    pub(super) buffer: Buffer,
}

/// Between two bytes. A buffer must be given whenever one is wanted, before anything is read.
#[derive(Debug)]
pub(super) struct Packer {
    header: [u8; HEADER],
    state: State,
    buffer: Option<Buffer>,
    began_at: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// So many bytes of a header are there.
    Header(usize),
    /// So many bytes of a chunk are to come.
    Data {
        left: usize,
        /// The chunk, where it goes alone.
        alone: Option<Chunk>,
    },
}

impl Packer {
    pub(super) fn new() -> Self {
        Self {
            header: [0; HEADER],
            state: State::Header(0),
            buffer: None,
            began_at: None,
        }
    }

    /// Whether the last buffer has gone.
    pub(super) fn wants_buffer(&self) -> bool {
        self.buffer.is_none()
    }

    pub(super) fn give(&mut self, mut buffer: Buffer) {
        buffer.clear();
        self.buffer = Some(buffer);
    }

    /// Where the next bytes belong. Empty only where a buffer is wanted.
    pub(super) fn room(&mut self) -> &mut [u8] {
        match (&self.state, &mut self.buffer) {
            (_, None) => &mut [],
            (State::Header(known), Some(_)) => &mut self.header[*known..],
            (State::Data { left, .. }, Some(buffer)) => &mut buffer.room()[..*left],
        }
    }

    /// So many bytes of that room have come, at least one; perhaps a parcel is complete.
    pub(super) fn came(&mut self, bytes: usize, now: Instant) -> Result<Option<Parcel>, Malformed> {
        let Some(buffer) = &mut self.buffer else {
            return Ok(None);
        };
        match &mut self.state {
            State::Header(known) => {
                *known += bytes;
                match *known == HEADER {
                    true => self.record(now),
                    false => Ok(None),
                }
            }
            State::Data { left, alone } => {
                buffer.advance(bytes);
                *left -= bytes;
                if *left > 0 {
                    return Ok(None);
                }
                let alone = alone.take();
                self.state = State::Header(0);
                Ok(match alone {
                    Some(chunk) => self.parcel(Some(chunk)),
                    None => self.parcel_if_full(),
                })
            }
        }
    }

    /// Nothing more is there now: what is complete need not wait.
    pub(super) fn idle(&mut self) -> Option<Parcel> {
        match self.state {
            State::Header(_) => self.parcel(None),
            State::Data { .. } => None,
        }
    }

    /// A header is complete.
    fn record(&mut self, now: Instant) -> Result<Option<Parcel>, Malformed> {
        let chunk = match Record::decode(&self.header)? {
            Record::Chunk(chunk) if chunk.len > CHUNK => return Err(Malformed),
            Record::Chunk(chunk) => Some(chunk),
            Record::End { .. } | Record::Failed { .. } => None,
        };
        let left = chunk.map_or(0, |chunk| chunk.len as usize);
        let alone = chunk.filter(|chunk| chunk.len > TOGETHER);
        // What was collected before goes first.
        let before = alone.and_then(|_| self.parcel(None));
        self.began_at.get_or_insert(now);
        if let (None, Some(buffer)) = (alone, &mut self.buffer) {
            buffer.push(&self.header);
        }
        self.state = match left {
            0 => State::Header(0),
            left => State::Data { left, alone },
        };
        Ok(match left {
            0 => self.parcel_if_full(),
            _ => before,
        })
    }

    /// A parcel where the next record might find no room.
    fn parcel_if_full(&mut self) -> Option<Parcel> {
        let room = self.buffer.as_mut().map_or(0, |buffer| buffer.room().len());
        match room < HEADER + TOGETHER as usize {
            true => self.parcel(None),
            false => None,
        }
    }

    fn parcel(&mut self, chunk: Option<Chunk>) -> Option<Parcel> {
        let buffer = self.buffer.take_if(|buffer| !buffer.is_empty())?;
        Some(Parcel {
            began_at: self.began_at.take()?,
            chunk,
            buffer,
        })
    }
}

#[cfg(test)]
mod tests;
