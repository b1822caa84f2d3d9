//! What a user of the relay, and a stranger, can not make it do.

use gimlet_proto::frame::{FrameKind, encode_bind, header};
use gimlet_proto::secret::{RelaySecret, SessionId};
use gimlet_server::Config;

use crate::relay::{SECRET_A, SESSION, bind, data, pair};
use crate::support::{Client, receive, socket, start};

const KINDS: [FrameKind; 4] = [
    FrameKind::Data,
    FrameKind::Bind,
    FrameKind::Bound,
    FrameKind::Unknown,
];

#[tokio::test]
async fn a_bound_peer_reaches_nobody_but_the_one_it_was_introduced_to() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    // Signed in, and so known to the relay, but introduced to nobody.
    let _bystander = Client::signed_in(&server, None).await;
    for n in 0..200u8 {
        let mut datagram = header(FrameKind::Data, SessionId([n; 8])).to_vec();
        datagram.extend([n; 100]);
        if SessionId([n; 8]) != SESSION {
            pair.a.send_to(&datagram, server.addr).await.unwrap();
        }
    }
    let last = data(b"the end");
    pair.a.send_to(&last, server.addr).await.unwrap();
    assert_eq!(receive(&pair.b).await, last, "and nothing before it");
    assert_eq!(server.handle.counters().relayed_packets, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_session_is_taken_by_no_frame_that_its_secret_did_not_make() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    let thief = socket().await;
    let newest = encode_bind(SESSION, 1, &SECRET_A);
    for attempt in 0..60u8 {
        let mut frame = match attempt % 3 {
            // Guessed, replayed, and a higher counter under an old MAC.
            0 => encode_bind(SESSION, u64::MAX, &RelaySecret([attempt; 32])),
            _ => newest,
        };
        if attempt % 3 == 2 {
            frame[17] = attempt;
        }
        thief.send_to(&frame, server.addr).await.unwrap();
        let said = data(&[attempt; 50]);
        pair.b.send_to(&said, server.addr).await.unwrap();
        assert_eq!(receive(&pair.a).await, said, "the session stays");
    }
    // Nor is it lost to its owner, who may still move.
    let moved = socket().await;
    bind(&server, &moved, 2, &SECRET_A).await;
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_draws_fewer_bytes_than_it_sends() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    let stranger = socket().await;
    let (mut sent, mut answers) = (0, 0);
    for n in 0..1000u16 {
        let [high, low] = n.to_be_bytes();
        let session = match n % 2 {
            0 => SESSION,
            _ => SessionId([high, low, 1, 2, 3, 4, 5, 6]),
        };
        let mut datagram = header(KINDS[usize::from(n / 2) % 4], session).to_vec();
        datagram.resize(10 + usize::from(n % 40), 0xaa);
        stranger.send_to(&datagram, server.addr).await.unwrap();
        sent += datagram.len();
    }
    // Whatever has been drawn is there once this came through, on whichever shard.
    let said = data(b"after it all");
    pair.a.send_to(&said, server.addr).await.unwrap();
    assert_eq!(receive(&pair.b).await, said);
    let judged = |now: &gimlet_server::Snapshot| now.relay_unknown + now.relay_dropped >= 1000;
    let counted = server.counted(judged).await;
    let mut buffer = [0; 2048];
    for _ in 0..counted.relay_unknown {
        answers += crate::support::soon(stranger.recv(&mut buffer))
            .await
            .unwrap();
    }
    assert!(counted.relay_unknown <= 60, "{counted:?}");
    assert!(answers < sent / 10, "{answers} of {sent}");
    assert!(stranger.try_recv(&mut buffer).is_err());
    server.stop().await;
}
