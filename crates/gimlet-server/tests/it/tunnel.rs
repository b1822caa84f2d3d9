//! The TCP port: tunnels that carry what UDP would, and what is turned away.

use std::future::poll_fn;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet_net::identity::Identity;
use gimlet_net::tls::Credential;
use gimlet_net::tunnel::{Destination, Tunnel, TunnelError};
use gimlet_proto::id::PeerId;
use gimlet_proto::stun::{TransactionId, decode_binding_response, encode_binding_request};
use gimlet_proto::tunnel::is_tunnel;
use gimlet_server::{Config, RunError, Server, ServerHandle, Snapshot, TlsPort};
use quinn::AsyncUdpSocket;
use quinn::udp::{RecvMeta, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time;

use crate::support::soon;

struct Running {
    udp: SocketAddr,
    tls: SocketAddr,
    id: PeerId,
    handle: ServerHandle,
    _stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

fn start(config: Config) -> Running {
    let server = Server::bind(config).expect("the server binds");
    let (stop, stopped) = oneshot::channel();
    Running {
        udp: server.local_addr(),
        tls: server.tls_addr().expect("a TCP port"),
        id: server.peer_id(),
        handle: server.handle(),
        _stop: stop,
        task: tokio::spawn(server.run(async {
            let _ = stopped.await;
        })),
    }
}

impl Running {
    async fn open(&self) -> Result<Arc<Tunnel>, TunnelError> {
        self.open_as(self.id).await
    }

    async fn open_as(&self, key: PeerId) -> Result<Arc<Tunnel>, TunnelError> {
        let credential = Credential::new(&Identity::generate()).unwrap();
        let destination = Destination {
            host: "127.0.0.1",
            port: self.tls.port(),
            addr: Some(self.tls),
            tls: Arc::new(credential.tunnel_client(Some(key)).unwrap()),
            proxy: None,
        };
        soon(Tunnel::connect(&destination, self.udp)).await
    }

    async fn counted(&self, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        soon(async {
            loop {
                let now = self.handle.counters();
                if wanted(&now) {
                    return now;
                }
                time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
    }
}

fn send(tunnel: &Tunnel, datagram: &[u8]) {
    let transmit = Transmit {
        destination: SocketAddr::from(([0, 0, 0, 0], 0)),
        ecn: None,
        contents: datagram,
        segment_size: None,
        src_ip: None,
    };
    tunnel.try_send(&transmit).unwrap();
}

async fn receive(tunnel: &Tunnel) -> (SocketAddr, Vec<u8>) {
    let (mut memory, mut meta) = (vec![0; 2048], [RecvMeta::default()]);
    let received =
        poll_fn(|cx| tunnel.poll_recv(cx, &mut [IoSliceMut::new(&mut memory)], &mut meta));
    soon(received).await.unwrap();
    (meta[0].addr, memory[..meta[0].len].to_vec())
}

async fn seen_at(tunnel: &Tunnel) -> SocketAddr {
    let transaction = TransactionId([7; 12]);
    send(tunnel, &encode_binding_request(transaction));
    let (from, answer) = receive(tunnel).await;
    let answer = decode_binding_response(&answer).expect("a response");
    assert_eq!(answer.transaction, transaction);
    assert!(!is_tunnel(from));
    answer.mapped
}

#[tokio::test]
async fn what_goes_into_a_tunnel_is_answered_as_if_it_were_udp() {
    let server = start(Config::on_loopback());
    let (one, other) = (server.open().await.unwrap(), server.open().await.unwrap());
    let (here, there) = (seen_at(&one).await, seen_at(&other).await);
    assert!(is_tunnel(here) && is_tunnel(there) && here != there);
    assert_eq!(server.handle.counters().tunnels, 2);
    drop(one);
    let counted = server.counted(|now| now.tunnels == 1).await;
    assert_eq!((counted.tunnels_opened, counted.stun_answered), (2, 2));
}

#[tokio::test]
async fn a_server_with_another_key_is_refused() {
    let server = start(Config::on_loopback());
    let other = Identity::generate().peer_id();
    let error = server.open_as(other).await.unwrap_err();
    let TunnelError::Tls(error) = error else {
        panic!("{error:?}");
    };
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    assert!(
        matches!(inner, Some(rustls::Error::InvalidCertificate(_))),
        "{error:?}"
    );
    server.counted(|now| now.tunnels_failed == 1).await;
}

#[tokio::test]
async fn more_than_so_many_are_turned_away_and_later_let_in() {
    let mut config = Config::on_loopback();
    config.max_tunnels = 2;
    let server = start(config);
    let first = server.open().await.unwrap();
    let _second = server.open().await.unwrap();
    assert!(server.open().await.is_err());
    assert_eq!(server.handle.counters().tunnels_refused, 1);
    drop(first);
    server.counted(|now| now.tunnels == 1).await;
    // The place is free a moment after the tunnel is gone.
    soon(async { while server.open().await.is_err() {} }).await;
}

#[tokio::test]
async fn one_network_has_its_share_of_them() {
    let mut config = Config::on_loopback();
    config.max_tunnels_per_network = 1;
    let server = start(config);
    let _first = server.open().await.unwrap();
    assert!(server.open().await.is_err());
}

#[tokio::test]
async fn other_requests_get_no_tunnel_and_no_second_chance() {
    let server = start(Config::on_loopback());
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /gimlet/1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /gimlet/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "nonsense\r\n\r\n",
    ] {
        let mut tls = talk(&server).await;
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // It may end without saying goodbye.
        let _ = soon(tls.read_to_string(&mut answer)).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request:?}: {answer:?}");
    }
    assert_eq!(server.handle.counters().tunnels_opened, 0);
}

/// A TLS connection to the server, and nothing in it yet.
async fn talk(server: &Running) -> tokio_rustls::client::TlsStream<TcpStream> {
    let credential = Credential::new(&Identity::generate()).unwrap();
    let config = credential.tunnel_client(Some(server.id)).unwrap();
    let tcp = TcpStream::connect(server.tls).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let connecting = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp);
    soon(connecting).await.unwrap()
}

/// Opens a tunnel by hand and sends one WebSocket frame, its payload unmasked by a key of zeros.
async fn say(server: &Running, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut tls = talk(server).await;
    let request = "GET /gimlet/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(tls.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut frame = vec![0x80 | opcode, 0x80 | 127];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    // It may be cut off before all is sent.
    let _ = tls.write_all(&frame).await;
    let mut rest = Vec::new();
    let _ = soon(tls.read_to_end(&mut rest)).await;
    rest
}

#[tokio::test]
async fn a_tunnel_that_does_not_carry_packets_is_ended() {
    let server = start(Config::on_loopback());
    let (text, binary) = (1, 2);
    let messages = [
        (binary, vec![0, 0]),
        (binary, vec![0, 9, 1]),
        (binary, vec![0xff; 100]),
        (text, b"hello".to_vec()),
        // Refused by its length alone.
        (binary, vec![0; 70_000]),
    ];
    let count = messages.len() as u64;
    for (opcode, payload) in messages {
        // That it returns says that the server has ended the connection.
        say(&server, opcode, &payload).await;
    }
    let counted = server.counted(|now| now.tunnels == 0).await;
    assert_eq!(counted.tunnels_opened, count);
    seen_at(&server.open().await.unwrap()).await;
}

#[tokio::test]
async fn tunnels_end_with_the_server() {
    let server = start(Config::on_loopback());
    let tunnel = server.open().await.unwrap();
    seen_at(&tunnel).await;
    let ended = tunnel.ended();
    server.task.abort();
    soon(ended).await;
}

#[tokio::test]
async fn the_tcp_port_is_that_of_udp_another_one_or_none() {
    let bound = |listen_tls| {
        let mut config = Config::on_loopback();
        config.listen_tls = listen_tls;
        Server::bind(config).unwrap()
    };
    let elsewhere = bound(TlsPort::At(SocketAddr::from(([127, 0, 0, 1], 0))));
    let port = elsewhere.tls_addr().unwrap().port();
    assert_eq!(elsewhere.address().tls_port(), port);
    let none = bound(TlsPort::Off);
    assert_eq!((none.tls_addr(), none.address().tls), (None, None));
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::on_loopback();
    config.listen_tls = TlsPort::At(held.local_addr().unwrap());
    let error = Server::bind(config).unwrap_err().to_string();
    assert!(error.contains("--listen-tls"), "{error}");
}
