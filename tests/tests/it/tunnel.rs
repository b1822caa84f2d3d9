//! Where UDP is blocked, over loopback with real sockets: signing in over TLS, relaying over it,
//! through proxies, and back to UDP.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet::{
    Builder, Changes, Connection, Endpoint, EndpointEvent, Identity, Network, PathKind, Proxy,
    ProxyError, ServerAddress, SignInError, SignedIn, Transport,
};
use gimlet_server::{Config, Server, ServerHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;

mod by_name;
mod shards;
mod two_servers;

const ALPN: &[u8] = b"test/1";

/// Longer than anything here takes on a busy machine; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, what)
        .await
        .expect("it happens before the deadline")
}

/// A server whose UDP port clients reach through a firewall.
struct World {
    handle: ServerHandle,
    /// Where the server is past the firewall.
    udp: SocketAddr,
    /// The server, with the firewall's UDP port and its own TCP port.
    address: ServerAddress,
    /// Whether the firewall lets UDP pass.
    open: watch::Sender<bool>,
    _tasks: [Task; 2],
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(tokio::spawn(work))
}

async fn world(open: bool) -> World {
    world_with(Config::on_loopback(), open).await
}

async fn world_with(config: Config, open: bool) -> World {
    let server = Server::bind(config).unwrap();
    let handle = server.handle();
    let udp = server.local_addr();
    let mut address = server.address();
    address.tls = Some(address.tls_port());
    let firewall = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    address.port = firewall.local_addr().unwrap().port();
    let (open, is_open) = watch::channel(open);
    let serve = async {
        server.run(std::future::pending()).await.unwrap();
    };
    World {
        handle,
        udp,
        address,
        open,
        _tasks: [spawn(serve), spawn(forward(firewall, udp, is_open))],
    }
}

/// Passes UDP on to `server` while the firewall is open, and drops it while it is not.
async fn forward(firewall: Arc<UdpSocket>, server: SocketAddr, open: watch::Receiver<bool>) {
    let mut ways: HashMap<SocketAddr, (Arc<UdpSocket>, Task)> = HashMap::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, client) = firewall.recv_from(&mut buffer).await.unwrap();
        if !*open.borrow() {
            continue;
        }
        if let Entry::Vacant(vacant) = ways.entry(client) {
            let way = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            let (back, firewall, open) = (way.clone(), firewall.clone(), open.clone());
            let answers = spawn(async move {
                let mut buffer = vec![0; 65_536];
                loop {
                    let (length, _) = back.recv_from(&mut buffer).await.unwrap();
                    if *open.borrow() {
                        firewall.send_to(&buffer[..length], client).await.unwrap();
                    }
                }
            });
            vacant.insert((way, answers));
        }
        ways[&client]
            .0
            .send_to(&buffer[..length], server)
            .await
            .unwrap();
    }
}

impl World {
    /// An endpoint that goes by the relay alone, so that it is seen to work.
    async fn endpoint(&self, configure: impl FnOnce(Builder) -> Builder) -> Endpoint {
        let builder = Endpoint::builder()
            .server(self.address.clone())
            .alpns(vec![ALPN.to_vec()])
            .relay_only(true);
        configure(builder).bind().await.unwrap()
    }

    async fn signed_in(&self) -> (Endpoint, SignedIn) {
        let endpoint = self.endpoint(|builder| builder).await;
        let signed_in = soon(endpoint.online()).await.unwrap();
        (endpoint, signed_in)
    }

    /// An endpoint that reaches the server past the firewall.
    async fn outside(&self, udp: SocketAddr) -> Endpoint {
        let mut address = self.address.clone();
        address.port = udp.port();
        let builder = Endpoint::builder()
            .server(address)
            .alpns(vec![ALPN.to_vec()]);
        let endpoint = builder.relay_only(true).bind().await.unwrap();
        let signed_in = soon(endpoint.online()).await.unwrap();
        assert_eq!(signed_in.transport, Transport::Udp);
        endpoint
    }
}

