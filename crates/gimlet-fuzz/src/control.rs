//! A control stream: the same records however it is cut, and no record with two encodings.

use std::fmt::Debug;

use gimlet_proto::message::{ToPeer, ToServer};
use gimlet_proto::wire::{DecodeError, Reader, Record, encode};

pub(crate) fn to_server(data: &[u8]) {
    check::<ToServer>(data);
}

pub(crate) fn to_peer(data: &[u8]) {
    check::<ToPeer>(data);
}

fn check<R: Record + Debug + PartialEq>(data: &[u8]) {
    let whole = Stream::<R>::read(data, data.len().max(1));
    for size in [1, 2 + data.len() % 13] {
        let pieces = Stream::read(data, size);
        assert_eq!(pieces, whole, "in pieces of {size}");
    }
    let again: Vec<u8> = whole.records.iter().flat_map(encode).collect();
    assert!(again.len() <= data.len(), "no record grows");
    if whole.unknown == 0 {
        assert!(data.starts_with(&again), "one encoding each");
    }
    let read_again = Stream::<R>::read(&again, again.len().max(1));
    assert_eq!(read_again.records, whole.records);
    assert_eq!((read_again.unknown, read_again.error), (0, None));
}

/// What a reader makes of a stream up to its end or its first error.
#[derive(Debug, PartialEq)]
struct Stream<R> {
    records: Vec<R>,
    unknown: u64,
    error: Option<DecodeError>,
}

impl<R: Record> Stream<R> {
    fn read(data: &[u8], size: usize) -> Self {
        let mut reader = Reader::default();
        let mut stream = Self {
            records: Vec::new(),
            unknown: 0,
            error: None,
        };
        'pieces: for piece in data.chunks(size) {
            reader.extend(piece);
            loop {
                match reader.poll() {
                    Ok(Some(record)) => stream.records.push(record),
                    Ok(None) => break,
                    Err(error) => {
                        stream.error = Some(error);
                        break 'pieces;
                    }
                }
            }
        }
        stream.unknown = reader.unknown;
        stream
    }
}
