//! Frames as bytes: these are the vectors of `docs/protocol.md`, section 14.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stamp() -> Stamp {
    Stamp {
        seconds: 0x6553_f100,
        nanos: 5,
    }
}

#[tokio::test]
async fn what_the_sender_says_has_these_bytes() {
    let entry = |parent, name: &[u8], kind| Entry {
        parent,
        name: name.to_vec(),
        kind,
    };
    let folder = Kind::Folder {
        mode: 0o755,
        modified: stamp(),
    };
    let file = Kind::File {
        mode: 0o644,
        modified: stamp(),
        size: 7,
    };
    let link = Kind::Link {
        target: b"f".to_vec(),
    };
    let all = FromSender::Entries(vec![
        entry(None, b"d", folder),
        entry(Some(0), b"f", file),
        entry(Some(0), b"l", link),
    ]);
    for (message, bytes) in [
        (
            all,
            "0100000043\
             00ffffffff000164000001ed000000006553f10000000005\
             0100000000000166000001a4000000006553f100000000050000000000000007\
             020000000000016c000166",
        ),
        (FromSender::End, "0200000000"),
        (FromSender::Alive, "0300000000"),
    ] {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(hex(&encoded), bytes);
        let frame = read(&mut &encoded[..]).await.unwrap().unwrap();
        assert_eq!(FromSender::decode(frame), Ok(message));
    }
}

#[tokio::test]
async fn what_the_receiver_says_has_these_bytes() {
    for (message, bytes) in [
        (
            FromReceiver::Whole { first: 1, last: 9 },
            "10000000080000000100000009",
        ),
        (
            FromReceiver::Parts {
                entry: 3,
                ranges: vec![(0, 2), (5, 1)],
            },
            "110000001400000003000000000000000200000005\
             00000001",
        ),
        (FromReceiver::Verified(258), "12000000080000000000000102"),
        (
            FromReceiver::Confirmed {
                entry: 4,
                hash: [0xab; 32],
                resumed: 9,
            },
            "130000002c00000004\
             abababababababababababababababababababababababababababababababab\
             0000000000000009",
        ),
        (FromReceiver::Complete { failed: 1 }, "140000000400000001"),
        (FromReceiver::Alive, "1500000000"),
    ] {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(hex(&encoded), bytes);
        let frame = read(&mut &encoded[..]).await.unwrap().unwrap();
        assert_eq!(FromReceiver::decode(frame), Ok(message));
    }
}

#[tokio::test]
async fn many_entries_take_several_frames_and_none_is_cut() {
    let entry = |n: u32| Entry {
        parent: None,
        name: format!("{n:0>200}").into_bytes(),
        kind: Kind::Link {
            target: vec![b'x'; 4095],
        },
    };
    let all: Vec<Entry> = (0..100).map(entry).collect();
    let mut encoded = Vec::new();
    entries(&all, &mut encoded);
    let (mut from, mut back) = (&encoded[..], Vec::new());
    while let Some(frame) = read(&mut from).await.unwrap() {
        let Ok(FromSender::Entries(some)) = FromSender::decode(frame) else {
            panic!("other than entries");
        };
        back.extend(some);
    }
    assert_eq!(back, all);
}

#[tokio::test]
async fn malformed_frames_are_refused() {
    // A body longer than any is not even read.
    assert!(read(&mut &[1, 0, 1, 0, 1][..]).await.is_err());
    // Cut off.
    assert!(read(&mut &[1, 0, 0][..]).await.is_err());
    assert!(read(&mut &[1, 0, 0, 0, 2, 0][..]).await.is_err());
    let entry = "00ffffffff000164000001ed000000006553f10000000005";
    let body: Vec<u8> = (0..entry.len() / 2)
        .map(|at| u8::from_str_radix(&entry[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert!(FromSender::decode((1, body.clone())).is_ok());
    for length in 1..body.len() {
        assert!(
            FromSender::decode((1, body[..length].to_vec())).is_err(),
            "{length}"
        );
    }
    for (kind, body) in [(0, vec![]), (2, vec![0]), (9, vec![]), (1, vec![7; 30])] {
        assert!(FromSender::decode((kind, body)).is_err());
    }
    let ranges = vec![0; 4 + 8 * (MAX_RANGES + 1)];
    for (kind, body) in [
        (16, vec![0; 7]),
        (17, vec![0; 8]),
        (17, ranges),
        (18, vec![]),
        (21, vec![1]),
        (22, vec![]),
    ] {
        assert!(FromReceiver::decode((kind, body)).is_err());
    }
}