/// Sends a megabyte or more each way and compares it; returns the dialling side's connection.
async fn transfer(from: &Endpoint, to: &Endpoint, bytes: usize) -> Connection {
    let payload: Vec<u8> = (0..bytes).map(|n| ((n * 31) >> 7) as u8).collect();
    let expected = blake3::hash(&payload);
    let accept = async {
        let connection = to.accept().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let received = receive.read_to_end(bytes).await.unwrap();
        assert_eq!(blake3::hash(&received), expected);
        send.write_all(&received).await.unwrap();
        send.finish().unwrap();
        connection
    };
    let dial = async {
        let connection = from.connect(to.peer_id(), ALPN).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let write = async {
            send.write_all(&payload).await.unwrap();
            send.finish().unwrap();
        };
        let ((), back) = tokio::join!(write, receive.read_to_end(bytes));
        assert_eq!(blake3::hash(&back.unwrap()), expected);
        assert_eq!(connection.path().kind, PathKind::Relay);
        connection
    };
    let (dialled, _accepted) = soon(async { tokio::join!(dial, accept) }).await;
    dialled
}

#[tokio::test]
async fn where_udp_is_silent_it_signs_in_over_tls_within_three_seconds() {
    let world = world(false).await;
    let (endpoint, signed_in) = world.signed_in().await;
    assert_eq!(signed_in.transport, Transport::Tls);
    assert!(
        signed_in.elapsed < Duration::from_secs(3),
        "{:?}",
        signed_in.elapsed
    );
    assert_eq!(endpoint.list().await.unwrap().peers.len(), 1);
    assert_eq!(world.handle.counters().tunnels, 1);
    endpoint.close().await;
    let closed = async {
        while world.handle.counters().tunnels > 0 {
            time::sleep(Duration::from_millis(1)).await
        }
    };
    soon(closed).await;
}

#[tokio::test]
async fn where_udp_answers_no_tunnel_is_made() {
    let world = world(true).await;
    let (_endpoint, signed_in) = world.signed_in().await;
    assert_eq!(signed_in.transport, Transport::Udp);
    let counters = world.handle.counters();
    let tunnels = counters.tunnels_opened + counters.tunnels_failed + counters.tunnels_refused;
    assert_eq!(tunnels, 0);
}

#[tokio::test]
async fn two_peers_meet_over_the_relay_both_over_tls() {
    let world = world(false).await;
    let ((alice, _), (bob, _)) = tokio::join!(world.signed_in(), world.signed_in());
    transfer(&alice, &bob, 4 << 20).await;
    assert_eq!(world.handle.counters().tunnels, 2);
}

#[tokio::test]
async fn two_peers_meet_over_the_relay_one_over_tls_and_one_over_udp() {
    let server = Server::bind(Config::on_loopback()).unwrap();
    let udp = server.local_addr();
    let blocked = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut address = server.address();
    address.tls = Some(address.tls_port());
    address.port = blocked.local_addr().unwrap().port();
    let world = World {
        handle: server.handle(),
        udp,
        address,
        open: watch::channel(false).0,
        _tasks: [
            spawn(async { server.run(std::future::pending()).await.unwrap() }),
            spawn(std::future::pending()),
        ],
    };
    let outside = world.outside(udp).await;
    let (inside, signed_in) = world.signed_in().await;
    assert_eq!(signed_in.transport, Transport::Tls);
    transfer(&inside, &outside, 2 << 20).await;
    transfer(&outside, &inside, 2 << 20).await;
    assert_eq!(world.handle.counters().tunnels, 1);
}

#[tokio::test]
async fn once_udp_answers_the_session_moves_there_under_a_running_transfer() {
    let world = world(false).await;
    let (changes, told) = watch::channel(Changes::default());
    let network = Network::system(0).unwrap().with_changes(told);
    let alice = world.endpoint(|builder| builder.network(network)).await;
    let signed_in = soon(alice.online()).await.unwrap();
    assert_eq!(signed_in.transport, Transport::Tls);
    let (bob, _) = world.signed_in().await;
    let mut events = alice.events();

    let connection = transfer(&alice, &bob, 1000).await;
    let accepted = async {
        let connection = bob.accept().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        tokio::io::copy(&mut receive, &mut send).await.unwrap();
        send.finish().unwrap();
        connection
    };
    let echo = async {
        let connection = alice.connect(bob.peer_id(), ALPN).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let mut bounce = async |byte: u8| {
            send.write_all(&[byte; 10_000]).await.unwrap();
            let mut back = vec![0; 10_000];
            receive.read_exact(&mut back).await.unwrap();
            assert_eq!(back, [byte; 10_000]);
        };
        bounce(0).await;
        world.open.send_replace(true);
        changes.send_modify(|changes| changes.wakes += 1);
        let mut moved = false;
        let mut rounds = 0u8;
        while !moved {
            bounce(rounds).await;
            rounds = rounds.wrapping_add(1);
            while let Ok(event) = events.try_recv() {
                match event {
                    EndpointEvent::SignedIn(to) => moved |= to.transport == Transport::Udp,
                    EndpointEvent::SignedOut { reason } => panic!("signed out: {reason}"),
                    _ => (),
                }
            }
        }
        // Bob's tunnel stays; alice's is closed a little later, and nothing notices.
        while world.handle.counters().tunnels > 1 {
            bounce(rounds).await;
        }
        bounce(1).await;
        send.finish().unwrap();
        assert!(receive.read_to_end(1).await.unwrap().is_empty());
    };
    let ((), _accepted) = soon(async { tokio::join!(echo, accepted) }).await;
    drop(connection);
    assert!(alice.is_online());
}

