//! The only module that names bincode: control messages to bytes and back.
//!
//! A control stream is a sequence of records `[length: u32][kind: u16][body]`, integers big-endian,
//! `length` counting kind and body. The kind stands outside bincode so that a record of an unknown
//! kind can be skipped. Traps of bincode that are closed here: the length is bounded before
//! decoding, decoding runs under a byte limit, and trailing bytes are an error.

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use bincode::{Decode, Encode};

/// Most bytes of kind and body in one record. The largest honest one is a page of the peer list
/// (64 entries of some 160 bytes); four times that leaves room, and bounds what a stranger can make
/// us hold.
pub const MAX_RECORD: usize = 64 * 1024;

const LENGTH_BYTES: usize = 4;
const KIND_BYTES: usize = 2;

fn config() -> Configuration<BigEndian, Fixint, Limit<MAX_RECORD>> {
    bincode::config::standard()
        .with_big_endian()
        .with_fixed_int_encoding()
        .with_limit::<MAX_RECORD>()
}

/// A type with a number per kind of message, the body being what bincode makes of it.
pub trait Record: Sized {
    /// The kind and the encoded body.
    fn to_parts(&self) -> (u16, Vec<u8>);

    /// Decodes a body; `Ok(None)` where the kind is not known.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the body is not exactly one message of that kind.
    fn from_parts(kind: u16, body: &[u8]) -> Result<Option<Self>, DecodeError>;
}

/// Why bytes are not a control message. The sender is at fault; the control session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record announces more than [`MAX_RECORD`] bytes, or less than a kind takes.
    #[error("a control record of {length} bytes is outside 2..={MAX_RECORD}")]
    Length {
        /// The announced length.
        length: usize,
    },
    /// The body is truncated, has trailing bytes, or values that its kind does not allow.
    #[error("the body of a control record of kind {kind} is malformed")]
    Body {
        /// The record's kind.
        kind: u16,
    },
}

/// Encodes a body. Encoding our own types into memory has no way to fail.
pub(crate) fn encode_body<T: Encode>(body: &T) -> Vec<u8> {
    bincode::encode_to_vec(body, config().with_no_limit()).expect("plain data encodes into a Vec")
}

/// Decodes a whole body.
pub(crate) fn decode_body<T: Decode<()>>(kind: u16, bytes: &[u8]) -> Result<T, DecodeError> {
    match bincode::decode_from_slice(bytes, config()) {
        Ok((body, consumed)) if consumed == bytes.len() => Ok(body),
        Ok(_) | Err(_) => Err(DecodeError::Body { kind }),
    }
}

/// Encodes one record.
pub fn encode<R: Record>(record: &R) -> Vec<u8> {
    let (kind, body) = record.to_parts();
    let length = KIND_BYTES + body.len();
    debug_assert!(
        length <= MAX_RECORD,
        "kind {kind} grew past the record bound"
    );
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + length);
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Cuts a byte stream into records. Holds at most one incomplete record.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the next record begins. What is before it goes with the next `extend`: moving the rest
    /// for every record would let a stream of the smallest ones cost the square of its length.
    start: usize,
    /// Records skipped because their kind is not known.
    pub unknown: u64,
}

impl Reader {
    /// Appends bytes as they arrive. Drain [`poll`](Self::poll) after every call: what is held is
    /// then bounded by [`MAX_RECORD`] plus one `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole record of a known kind, or `None` until more bytes arrive.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; the stream cannot be followed any further.
    pub fn poll<R: Record>(&mut self) -> Result<Option<R>, DecodeError> {
        while let Some((header, rest)) = self.buffer[self.start..].split_first_chunk() {
            let length = u32::from_be_bytes(*header) as usize;
            if !(KIND_BYTES..=MAX_RECORD).contains(&length) {
                return Err(DecodeError::Length { length });
            }
            let Some((kind, body)) = rest.get(..length).and_then(<[u8]>::split_first_chunk) else {
                return Ok(None);
            };
            self.start += LENGTH_BYTES + length;
            match R::from_parts(u16::from_be_bytes(*kind), body)? {
                Some(record) => return Ok(Some(record)),
                None => self.unknown += 1,
            }
        }
        Ok(None)
    }
}

/// Implements [`Record`] for an enum of one-field variants, a number each.
macro_rules! records {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident($body:ty) = $kind:literal,)+ }) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$vmeta])* $variant($body),)+ }

        impl $crate::wire::Record for $name {
            fn to_parts(&self) -> (u16, Vec<u8>) {
                match self { $(Self::$variant(body) => ($kind, $crate::wire::encode_body(body)),)+ }
            }

            fn from_parts(kind: u16, body: &[u8]) -> Result<Option<Self>, $crate::wire::DecodeError> {
                match kind {
                    $($kind => $crate::wire::decode_body(kind, body).map(|body| Some(Self::$variant(body))),)+
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$body> for $name {
            fn from(body: $body) -> Self {
                Self::$variant(body)
            }
        })+
    };
}
pub(crate) use records;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{List, SignOut, ToServer};

    #[test]
    fn what_is_held_is_no_more_than_an_unfinished_record() {
        let mut reader = Reader::default();
        let chunk: Vec<u8> = (0..1000).flat_map(|_| [0, 0, 0, 2, 0x7f, 0xff]).collect();
        for n in 1..=100 {
            // Each chunk is cut within a record.
            reader.extend(&chunk[..chunk.len() - 3]);
            assert_eq!(reader.poll::<ToServer>(), Ok(None));
            reader.extend(&chunk[chunk.len() - 3..]);
            assert_eq!(reader.poll::<ToServer>(), Ok(None));
            assert_eq!(reader.unknown, n * 1000);
            assert!(reader.buffer.len() <= chunk.len());
        }
    }

    #[test]
    fn records_that_arrive_together_come_out_in_order() {
        let list = ToServer::List(List { id: 1, after: None });
        let out = ToServer::SignOut(SignOut {});
        let mut reader = Reader::default();
        reader.extend(&[encode(&list), encode(&out)].concat());
        assert_eq!(reader.poll(), Ok(Some(list)));
        assert_eq!(reader.poll(), Ok(Some(out)));
        assert_eq!(reader.poll::<ToServer>(), Ok(None));
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_its_bytes_arrive() {
        for length in [0, 1, MAX_RECORD + 1, u32::MAX as usize] {
            let mut reader = Reader::default();
            reader.extend(&(length as u32).to_be_bytes());
            let refused = Err(DecodeError::Length { length });
            assert_eq!(reader.poll::<ToServer>(), refused);
        }
    }
}
