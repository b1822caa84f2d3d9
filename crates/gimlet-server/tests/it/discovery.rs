//! Behaviour discovery (RFC 5780): answers from where they were asked for, to the asking address, at
//! their rate.

use std::net::SocketAddr;

use gimlet_proto::limit::Rate;
use gimlet_proto::stun::{
    Change, TransactionId, decode_binding_error, decode_binding_response, encode_binding_request,
    encode_probe,
};
use gimlet_server::Config;
use tokio::net::UdpSocket;

use crate::support::{Running, socket, soon, start};

const PORT: Change = Change {
    ip: false,
    port: true,
};
const BOTH: Change = Change {
    ip: true,
    port: true,
};

/// Sends a probe; what comes back, and from where.
async fn ask(client: &UdpSocket, to: SocketAddr, probe: &[u8]) -> (Vec<u8>, SocketAddr) {
    client.send_to(probe, to).await.unwrap();
    heard(client).await
}

async fn heard(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (length, from) = soon(client.recv_from(&mut buffer)).await.unwrap();
    (buffer[..length].to_vec(), from)
}

fn id(n: u8) -> TransactionId {
    TransactionId([n; 12])
}

fn two_addresses() -> Running {
    let mut config = Config::on_loopback();
    config.listen_alt = Some("127.0.0.2:0".parse().unwrap());
    start(config)
}

#[tokio::test]
async fn an_answer_leaves_from_the_other_port_of_either() {
    let server = start(Config::on_loopback());
    let client = socket().await;
    for (n, (asked, other)) in [(server.addr, server.alt), (server.alt, server.addr)]
        .into_iter()
        .enumerate()
    {
        let probe = encode_probe(id(n as u8), PORT, None);
        let (answer, from) = ask(&client, asked, &probe).await;
        let answer = decode_binding_response(&answer).expect("a response");
        assert_eq!((from, answer.origin), (other, Some(other)));
        assert_eq!(answer.mapped, client.local_addr().unwrap());
        assert_eq!(answer.transaction, id(n as u8));
    }
    let (refused, from) = ask(&client, server.addr, &encode_probe(id(9), BOTH, None)).await;
    assert_eq!(decode_binding_error(&refused), Some(id(9)));
    assert_eq!(from, server.addr);
    let counted = server.handle.counters();
    assert_eq!((counted.stun_answered, counted.stun_moved), (3, 2));
    server.stop().await;
}

#[tokio::test]
async fn with_a_second_address_an_answer_leaves_from_each_of_four_corners() {
    let server = two_addresses();
    let client = socket().await;
    let corner = |address: u8, port: u16| SocketAddr::from(([127, 0, 0, address], port));
    let ports = [server.addr.port(), server.alt.port()];
    for address in [1, 2] {
        for (nth, port) in ports.into_iter().enumerate() {
            for change in [
                Change::default(),
                PORT,
                Change {
                    ip: true,
                    port: false,
                },
                BOTH,
            ] {
                let probe = encode_probe(id(1), change, None);
                let (answer, from) = ask(&client, corner(address, port), &probe).await;
                let ip = if change.ip { 3 - address } else { address };
                let port = ports[nth ^ usize::from(change.port)];
                assert_eq!(from, corner(ip, port));
                let answer = decode_binding_response(&answer).expect("a response");
                assert_eq!(answer.origin, Some(from));
                assert_eq!(answer.other, Some(corner(3 - address, ports[1 - nth])));
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn one_socket_for_every_address_serves_the_second_one_too() {
    let mut config = Config::on_loopback();
    config.listen = "0.0.0.0:0".parse().unwrap();
    config.listen_alt = Some("127.0.0.2:0".parse().unwrap());
    let server = start(config);
    let client = socket().await;
    let main = SocketAddr::from(([127, 0, 0, 1], server.addr.port()));
    let (answer, from) = ask(&client, main, &encode_probe(id(1), BOTH, None)).await;
    let other = SocketAddr::from(([127, 0, 0, 2], server.alt.port()));
    assert_eq!(from, other);
    assert_eq!(decode_binding_response(&answer).unwrap().other, Some(other));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_goes_to_another_port_of_the_same_address() {
    let server = start(Config::on_loopback());
    let (client, other) = (socket().await, socket().await);
    let port = other.local_addr().unwrap().port();
    let probe = encode_probe(id(1), Change::default(), Some(port));
    client.send_to(&probe, server.addr).await.unwrap();
    let (answer, from) = heard(&other).await;
    assert_eq!(from, server.addr);
    let answer = decode_binding_response(&answer).unwrap();
    assert_eq!(answer.mapped, client.local_addr().unwrap());
    server.stop().await;
}

#[tokio::test]
async fn discovery_has_a_rate_of_its_own_and_plain_requests_are_answered_beyond_it() {
    let mut config = Config::on_loopback();
    config.listen_alt = Some("127.0.0.2:0".parse().unwrap());
    config.discovery = Rate::per_second(1, 5);
    let server = start(config);
    let client = socket().await;
    for _ in 0..50 {
        let probe = encode_probe(id(1), BOTH, None);
        client.send_to(&probe, server.addr).await.unwrap();
    }
    let counted = server
        .counted(|now| now.stun_discovery + now.stun_discovery_limited == 50)
        .await;
    assert!(counted.stun_moved <= 7, "{counted:?}");
    let asker = socket().await;
    let (answer, _) = ask(&asker, server.addr, &encode_binding_request(id(2))).await;
    // As many as its bytes say: XOR-MAPPED-ADDRESS alone, or with the two others.
    assert!([32, 56].contains(&answer.len()));
    assert_eq!(decode_binding_response(&answer).unwrap().transaction, id(2));
    server.stop().await;
}
