//! Records from a stream, one after the other, each bounded before it is read.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use gimlet::RecvStream;

use super::wire::HEADER;

/// Bytes asked of the stream at a time.
const CHUNK: usize = 64 * 1024;

/// Why there is no further record.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The connection or the stream is gone.
    #[error(transparent)]
    Lost(#[from] io::Error),
    /// A record is too long, or cut off.
    #[error("the peer does not keep to the protocol")]
    Malformed,
}

/// Reads records whose bodies have at most so many bytes.
pub(super) struct Records {
    recv: RecvStream,
    read: BytesMut,
    max_body: usize,
}

impl Records {
    pub(super) fn new(recv: RecvStream, max_body: usize) -> Self {
        Self {
            recv,
            read: BytesMut::new(),
            max_body,
        }
    }

    /// The next one: its kind and body; `None` at the end of the stream. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<(u8, Bytes)>, ReadError> {
        loop {
            if let Some(record) = self.take()? {
                return Ok(Some(record));
            }
            let chunk = self.recv.read_chunk(CHUNK, true).await;
            match chunk.map_err(io::Error::from)? {
                Some(chunk) => self.read.extend_from_slice(&chunk.bytes),
                None if self.read.is_empty() => return Ok(None),
                None => return Err(ReadError::Malformed),
            }
        }
    }

    /// One that has arrived already.
    pub(super) fn take(&mut self) -> Result<Option<(u8, Bytes)>, ReadError> {
        let Some((&kind, length)) = self.read.get(..HEADER).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let length = length
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length > self.max_body {
            return Err(ReadError::Malformed);
        }
        if self.read.len() < HEADER + length {
            self.read.reserve(HEADER + length - self.read.len());
            return Ok(None);
        }
        self.read.advance(HEADER);
        Ok(Some((kind, self.read.split_to(length).freeze())))
    }
}
