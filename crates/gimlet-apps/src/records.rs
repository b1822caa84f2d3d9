//! Records on a stream: kind (one byte), length (four bytes, big-endian), body. Each is bounded before it
//! is read.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use gimlet::RecvStream;

/// Kind and length.
pub(crate) const HEADER: usize = 5;

/// Bytes asked of the stream at a time.
const CHUNK: usize = 64 * 1024;

/// Why there is no further record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The connection or the stream is gone.
    #[error(transparent)]
    Lost(#[from] io::Error),
    /// A record is too long, or cut off.
    #[error("the peer does not keep to the protocol")]
    Malformed,
}

/// Reads records whose bodies have at most so many bytes.
#[derive(Debug)]
pub(crate) struct Records {
    recv: RecvStream,
    read: BytesMut,
    max_body: usize,
}

impl Records {
    pub(crate) fn new(recv: RecvStream, max_body: usize) -> Self {
        Self {
            recv,
            read: BytesMut::new(),
            max_body,
        }
    }

    /// The next one: its kind and body; `None` at the end of the stream. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<(u8, Bytes)>, ReadError> {
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
    pub(crate) fn take(&mut self) -> Result<Option<(u8, Bytes)>, ReadError> {
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

/// A record of that kind with the body that `fill` makes.
pub(crate) fn record(kind: u8, fill: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER + 32);
    bytes.put_u8(kind);
    bytes.put_u32(0);
    fill(&mut bytes);
    let length = (bytes.len() - HEADER) as u32;
    bytes[1..HEADER].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not keep to the protocol")]
pub(crate) struct Violation;

/// The next number of a body.
pub(crate) fn u64_of(body: &mut Bytes) -> Result<u64, Violation> {
    body.try_get_u64().map_err(|_| Violation)
}

/// A value, if nothing stands behind it.
pub(crate) fn whole<T>(value: T, rest: Bytes) -> Result<T, Violation> {
    rest.is_empty().then_some(value).ok_or(Violation)
}
