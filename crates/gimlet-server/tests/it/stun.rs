//! STUN on both ports, and everything that is not STUN nor anything else.

use std::net::SocketAddr;

use gimlet_proto::limit::Rate;
use gimlet_proto::stun::{TransactionId, decode_binding_response, encode_binding_request};
use gimlet_server::Config;

use crate::support::{receive, socket, start};

#[tokio::test]
async fn both_ports_tell_a_sender_its_own_address() {
    let server = start(Config::on_loopback());
    let client = socket().await;
    for (n, port) in [server.addr, server.alt].into_iter().enumerate() {
        let transaction = TransactionId([n as u8; 12]);
        let request = encode_binding_request(transaction);
        client.send_to(&request, port).await.unwrap();
        let answer = decode_binding_response(&receive(&client).await).expect("a response");
        assert_eq!(answer.transaction, transaction);
        assert_eq!(answer.mapped, client.local_addr().unwrap());
    }
    assert_eq!(server.handle.counters().stun_answered, 2);
    server.stop().await;
}

#[tokio::test]
async fn an_ipv4_client_of_a_dual_stack_server_is_told_its_ipv4_address() {
    let mut config = Config::on_loopback();
    config.listen = "[::]:0".parse().unwrap();
    let server = start(config);
    let client = socket().await;
    let request = encode_binding_request(TransactionId([1; 12]));
    let to = SocketAddr::from(([127, 0, 0, 1], server.addr.port()));
    client.send_to(&request, to).await.unwrap();
    let answer = decode_binding_response(&receive(&client).await).expect("a response");
    assert_eq!(answer.mapped, client.local_addr().unwrap());
    server.stop().await;
}

#[tokio::test]
async fn a_flood_is_answered_at_the_rate_of_its_prefix() {
    let mut config = Config::on_loopback();
    config.stun = Rate::per_second(1, 10);
    let server = start(config);
    let client = socket().await;
    let request = encode_binding_request(TransactionId([1; 12]));
    for _ in 0..100 {
        client.send_to(&request, server.addr).await.unwrap();
    }
    let counted = server
        .counted(|now| now.stun_answered + now.stun_limited == 100)
        .await;
    assert!(counted.stun_answered <= 12, "{counted:?}");
    server.stop().await;
}

#[tokio::test]
async fn garbage_on_both_ports_is_counted_and_changes_nothing() {
    let server = start(Config::on_loopback());
    let client = socket().await;
    let garbage = garbage();
    let mut sent = 0;
    for datagram in &garbage {
        for port in [server.addr, server.alt] {
            client.send_to(datagram, port).await.unwrap();
            sent += 1;
        }
        // Few enough at once that no socket buffer drops any.
        if sent % 64 == 0 {
            server.counted(|now| seen(now) >= sent).await;
        }
    }
    let counted = server.counted(|now| seen(now) >= sent).await;
    assert_eq!(seen(&counted), sent, "{counted:?}");
    assert_eq!(counted.stun_answered, 0);
    assert_eq!((counted.peers, counted.sessions), (0, 0));

    server.stop().await;
}

fn seen(now: &gimlet_server::Snapshot) -> u64 {
    now.stun_ignored
        + now.stun_limited
        + now.stun_answered
        + now.foreign_dropped
        + now.quic_received
        + now.quic_dropped
        + now.relay_dropped
        + now.relay_unknown
        + now.relay_held
        + now.relay_bound
}

/// Datagrams of all first bytes and many lengths: random, and truncated or disturbed requests.
fn garbage() -> Vec<Vec<u8>> {
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut all = Vec::new();
    for first in 0..=255u8 {
        let length = 1 + random() % 1400;
        let mut datagram: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        datagram[0] = first;
        all.push(datagram);
    }
    let request = encode_binding_request(TransactionId([1; 12]));
    all.extend((1..request.len()).map(|end| request[..end].to_vec()));
    // Byte 4 on is the cookie: without it this would be a request of RFC 3489.
    for at in 0..4 {
        let mut disturbed = request.clone();
        disturbed[at] ^= 0x55;
        all.push(disturbed);
    }
    all.push(vec![1; 60_000]);
    all.push(Vec::new());
    all
}
