//! Whatever is done to the bytes of a message, it is that message, another one, or refused; never
//! two spellings of one.

use std::fmt::Debug;

use gimlet_proto::wire::{MAX_RECORD, Reader, Record, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::messages;

/// Bytes to put in the place of others.
type Edits = Vec<(Index, u8)>;

fn edits() -> impl Strategy<Value = Edits> {
    vec((any::<Index>(), prop_oneof![0u8..4, any::<u8>()]), 0..6)
}

/// Everything in a stream that arrives in these pieces, and whether it ended in an error.
fn read<R: Record>(stream: &[u8], pieces: &[usize]) -> (Vec<R>, u64, bool) {
    let (mut reader, mut records) = (Reader::default(), Vec::new());
    let (mut rest, mut sizes) = (stream, pieces.iter().cycle());
    while !rest.is_empty() {
        let size = sizes
            .next()
            .copied()
            .unwrap_or(rest.len())
            .clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        reader.extend(piece);
        loop {
            match reader.poll() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(_) => return (records, reader.unknown, true),
            }
        }
    }
    (records, reader.unknown, false)
}

fn edited_stream_has_one_meaning<R: Record + Debug + PartialEq>(
    mut stream: Vec<u8>,
    edits: &Edits,
    pieces: &[usize],
) -> Result<(), TestCaseError> {
    for (at, byte) in edits {
        let at = at.index(stream.len());
        stream[at] = *byte;
    }
    let whole = read::<R>(&stream, &[]);
    prop_assert_eq!(&read::<R>(&stream, pieces), &whole);
    let (records, unknown, failed) = whole;
    let again: Vec<u8> = records.iter().flat_map(encode).collect();
    if unknown == 0 {
        prop_assert!(stream.starts_with(&again));
    }
    if unknown == 0 && !failed {
        prop_assert!(
            stream.len() - again.len() <= MAX_RECORD + 4,
            "only an unfinished record is left"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_peers_say_has_one_meaning(
        choices in vec(any::<Index>(), 1..6),
        edits in edits(),
        pieces in vec(1usize..40, 0..4),
    ) {
        let all = messages::to_server();
        let chosen = choices.iter().flat_map(|choice| encode(&choice.get(&all).1));
        edited_stream_has_one_meaning::<gimlet_proto::message::ToServer>(chosen.collect(), &edits, &pieces)?;
    }

    #[test]
    fn what_servers_say_has_one_meaning(
        choices in vec(any::<Index>(), 1..6),
        edits in edits(),
        pieces in vec(1usize..40, 0..4),
    ) {
        let all = messages::to_peer();
        let chosen = choices.iter().flat_map(|choice| encode(&choice.get(&all).1));
        edited_stream_has_one_meaning::<gimlet_proto::message::ToPeer>(chosen.collect(), &edits, &pieces)?;
    }

    #[test]
    fn noise_has_one_meaning(stream in vec(any::<u8>(), 1..200), pieces in vec(1usize..40, 0..4)) {
        edited_stream_has_one_meaning::<gimlet_proto::message::ToServer>(stream.clone(), &vec![], &pieces)?;
        edited_stream_has_one_meaning::<gimlet_proto::message::ToPeer>(stream, &vec![], &pieces)?;
    }
}
