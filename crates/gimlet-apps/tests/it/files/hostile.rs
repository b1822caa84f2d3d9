//! Peers that do what no program of ours does.

use std::fs;
use std::os::unix::fs::symlink;

use gimlet::{CloseReason, Connection, RecvStream, SendStream, bulk};
use gimlet_apps::files::{self, ManifestError, Offer, ReceiveError, Reporter, SendError};
use tokio::io::AsyncWriteExt as _;

use super::{Pair, bytes, received};
use crate::support::in_time;

/// No parent.
const TOP: u32 = u32::MAX;

/// A frame of the control stream.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

fn entry(kind: u8, parent: u32, name: &[u8]) -> Vec<u8> {
    let mut entry = vec![kind];
    entry.extend(parent.to_be_bytes());
    entry.extend((name.len() as u16).to_be_bytes());
    entry.extend(name);
    entry
}

fn file(parent: u32, name: &[u8], size: u64) -> Vec<u8> {
    let mut file = entry(1, parent, name);
    file.extend([0, 0, 0o1, 0o244]);
    file.extend([0; 12]);
    file.extend(size.to_be_bytes());
    file
}

fn folder(parent: u32, name: &[u8]) -> Vec<u8> {
    let mut folder = entry(0, parent, name);
    folder.extend([0, 0, 1, 0o355]);
    folder.extend([0; 12]);
    folder
}

fn link(parent: u32, name: &[u8], target: &[u8]) -> Vec<u8> {
    let mut link = entry(2, parent, name);
    link.extend((target.len() as u16).to_be_bytes());
    link.extend(target);
    link
}

/// A record of a chunk, and its bytes.
fn chunk(entry: u32, chunk: u32, len: u32, digest: [u8; 32], data: &[u8]) -> Vec<u8> {
    let mut record = vec![0];
    for number in [entry, chunk, len] {
        record.extend(number.to_be_bytes());
    }
    record.extend(digest);
    record.extend(data);
    record
}

/// Dials as a sender, and says all that.
async fn offer(connection: &Connection, entries: &[Vec<u8>]) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&[1, 0]).await.unwrap();
    send.write_all(&frame(1, &entries.concat())).await.unwrap();
    send.write_all(&frame(2, &[])).await.unwrap();
    (send, recv)
}

/// What Bob makes of a manifest.
async fn judge(pair: &Pair, entries: &[Vec<u8>]) -> ReceiveError {
    let (to_bob, to_alice) = pair.connect().await;
    let _streams = offer(&to_bob, entries).await;
    let error = received(&to_alice, &pair.options()).await.done.unwrap_err();
    assert!(matches!(
        to_bob.closed().await,
        CloseReason::Peer { code: 16, .. }
    ));
    error
}

#[tokio::test]
async fn a_manifest_that_leads_out_of_the_folder_is_refused() {
    in_time(async {
        let pair = Pair::new().await;
        for (entries, error) in [
            (vec![file(TOP, b"../evil", 1)], ManifestError::Name),
            (vec![file(TOP, b"/etc/evil", 1)], ManifestError::Name),
            (vec![file(TOP, b"..", 1)], ManifestError::Name),
            (vec![file(TOP, b"", 1)], ManifestError::Name),
            (vec![file(TOP, b"a\0b", 1)], ManifestError::Name),
            (vec![folder(TOP, b".gimlet-partial")], ManifestError::Name),
            (vec![file(0, b"own parent", 1)], ManifestError::Parent),
            (
                vec![file(TOP, b"a", 1), file(0, b"b", 1)],
                ManifestError::Parent,
            ),
            (
                vec![folder(TOP, b"d"), link(0, b"l", b"/etc"), file(1, b"x", 1)],
                ManifestError::Link,
            ),
            (
                vec![folder(TOP, b"d"), link(0, b"l", b".."), file(1, b"x", 1)],
                ManifestError::Link,
            ),
            (
                vec![folder(TOP, b"d"), link(0, b"l", b"x"), file(1, b"x", 1)],
                ManifestError::Parent,
            ),
            (
                vec![folder(TOP, b"d"), folder(TOP, b"d")],
                ManifestError::Duplicate,
            ),
            (vec![link(TOP, b"l", b"x")], ManifestError::Link),
            (vec![file(TOP, b"huge", u64::MAX)], ManifestError::TooLarge),
        ] {
            let found = judge(&pair, &entries).await;
            assert!(
                matches!(&found, ReceiveError::Manifest(found) if *found == error),
                "{found:?} instead of {error:?}"
            );
        }
        assert!(!pair.to("").exists(), "nothing was made");
    })
    .await;
}