#[tokio::test]
async fn a_tunnel_to_somebody_else_is_refused() {
    let world = world(false).await;
    let mut address = world.address.clone();
    address.key = Some(Identity::generate().peer_id());
    let endpoint = Endpoint::builder().server(address).bind().await.unwrap();
    let error = soon(endpoint.online()).await.unwrap_err();
    assert!(matches!(error, SignInError::WrongKey { .. }), "{error:?}");
}

#[tokio::test]
async fn when_the_tunnel_breaks_another_one_is_made_at_once() {
    let world = world(false).await;
    let (proxy, breaking) = Connect::start(None).await;
    let endpoint = world.endpoint(|builder| builder.proxy(proxy)).await;
    soon(endpoint.online()).await.unwrap();
    let mut events = endpoint.events();
    breaking.send_replace(1);
    let back =
        async { while !matches!(events.recv().await.unwrap(), EndpointEvent::SignedIn(_)) {} };
    soon(back).await;
    assert_eq!(world.handle.counters().tunnels_opened, 2);
}

#[tokio::test]
async fn a_proxy_is_passed_with_the_right_password_and_says_what_is_wrong_otherwise() {
    let world = world(false).await;
    // alice:secret
    let (proxy, _breaking) = Connect::start(Some("Basic YWxpY2U6c2VjcmV0")).await;
    let known: Proxy = format!("http://alice:secret@{proxy}").parse().unwrap();
    let endpoint = world.endpoint(|builder| builder.proxy(known)).await;
    let signed_in = soon(endpoint.online()).await.unwrap();
    assert_eq!(signed_in.transport, Transport::Tls);
    assert!(
        signed_in.elapsed < Duration::from_secs(3),
        "{:?}",
        signed_in.elapsed
    );

    let endpoint = world.endpoint(|builder| builder.proxy(proxy.clone())).await;
    let error = soon(endpoint.online()).await.unwrap_err();
    assert!(
        matches!(error, SignInError::Proxy(ProxyError::PasswordNeeded { .. })),
        "{error:?}"
    );
    let wrong: Proxy = format!("http://alice:guess@{proxy}").parse().unwrap();
    let endpoint = world.endpoint(|builder| builder.proxy(wrong)).await;
    let error = soon(endpoint.online()).await.unwrap_err();
    assert!(
        matches!(error, SignInError::Proxy(ProxyError::PasswordWrong { .. })),
        "{error:?}"
    );
    assert_eq!(world.handle.counters().tunnels_opened, 1);
}

/// A proxy that knows nothing but CONNECT.
struct Connect;

impl Connect {
    /// Starts one that wants to be shown `password`, if any. Whenever the counter changes, it breaks
    /// every connection.
    async fn start(password: Option<&'static str>) -> (Proxy, watch::Sender<u32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let (breaking, broken) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let mut broken = broken.clone();
                broken.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve_proxy(tcp, password) => (),
                        _ = broken.changed() => (),
                    }
                });
            }
        });
        (proxy.parse().unwrap(), breaking)
    }
}

async fn serve_proxy(mut tcp: TcpStream, password: Option<&str>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap().into());
    }
    let shown = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    if password.is_some() && shown != password {
        let denied =
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
        tcp.write_all(denied).await.unwrap();
        return;
    }
    let target = head.split(' ').nth(1).unwrap();
    assert!(head.starts_with("CONNECT "), "{head}");
    let mut server = TcpStream::connect(target).await.unwrap();
    tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .unwrap();
    // Either side may just go.
    let _ = tokio::io::copy_bidirectional(&mut tcp, &mut server).await;
}
