//! SOCKS5 with the way out at a peer, as a program on the other side of it sees it.

use std::net::SocketAddr;

use gimlet_apps::forward::{Allow, Exit, Exposed, Listening, Rules};
use gimlet_apps::socks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::forward::world::{World, address};
use crate::support::in_time;

const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;

/// A way out with these rules, and the socket that leads to it.
async fn world(rules: &[&str]) -> (World, Listening) {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let exit = Exit {
        allow: Allow::Everyone,
        rules: Rules::new(rules),
    };
    let world = World::new(Exposed::new().exit(exit)).await;
    let local = "127.0.0.1:0".parse().unwrap();
    let listening = socks::listen(&world.link, &local).await.unwrap();
    (world, listening)
}

/// An IPv4 address as SOCKS writes it.
fn written(addr: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(addr) = addr else {
        panic!("IPv4 only");
    };
    let (ip, port) = (addr.ip().octets(), addr.port().to_be_bytes());
    [&[1], &ip[..], &port[..]].concat()
}

/// A connection to the socket, what it asks for, the answer's code and address.
async fn ask(listening: &Listening, command: u8, to: &[u8]) -> (TcpStream, u8, SocketAddr) {
    let mut stream = TcpStream::connect(address(listening)).await.unwrap();
    let hello = [&[5, 1, 0, 5, command, 0], to].concat();
    stream.write_all(&hello).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..3], [5, 0, 5]);
    let ip: [u8; 4] = answer[6..10].try_into().unwrap();
    let port = u16::from_be_bytes([answer[10], answer[11]]);
    (stream, answer[3], SocketAddr::from((ip, port)))
}

#[tokio::test]
async fn a_program_connects_to_what_the_rules_allow_and_nothing_else() {
    in_time(async {
        let allowed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let denied = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = allowed.local_addr().unwrap();
        let (_world, listening) = world(&[&place.to_string()]).await;
        let (mut user, code, _) = ask(&listening, CONNECT, &written(place)).await;
        assert_eq!(code, 0);
        let (mut service, _) = allowed.accept().await.unwrap();
        user.write_all(b"hello").await.unwrap();
        user.shutdown().await.unwrap();
        let mut said = String::new();
        service.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
        let denied = written(denied.local_addr().unwrap());
        let (_, code, _) = ask(&listening, CONNECT, &denied).await;
        assert_eq!(code, 2, "not allowed by the rules");
    })
    .await;
}

#[tokio::test]
async fn names_are_looked_up_at_the_way_out() {
    in_time(async {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = service.local_addr().unwrap().port();
        let (_world, listening) = world(&["localhost"]).await;
        let name = [&b"\x03\x09localhost"[..], &port.to_be_bytes()].concat();
        let (_user, code, _) = ask(&listening, CONNECT, &name).await;
        assert_eq!(code, 0);
        service.accept().await.unwrap();
        // The rule is for the name, not for the address behind it.
        let addr = written(service.local_addr().unwrap());
        assert_eq!(ask(&listening, CONNECT, &addr).await.1, 2);
        let unknown = b"\x03\x0cx.invalid.xx\x00\x50";
        assert_eq!(ask(&listening, CONNECT, unknown).await.1, 4);
    })
    .await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    in_time(async {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = nobody.local_addr().unwrap();
        drop(nobody);
        let (_world, listening) = world(&["127.0.0.0/8"]).await;
        assert_eq!(ask(&listening, CONNECT, &written(place)).await.1, 5);
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_is_no_way_out_says_so() {
    in_time(async {
        let world = World::new(Exposed::new()).await;
        let local = "127.0.0.1:0".parse().unwrap();
        let listening = socks::listen(&world.link, &local).await.unwrap();
        let anywhere = written("192.0.2.1:1".parse().unwrap());
        for command in [CONNECT, ASSOCIATE] {
            assert_eq!(ask(&listening, command, &anywhere).await.1, 2);
        }
    })
    .await;
}

#[tokio::test]
async fn datagrams_go_out_and_answers_come_back_with_their_address() {
    in_time(async {
        let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let place = service.local_addr().unwrap();
        let (_world, listening) = world(&[&place.to_string()]).await;
        let nowhere = written("0.0.0.0:0".parse().unwrap());
        let (control, code, relay) = ask(&listening, ASSOCIATE, &nowhere).await;
        assert_eq!(code, 0);
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.connect(relay).await.unwrap();
        let mut buffer = vec![0; 65_535];
        // Small, as large as a DNS answer becomes, and something that is not allowed before it.
        for size in [5, 4_096] {
            let data = vec![7; size];
            let denied = written(stranger.local_addr().unwrap());
            let denied = [&[0, 0, 0], &denied[..], b"x"].concat();
            user.send(&denied).await.unwrap();
            let packet = [&[0, 0, 0], &written(place)[..], &data].concat();
            user.send(&packet).await.unwrap();
            let (length, from) = service.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], data);
            // Who was not spoken to is not heard.
            stranger.send_to(b"forged", from).await.unwrap();
            service.send_to(&data, from).await.unwrap();
            let length = user.recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], packet);
        }
        assert!(
            stranger.try_recv(&mut buffer).is_err(),
            "it was not allowed"
        );
        // The association ends with its connection, and the socket with it.
        drop(control);
        while user.send(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
