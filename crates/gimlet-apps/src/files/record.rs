//! The data: records of 45 bytes in a bulk, a chunk's followed by its bytes.
//!
//! Records of several files take turns, so that none waits for a large one.

use super::hash::Digest;

/// Bytes of a record's header.
pub(super) const HEADER: usize = 45;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    /// A chunk of a file, followed by its bytes.
    Chunk(Chunk),
    /// All chunks that were asked for have come; this is the hash of the file.
    End { entry: u32, hash: Digest },
    /// No more comes of this file.
    Failed { entry: u32, why: Failure },
}

/// Which chunk it is: `len` bytes that have this digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) entry: u32,
    pub(super) chunk: u32,
    pub(super) len: u32,
    pub(super) digest: Digest,
}

/// Why a file can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is not what it was when it was offered.
    Changed,
    /// It can't be read.
    Unreadable,
}

/// What is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a malformed record")]
pub(super) struct Malformed;

impl Record {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let (kind, entry, chunk, len, digest) = match self {
            Self::Chunk(Chunk {
                entry,
                chunk,
                len,
                digest,
            }) => (0, entry, chunk, len, digest),
            Self::End { entry, hash } => (1, entry, 0, 0, hash),
            Self::Failed { entry, why } => {
                let why = match why {
                    Failure::Changed => 0,
                    Failure::Unreadable => 1,
                };
                (2, entry, why, 0, [0; 32])
            }
        };
        let mut bytes = [0; HEADER];
        bytes[0] = kind;
        bytes[1..5].copy_from_slice(&u32::to_be_bytes(entry));
        bytes[5..9].copy_from_slice(&u32::to_be_bytes(chunk));
        bytes[9..13].copy_from_slice(&u32::to_be_bytes(len));
        bytes[13..].copy_from_slice(&digest);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER]) -> Result<Self, Malformed> {
        let number = |at: usize| {
            let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_be_bytes([a, b, c, d])
        };
        let (entry, chunk, len) = (number(1), number(5), number(9));
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[13..]);
        match (bytes[0], chunk, len) {
            (0, ..) => Ok(Self::Chunk(Chunk {
                entry,
                chunk,
                len,
                digest,
            })),
            (1, 0, 0) => Ok(Self::End {
                entry,
                hash: digest,
            }),
            (2, 0 | 1, 0) if digest == [0; 32] => Ok(Self::Failed {
                entry,
                why: match chunk {
                    0 => Failure::Changed,
                    _ => Failure::Unreadable,
                },
            }),
            _ => Err(Malformed),
        }
    }
}

/// The next record and the bytes that follow it, all of which are in `input`; `None` when all is taken.
pub(super) fn next<'a>(input: &mut &'a [u8]) -> Result<Option<(Record, &'a [u8])>, Malformed> {
    if input.is_empty() {
        return Ok(None);
    }
    let (header, rest) = input.split_first_chunk().ok_or(Malformed)?;
    let record = Record::decode(header)?;
    let len = match record {
        Record::Chunk(chunk) => chunk.len as usize,
        Record::End { .. } | Record::Failed { .. } => 0,
    };
    let (data, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
    *input = rest;
    Ok(Some((record, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: [Record; 4] = [
        Record::Chunk(Chunk {
            entry: 1,
            chunk: 2,
            len: 5,
            digest: [7; 32],
        }),
        Record::End {
            entry: 0x0102_0304,
            hash: [8; 32],
        },
        Record::Failed {
            entry: 3,
            why: Failure::Unreadable,
        },
        Record::Chunk(Chunk {
            entry: 4,
            chunk: 0,
            len: 0,
            digest: [9; 32],
        }),
    ];

    fn stream() -> Vec<u8> {
        let mut bytes = RECORDS[0].encode().to_vec();
        bytes.extend(b"hello");
        for record in &RECORDS[1..] {
            bytes.extend(record.encode());
        }
        bytes
    }

    #[test]
    fn a_record_has_these_bytes() {
        let mut expected = vec![0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5];
        expected.extend([7; 32]);
        assert_eq!(RECORDS[0].encode()[..], expected);
        let mut expected = vec![1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([8; 32]);
        assert_eq!(RECORDS[1].encode()[..], expected);
        let mut expected = vec![2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0];
        expected.extend([0; 32]);
        assert_eq!(RECORDS[2].encode()[..], expected);
    }

    #[test]
    fn records_are_read_with_what_follows_them() {
        let stream = stream();
        let mut rest = &stream[..];
        let mut read = Vec::new();
        while let Some((record, data)) = next(&mut rest).unwrap() {
            read.push((record, data));
        }
        let data: [&[u8]; 4] = [b"hello", b"", b"", b""];
        assert!(read.into_iter().eq(RECORDS.into_iter().zip(data)));
    }

    #[test]
    fn a_record_that_is_cut_off_is_refused() {
        let stream = stream();
        for len in [1, HEADER - 1, HEADER, HEADER + 4] {
            assert_eq!(next(&mut &stream[..len]), Err(Malformed), "{len}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        let base = RECORDS[2].encode();
        for (at, value) in [(0, 3), (8, 2), (12, 1), (44, 1)] {
            let mut bytes = base;
            bytes[at] = value;
            assert_eq!(next(&mut &bytes[..]), Err(Malformed), "{at}");
        }
    }
}
