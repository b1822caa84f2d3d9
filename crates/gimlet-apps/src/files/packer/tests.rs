//! What goes into which parcel.

use super::*;
use crate::files::record::next;

fn chunk(entry: u32, len: u32) -> Chunk {
    Chunk {
        entry,
        chunk: entry + 1,
        len,
        digest: [entry as u8; 32],
    }
}

/// Chunks of these sizes, each followed by the end of its file.
fn stream(sizes: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, size) in (0..).zip(sizes) {
        bytes.extend(Record::Chunk(chunk(entry, *size)).encode());
        bytes.extend((0..*size).map(|n| (n >> 3) as u8));
        let hash = [9; 32];
        bytes.extend(Record::End { entry, hash }.encode());
    }
    bytes
}

/// What a writer would see: records and the bytes of chunks, and how many parcels they came in.
fn unpack(parcels: &[Parcel]) -> Vec<(Record, Vec<u8>)> {
    let mut seen = Vec::new();
    for parcel in parcels {
        let mut rest = parcel.buffer.filled();
        match parcel.chunk {
            Some(chunk) => seen.push((Record::Chunk(chunk), rest.to_vec())),
            None => {
                while let Some((record, data)) = next(&mut rest).unwrap() {
                    seen.push((record, data.to_vec()));
                }
            }
        }
    }
    seen
}

/// Feeds `bytes`, at most `size` at once, and says after each time that no more is there where `idle`.
fn pack(mut bytes: &[u8], size: usize, idle: bool) -> Result<Vec<Parcel>, Malformed> {
    let now = Instant::now();
    let (mut packer, mut parcels) = (Packer::new(), Vec::new());
    while !bytes.is_empty() {
        if packer.wants_buffer() {
            packer.give(Buffer::new());
        }
        let room = packer.room();
        let len = room.len().min(size).min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        bytes = &bytes[len..];
        parcels.extend(packer.came(len, now)?);
        if idle {
            parcels.extend(packer.idle());
        }
    }
    parcels.extend(packer.idle());
    Ok(parcels)
}

#[test]
fn records_come_out_the_same_however_the_stream_is_cut() {
    let sizes = [5, 0, TOGETHER, TOGETHER + 1, CHUNK, 1, CHUNK];
    let stream = stream(&sizes);
    for size in [1, 7, 44, 45, 46, 1400, 70_000, usize::MAX] {
        for idle in [false, true] {
            // A byte at a time with a buffer for each would take minutes.
            if idle && size < 1400 {
                continue;
            }
            let seen = unpack(&pack(&stream, size, idle).unwrap());
            assert_eq!(seen.len(), 2 * sizes.len());
            for (n, (entry, len)) in (0..).zip(sizes).enumerate() {
                let (record, data) = &seen[2 * n];
                assert_eq!(*record, Record::Chunk(chunk(entry, len)));
                assert_eq!(data.len(), len as usize);
                assert!(data.iter().zip(0..).all(|(b, n)| *b == (n >> 3) as u8));
                assert!(matches!(seen[2 * n + 1].0, Record::End { .. }));
            }
        }
    }
}

#[test]
fn small_chunks_go_together_and_large_ones_alone_and_aligned() {
    let parcels = pack(&stream(&[4096; 600]), usize::MAX, false).unwrap();
    assert_eq!(parcels.len(), 3, "600 x 4 KiB fit into three buffers");
    let parcels = pack(&stream(&[CHUNK, CHUNK]), usize::MAX, false).unwrap();
    let alone = parcels.iter().filter(|parcel| parcel.chunk.is_some());
    let aligned = alone.filter(|parcel| {
        let bytes = parcel.buffer.filled();
        bytes.len() == CHUNK as usize && bytes.as_ptr().align_offset(4096) == 0
    });
    assert_eq!(aligned.count(), 2);
}

#[test]
fn what_is_complete_does_not_wait_for_more() {
    let mut stream = stream(&[5]);
    stream.extend(Record::Chunk(chunk(1, 5)).encode());
    let parcels = pack(&stream, usize::MAX, false).unwrap();
    // The second chunk's bytes have not come, so nothing of it is handed over.
    assert_eq!(parcels.len(), 0);
    let parcels = pack(&stream, usize::MAX, true).unwrap();
    assert_eq!(unpack(&parcels).len(), 2);
}

#[test]
fn a_chunk_beyond_the_largest_is_refused_before_its_bytes() {
    let header = Record::Chunk(chunk(0, CHUNK + 1)).encode();
    assert_eq!(pack(&header, usize::MAX, false).unwrap_err(), Malformed);
    let mut header = Record::Chunk(chunk(0, 1)).encode();
    header[0] = 3;
    assert_eq!(pack(&header, usize::MAX, false).unwrap_err(), Malformed);
}
