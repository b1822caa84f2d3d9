//! Relay frames between two sockets, through a real server.

use gimlet_net::socket;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::frame::{Frame, FrameKind, HEADER_LEN, encode_bind, encode_bound, header};
use gimlet_proto::message::{Accept, Introduce, ToPeer};
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use gimlet_server::Config;
use quinn::udp::Transmit;
use tokio::net::UdpSocket;

use crate::support::{Client, Running, receive, socket as plain_socket, start};

pub(crate) const SESSION: SessionId = SessionId([5; 8]);
pub(crate) const SECRET_A: RelaySecret = RelaySecret([0xa; 32]);
pub(crate) const SECRET_B: RelaySecret = RelaySecret([0xb; 32]);

/// Two peers with a session, and a socket of each bound to it.
pub(crate) struct Pair {
    pub(crate) peers: [Client; 2],
    pub(crate) a: UdpSocket,
    pub(crate) b: UdpSocket,
}

pub(crate) async fn pair(server: &Running) -> Pair {
    let peers = introduced(server).await;
    let (a, b) = (plain_socket().await, plain_socket().await);
    for (socket, secret) in [(&a, &SECRET_A), (&b, &SECRET_B)] {
        bind(server, socket, 1, secret).await;
    }
    Pair { peers, a, b }
}

async fn introduced(server: &Running) -> [Client; 2] {
    let mut alice = Client::signed_in(server, None).await;
    let mut bob = Client::signed_in(server, None).await;
    let credentials = Credentials {
        fragment: [1; 8],
        password: [1; 16],
    };
    alice
        .say(Introduce {
            session: SESSION,
            peer: bob.id,
            secret: SECRET_A,
            credentials: credentials.clone(),
            candidates: vec![],
            nat: NatClass::default(),
        })
        .await;
    assert!(matches!(bob.hear().await, ToPeer::Introduction(_)));
    bob.say(Accept {
        session: SESSION,
        secret: SECRET_B,
        credentials,
        candidates: vec![],
        nat: NatClass::default(),
    })
    .await;
    assert!(matches!(alice.hear().await, ToPeer::Accepted(_)));
    [alice, bob]
}

/// Binds as a client does: again and again until the answer comes.
pub(crate) async fn bind(server: &Running, socket: &UdpSocket, counter: u64, secret: &RelaySecret) {
    let frame = encode_bind(SESSION, counter, secret);
    loop {
        socket.send_to(&frame, server.addr).await.unwrap();
        let answer = receive(socket).await;
        if answer == encode_bound(SESSION, counter) {
            return;
        }
        // The control side has not told the relay yet.
        assert_eq!(answer, header(FrameKind::Unknown, SESSION));
    }
}

pub(crate) fn data(payload: &[u8]) -> Vec<u8> {
    [&header(FrameKind::Data, SESSION)[..], payload].concat()
}

#[tokio::test]
async fn data_goes_both_ways_untouched() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    for n in 0..50u8 {
        let there = data(&vec![n; 1 + usize::from(n) * 20]);
        pair.a.send_to(&there, server.addr).await.unwrap();
        assert_eq!(receive(&pair.b).await, there);
        let back = data(&[n, 1, 2]);
        pair.b.send_to(&back, server.addr).await.unwrap();
        assert_eq!(receive(&pair.a).await, back);
    }
    assert_eq!(server.handle.counters().relayed_packets, 100);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_sent_on_as_a_batch() {
    let server = start(Config::on_loopback());
    let _peers = introduced(&server).await;
    let a = socket::bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let b = plain_socket().await;
    bind(&server, &b, 1, &SECRET_B).await;
    let bind_a = encode_bind(SESSION, 1, &SECRET_A);
    transmit(&*a, &server, &bind_a, None);
    server.counted(|now| now.relay_bound == 2).await;

    let (count, length) = (10, 1200);
    let batch: Vec<u8> = (0..count)
        .flat_map(|n| data(&vec![n; length - HEADER_LEN]))
        .collect();
    let segments = a.max_transmit_segments() >= usize::from(count);
    for part in batch.chunks(if segments { batch.len() } else { length }) {
        transmit(&*a, &server, part, segments.then_some(length));
    }
    for n in 0..count {
        let datagram = receive(&b).await;
        let frame = Frame::decode(&datagram).expect("a frame");
        assert_eq!(frame.session, SESSION);
        assert_eq!(frame.payload, vec![n; length - HEADER_LEN]);
    }
    let counted = server.handle.counters();
    assert_eq!(counted.relayed_packets, u64::from(count));
    assert_eq!(counted.relayed_bytes, batch.len() as u64);
    // Where the system joins what is sent as one batch, one call sends it on.
    if segments && a.max_receive_segments() > 1 {
        assert_eq!(counted.relayed_batches, 1);
    }
    server.stop().await;
}

fn transmit(
    socket: &dyn quinn::AsyncUdpSocket,
    server: &Running,
    contents: &[u8],
    segment_size: Option<usize>,
) {
    let transmit = Transmit {
        destination: server.addr,
        ecn: None,
        contents,
        segment_size,
        src_ip: None,
    };
    socket.try_send(&transmit).unwrap();
}

#[tokio::test]
async fn strangers_to_a_session_are_told_so_and_nothing_more() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    let stranger = plain_socket().await;
    let unknown = header(FrameKind::Unknown, SESSION);
    for datagram in [
        data(b"let me in"),
        encode_bind(SESSION, 99, &RelaySecret([0; 32])).to_vec(),
    ] {
        stranger.send_to(&datagram, server.addr).await.unwrap();
        assert_eq!(receive(&stranger).await, unknown);
    }
    // A bind frame seen on the way and played again does not move the session.
    let replayed = encode_bind(SESSION, 1, &SECRET_A);
    stranger.send_to(&replayed, server.addr).await.unwrap();
    server.counted(|now| now.relay_dropped == 1).await;
    let there = data(b"still there");
    pair.b.send_to(&there, server.addr).await.unwrap();
    assert_eq!(receive(&pair.a).await, there);
    server.stop().await;
}

#[tokio::test]
async fn a_session_moves_with_its_peer() {
    let server = start(Config::on_loopback());
    let pair = pair(&server).await;
    let moved = plain_socket().await;
    bind(&server, &moved, 2, &SECRET_A).await;
    let there = data(b"found you");
    pair.b.send_to(&there, server.addr).await.unwrap();
    assert_eq!(receive(&moved).await, there);
    server.stop().await;
}
