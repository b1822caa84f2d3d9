//! Records and chunks as they go over the line, shared with QUIC until they are acknowledged.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::files::buffer::ALIGN;
use crate::files::hash::{CHUNK, Digest};
use crate::files::record::{Chunk, HEADER, Record};

/// Bytes of a block: a batch is closed at a chunk, so a file of a chunk still fits.
const LEN: usize = 2 * CHUNK as usize + HEADER;

/// Blocks in use: what a session may have under way unacknowledged (32 MiB), one that is filled and one
/// that waits. Fewer would be what bounds the rate on a long line; memory is touched only as they are
/// filled, and no more of them are made than are needed.
const BLOCKS: usize = 34;

/// Records, to be sent as they are.
///
/// The first chunk lies at the begin of a page, as it does in the page cache: that is the cheapest to copy.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    begin: usize,
    filled: usize,
    back: mpsc::UnboundedSender<Vec<u8>>,
}

/// Blocks that are in use, or have been.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Where the memory of blocks comes back: as many pieces as there are blocks at most.
    back: mpsc::UnboundedSender<Vec<u8>>,
    spare: mpsc::UnboundedReceiver<Vec<u8>>,
    made: usize,
}

/// Kept as long as blocks are sent: nobody waits for one after that.
#[derive(Debug)]
pub(in crate::files) struct Lifeline(mpsc::UnboundedSender<Vec<u8>>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        // No block is empty, so this is told from one. Where nobody fills blocks, nobody need know.
        let _ = self.0.send(Vec::new());
    }
}

impl Blocks {
    pub(super) fn new() -> Self {
        let (back, spare) = mpsc::unbounded_channel();
        let made = 0;
        Self { back, spare, made }
    }

    pub(super) fn lifeline(&self) -> Lifeline {
        Lifeline(self.back.clone())
    }

    /// An empty one; waits for the receiver where all are under way. `None` when no more are sent.
    pub(super) fn take(&mut self) -> Option<Block> {
        let bytes = match self.spare.try_recv() {
            Ok(bytes) => bytes,
            Err(_) if self.made < BLOCKS => {
                self.made += 1;
                vec![0; LEN + ALIGN]
            }
            Err(_) => self.spare.blocking_recv()?,
        };
        (!bytes.is_empty()).then(|| Block {
            // Of bytes that is always possible; if not, nothing is aligned, which is no harm.
            begin: bytes[HEADER..].as_ptr().align_offset(ALIGN) % ALIGN,
            bytes,
            filled: 0,
            back: self.back.clone(),
        })
    }
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    pub(super) fn record(&mut self, record: Record) {
        let from = self.begin + self.filled;
        self.bytes[from..from + HEADER].copy_from_slice(&record.encode());
        self.filled += HEADER;
    }

    /// Room for `len` bytes behind a header that is to come.
    pub(super) fn room(&mut self, len: u32) -> &mut [u8] {
        let from = self.begin + self.filled + HEADER;
        &mut self.bytes[from..from + len as usize]
    }

    /// Puts the header before what is in that room.
    pub(super) fn chunk(&mut self, entry: u32, chunk: u32, len: u32, digest: Digest) {
        self.record(Record::Chunk(Chunk {
            entry,
            chunk,
            len,
            digest,
        }));
        self.filled += len as usize;
    }

    /// What is in it, not copied; the block is used again when the last of these bytes is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.begin..][..self.filled]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // Nobody fills blocks any more.
        let _ = self.back.send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_all_of_its_bytes_are_dropped() {
        let mut blocks = Blocks::new();
        let mut block = blocks.take().unwrap();
        assert_eq!(block.room(3).as_ptr().align_offset(ALIGN), 0);
        block.room(3).copy_from_slice(b"abc");
        block.chunk(1, 2, 3, [4; 32]);
        let mut bytes = block.into_bytes();
        let front = bytes.split_to(HEADER);
        assert_eq!(bytes, b"abc"[..]);
        drop(bytes);
        assert!(blocks.spare.is_empty());
        drop(front);
        assert_eq!(blocks.spare.len(), 1);
        assert_eq!(blocks.take().unwrap().len(), 0);
        assert_eq!(blocks.made, 1);
    }

    #[test]
    fn no_more_blocks_are_made_than_a_session_may_have_under_way() {
        let mut blocks = Blocks::new();
        let held: Vec<Block> = (0..BLOCKS).map_while(|_| blocks.take()).collect();
        assert_eq!((held.len(), blocks.made), (BLOCKS, BLOCKS));
        drop(held);
        blocks.take().unwrap();
        assert_eq!(blocks.made, BLOCKS);
    }

    #[test]
    fn nobody_waits_for_a_block_once_none_is_sent_any_more() {
        let mut blocks = Blocks::new();
        let lifeline = blocks.lifeline();
        let held: Vec<Block> = (0..BLOCKS).map_while(|_| blocks.take()).collect();
        drop(lifeline);
        assert!(blocks.take().is_none());
        drop(held);
    }
}
