//! What has come of a stream: whole records are opened where they lie.
//!
//! # Invariants
//!
//! - A stream on which little comes holds [`SMALL`] bytes.
//! - Only the content of a record that was opened is seen.

use std::ops::Range;

use gimlet_proto::tunnel::BEFORE;

use super::RecordError;
use super::key::{self, Kind};
use super::keys::Keys;

/// Bytes read at once where little comes.
const SMALL: usize = 4 * 1024;

/// Bytes read at once where much does: four full records. More would not stay in the processor's cache.
const LARGE: usize = 66 * 1024;

/// So many reads in a row that would have found room in [`SMALL`] show that much comes no more. One alone
/// is what every message ends with.
const CALM: u8 = 16;

/// So many new keys without data between them are not taken: rustls' own bound, and far more than anybody needs.
const MAX_UPDATES: u8 = 32;

/// What a record meant besides its content.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    /// Another key for sending is asked for.
    pub(super) asks_for_update: bool,
    /// Nothing more comes.
    pub(super) closes: bool,
}

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    memory: Vec<u8>,
    /// Of the memory so much has come.
    len: usize,
    /// Where the next record begins.
    at: usize,
    /// Of the record before, what has not been taken.
    content: Range<usize>,
    /// The last read filled all the room there was.
    filled: bool,
    /// Reads in a row that brought little.
    calm: u8,
    /// Updates in a row.
    updates: u8,
}

impl Incoming {
    /// With these bytes, and this content in front of them, which came with the handshake.
    pub(super) fn new(content: &[u8], bytes: &[u8]) -> Self {
        let memory = [content, bytes].concat();
        Self {
            len: memory.len(),
            at: content.len(),
            content: 0..content.len(),
            memory,
            ..Self::default()
        }
    }

    /// Content that was not taken yet.
    pub(super) fn content(&self) -> &[u8] {
        &self.memory[self.content.clone()]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.content.start = (self.content.start + count).min(self.content.end);
    }

    /// Opens the next record; `None` where it is not whole. What was content is gone.
    pub(super) fn open(&mut self, keys: &mut Keys) -> Result<Option<Opened>, RecordError> {
        let waiting = &mut self.memory[self.at..self.len];
        let Some((header, rest)) = waiting.split_first_chunk_mut::<BEFORE>() else {
            return Ok(None);
        };
        let length = key::length(header)?;
        let Some(payload) = rest.get_mut(..length) else {
            return Ok(None);
        };
        let (kind, content) = keys.receiving.open(header, payload)?;
        let start = self.at + BEFORE;
        self.at = start + length;
        match kind {
            Kind::Data => {
                self.content = start..start + content;
                if content > 0 {
                    self.updates = 0;
                }
                Ok(Some(Opened::default()))
            }
            Kind::Handshake => self.hear(start..start + content, keys).map(Some),
            Kind::Alert => match self.memory[start..start + content] {
                // close_notify and user_canceled; a level means nothing any more (RFC 8446 section 6).
                [_, 0] => Ok(Some(Opened {
                    closes: true,
                    ..Opened::default()
                })),
                [_, 90] => Ok(Some(Opened::default())),
                [_, code] => Err(RecordError::Alert(code)),
                _ => Err(RecordError::Malformed),
            },
        }
    }

    /// Messages of the handshake that come after it (RFC 8446 section 4.6). Whole ones only: rustls and others put each into a
    /// record, and no key may change within one.
    fn hear(&mut self, message: Range<usize>, keys: &mut Keys) -> Result<Opened, RecordError> {
        const TICKET: u8 = 4;
        const KEY_UPDATE: u8 = 24;
        let mut rest = &self.memory[message];
        if let [KEY_UPDATE, 0, 0, 1, asks @ (0 | 1)] = *rest {
            self.updates += 1;
            if self.updates > MAX_UPDATES {
                return Err(RecordError::Unexpected);
            }
            keys.update_receiving()?;
            let asks_for_update = asks == 1;
            return Ok(Opened {
                asks_for_update,
                ..Opened::default()
            });
        }
        if rest.is_empty() || !keys.is_client() {
            return Err(RecordError::Unexpected);
        }
        // Tickets are for connections that are resumed; ours are not.
        while let [kind, lengths @ ..] = rest {
            if *kind != TICKET {
                return Err(RecordError::Unexpected);
            }
            let [a, b, c, after @ ..] = lengths else {
                return Err(RecordError::Malformed);
            };
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = after.get(length..).ok_or(RecordError::Malformed)?;
        }
        Ok(Opened::default())
    }

    /// Where to read to: what comes next is wanted, and there is always room for it.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.content = 0..0;
        self.memory.copy_within(self.at..self.len, 0);
        (self.len, self.at) = (self.len - self.at, 0);
        let next = self.memory[..self.len].first_chunk::<BEFORE>();
        // Too long a record was refused before it was waited for.
        let next = BEFORE + next.map_or(0, |header| key::length(header).unwrap_or(0));
        let wanted = match (self.filled, self.calm >= CALM) {
            (true, _) => LARGE,
            (false, true) => SMALL,
            (false, false) => self.memory.len().max(SMALL),
        };
        let wanted = wanted.max(next).max(self.len + 1);
        if wanted > self.memory.len() {
            self.memory.resize(wanted, 0);
        } else if wanted < self.memory.len() {
            self.memory.truncate(wanted);
            self.memory.shrink_to_fit();
        }
        &mut self.memory[self.len..]
    }

    /// So many bytes were read into the room.
    pub(super) fn came(&mut self, count: usize) {
        self.len += count;
        self.filled = self.len == self.memory.len();
        self.calm = match count < SMALL && !self.filled {
            true => self.calm.saturating_add(1),
            false => 0,
        };
    }
}