#[tokio::test]
async fn an_endless_manifest_is_cut_short() {
    in_time(async {
        let pair = Pair::new().await;
        let (to_bob, to_alice) = pair.connect().await;
        let flood = async {
            let (mut send, _recv) = to_bob.open_bi().await.unwrap();
            send.write_all(&[1, 0]).await.unwrap();
            let name = vec![b'x'; 240];
            for n in 0u64.. {
                let mut entries = Vec::new();
                for m in 0..200u64 {
                    let mut name = name.clone();
                    name.extend(format!("{:x}", n * 200 + m).bytes());
                    entries.extend(folder(TOP, &name));
                }
                if send.write_all(&frame(1, &entries)).await.is_err() {
                    return;
                }
            }
        };
        let options = pair.options();
        let ((), done) = tokio::join!(flood, received(&to_alice, &options));
        let error = done.done.unwrap_err();
        assert!(
            matches!(
                error,
                ReceiveError::Manifest(ManifestError::TooLong | ManifestError::TooMany)
            ),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_link_in_the_target_folder_is_not_followed() {
    in_time(async {
        let pair = Pair::new().await;
        let outside = pair.home.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(pair.to("")).unwrap();
        fs::create_dir_all(pair.from("d/sub")).unwrap();
        fs::write(pair.from("d/sub/file"), b"new").unwrap();
        // As a link that an earlier transfer, or somebody else, has left there.
        fs::create_dir(pair.to("d")).unwrap();
        symlink(&outside, pair.to("d/sub")).unwrap();
        for overwrite in [false, true] {
            let options = pair.options().overwrite(overwrite);
            let (_, received) = pair.send_with(&["d"], options).await;
            assert!(matches!(received.done, Err(ReceiveError::Exists { .. })));
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        }
        // Nor one in place of the folder for what is unfinished.
        fs::remove_dir_all(pair.to("")).unwrap();
        fs::create_dir(pair.to("")).unwrap();
        symlink(&outside, pair.to(".gimlet-partial")).unwrap();
        let (_, received) = pair.send(&["d"]).await;
        assert!(matches!(received.done, Err(ReceiveError::Disk { .. })));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    })
    .await;
}

/// A sender that offers a file of three chunks and sends these bytes.
async fn lie(pair: &Pair, data: &[u8]) -> (ReceiveError, u64) {
    let (to_bob, to_alice) = pair.connect().await;
    let lie = async {
        let entries = [file(TOP, b"file", 3 << 20), file(TOP, b"small", 5)];
        let (_send, _recv) = offer(&to_bob, &entries).await;
        let mut bulk = bulk::open(&to_bob, 0, 4).await.unwrap();
        // It is stopped in the middle of it.
        let _ = bulk.write_all(data).await;
        to_bob.closed().await
    };
    let (reporter, reports) = Reporter::new();
    let options = pair.options();
    let (closed, done) = tokio::join!(lie, files::receive(&to_alice, &options, &reporter));
    assert!(
        matches!(closed, CloseReason::Peer { code: 16, .. }),
        "{closed}"
    );
    (done.unwrap_err(), reports.progress().bytes)
}

#[tokio::test]
async fn other_bytes_than_announced_are_rejected_and_what_was_right_stays() {
    in_time(async {
        let pair = Pair::new().await;
        let content = bytes(3 << 20, 1);
        fs::write(pair.from("file"), &content).unwrap();
        fs::write(pair.from("small"), b"12345").unwrap();
        for name in ["file", "small"] {
            let old = std::time::SystemTime::UNIX_EPOCH;
            let file = fs::File::options()
                .write(true)
                .open(pair.from(name))
                .unwrap();
            file.set_modified(old).unwrap();
        }
        let good = {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&content[..1 << 20]);
            let digest = blake3::hazmat::HasherExt::finalize_non_root(&hasher);
            chunk(0, 0, 1 << 20, digest, &content[..1 << 20])
        };
        let wrong = chunk(0, 1, 1 << 20, [7; 32], &content[..1 << 20]);
        let (error, arrived) = lie(&pair, &[good, wrong].concat()).await;
        assert!(matches!(error, ReceiveError::Corrupt), "{error:?}");
        assert!(arrived <= 1 << 20);
        assert!(!pair.to("file").exists());
        let wrong = chunk(1, 0, 5, [7; 32], b"12345");
        assert!(matches!(lie(&pair, &wrong).await.0, ReceiveError::Corrupt));
        // An honest sender goes on from what was right.
        let (sent, received) = pair.send(&["file", "small"]).await;
        assert_eq!(received.done.unwrap().resumed, 1 << 20);
        sent.unwrap();
        assert!(fs::read(pair.to("file")).unwrap() == content);
    })
    .await;
}

#[tokio::test]
async fn records_out_of_place_end_the_transfer() {
    in_time(async {
        let pair = Pair::new().await;
        let hash = *blake3::hash(b"12345").as_bytes();
        let mib = bytes(1 << 20, 2);
        let end = |entry: u32| {
            let mut record = vec![1];
            record.extend(entry.to_be_bytes());
            record.extend([0; 40]);
            record
        };
        for data in [
            // Of no file, beyond the end, of another length.
            chunk(2, 0, 5, hash, b"12345"),
            chunk(u32::MAX, 0, 5, hash, b"12345"),
            chunk(0, 3, 1 << 20, hash, &mib),
            chunk(0, u32::MAX, 1 << 20, hash, &mib),
            chunk(0, 0, 1, hash, b"1"),
            chunk(0, 0, u32::MAX, hash, b"1"),
            chunk(1, 0, 6, hash, b"123456"),
            // The end of what is not there, or of nothing.
            end(0),
            end(1),
            end(9),
            vec![3; 45],
            // What is there already; after this the small one stands.
            [
                chunk(1, 0, 5, hash, b"12345"),
                chunk(1, 0, 5, hash, b"12345"),
            ]
            .concat(),
        ] {
            let (error, _) = lie(&pair, &data).await;
            assert!(matches!(error, ReceiveError::Misbehaved), "{error:?}");
        }
    })
    .await;
}

/// A receiver that says that.
async fn demand(pair: &Pair, said: &[u8]) -> SendError {
    fs::write(pair.from("file"), bytes(3 << 20, 1)).unwrap();
    let offer = Offer::of(vec![pair.from("file")]).await.unwrap();
    let (to_bob, to_alice) = pair.connect().await;
    let demand = async {
        let (mut send, _recv) = to_bob.open_bi().await.unwrap();
        send.write_all(&[1, 1]).await.unwrap();
        send.write_all(said).await.unwrap();
        to_bob.closed().await
    };
    let silent = Reporter::silent();
    let (closed, done) = tokio::join!(demand, offer.serve(&to_alice, &silent));
    assert!(
        matches!(closed, CloseReason::Peer { code: 16, .. }),
        "{closed}"
    );
    done.unwrap_err()
}

#[tokio::test]
async fn a_receiver_that_asks_for_what_there_is_not_is_sent_away() {
    in_time(async {
        let pair = Pair::new().await;
        let numbers = |numbers: &[u32]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        let whole = |first, last| frame(16, &numbers(&[first, last]));
        let confirmed = |entry, resumed: u64| {
            let mut body = numbers(&[entry]);
            body.extend([0; 32]);
            body.extend(resumed.to_be_bytes());
            frame(19, &body)
        };
        for said in [
            whole(1, 1),
            whole(0, u32::MAX),
            whole(1, 0),
            frame(17, &numbers(&[1, 0, 1])),
            // Beyond the end, empty, out of order, overflowing.
            frame(17, &numbers(&[0, 3, 1])),
            frame(17, &numbers(&[0, 0, 4])),
            frame(17, &numbers(&[0, 1, 0])),
            frame(17, &numbers(&[0, 2, 1, 0, 1])),
            frame(17, &numbers(&[0, u32::MAX, 2])),
            // Again and again.
            whole(0, 0).repeat(3),
            confirmed(1, 0),
            confirmed(0, u64::MAX),
            frame(99, &[]),
            vec![16, 255, 255, 255, 255],
        ] {
            let error = demand(&pair, &said).await;
            assert!(
                matches!(error, SendError::Misbehaved),
                "{error:?}: {said:?}"
            );
        }
    })
    .await;
}
