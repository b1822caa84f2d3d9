//! Room for a chunk, on its way from the session to the disk.

use super::hash::CHUNK;

/// Where a write past the page cache may begin in memory, and of what its length is a multiple: a
/// page, which is no less than any disk's sector.
pub(super) const ALIGN: usize = 4096;

/// A chunk's worth of bytes, the first of them aligned.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Longer than a chunk, so that some byte of the first page is aligned.
    bytes: Vec<u8>,
    first: usize,
    filled: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        let bytes = vec![0; CHUNK as usize + ALIGN];
        Self {
            // Of bytes that is always possible; if not, nothing is aligned, which is no harm.
            first: bytes.as_ptr().align_offset(ALIGN) % ALIGN,
            bytes,
            filled: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.first..][..self.filled]
    }

    /// What is not filled yet, up to a chunk.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.first..][self.filled..CHUNK as usize]
    }

    /// So much of the room has been filled.
    pub(super) fn advance(&mut self, by: usize) {
        self.filled += by;
    }

    /// Puts `bytes` behind what is there; there must be room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_a_chunk_that_begins_aligned() {
        let mut buffer = Buffer::new();
        assert_eq!(buffer.room().len(), CHUNK as usize);
        buffer.push(b"abc");
        assert_eq!(buffer.filled(), b"abc");
        assert_eq!(buffer.filled().as_ptr().align_offset(ALIGN), 0);
        assert_eq!(buffer.room().len(), CHUNK as usize - 3);
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
