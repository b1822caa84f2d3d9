//! Strangers throw everything at every UDP port of real sockets: noise, messages cut short and
//! disturbed, the largest datagrams there are, and exact copies of what was seen on the way.
//!
//! All of it must be dropped and counted, nothing may grow, and who was connected stays so.

mod ammunition;
mod tap;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gimlet::{Connection, CountersSnapshot, Endpoint, Network, ServerAddress};
use gimlet_net::{interfaces, socket};
use gimlet_proto::demux::{Kind, classify};
use gimlet_server::{Config, Server, ServerHandle, Snapshot};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use ammunition::{captured, noise};
use tap::Tap;

/// Longer than anything here takes on the slowest machine; only a failure waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Thrown before the target is waited for: fewer than any socket buffer holds.
const SALVO_DATAGRAMS: usize = 16;
const SALVO_BYTES: usize = 24 * 1024;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what)
        .await
        .expect("it happens before the deadline")
}

/// A server, two peers with a direct session, and a third that uses the relay.
struct Arena {
    address: ServerAddress,
    ports: [SocketAddr; 2],
    server: ServerHandle,
    a: Endpoint,
    b: Endpoint,
    _c: Endpoint,
    taps: Vec<Arc<Tap>>,
    direct: [Connection; 2],
    relayed: [Connection; 2],
}

impl Arena {
    async fn new() -> Self {
        let server = Server::bind(Config::on_loopback()).expect("the server binds");
        let address = server.address();
        let alt = server.alt_addr().expect("a second port");
        let ports = [server.local_addr(), alt];
        let handle = server.handle();
        tokio::spawn(server.run(std::future::pending()));
        let mut taps = Vec::new();
        let a = peer(&address, false, &mut taps).await;
        let b = peer(&address, false, &mut taps).await;
        let c = peer(&address, true, &mut taps).await;
        let direct = connect(&a, &b).await;
        let mut path = direct[0].path_changes();
        soon(path.wait_for(|path| path.is_direct())).await.unwrap();
        let relayed = connect(&c, &b).await;
        let arena = Self {
            address,
            ports,
            server: handle,
            a,
            b,
            _c: c,
            taps,
            direct,
            relayed,
        };
        arena.echo().await;
        arena
    }

    /// Bytes both ways over both sessions.
    async fn echo(&self) {
        for [dialled, accepted] in [&self.direct, &self.relayed] {
            echo(dialled, accepted).await;
        }
    }

    /// What the wire has carried so far.
    fn seen(&self) -> Vec<Vec<u8>> {
        self.taps.iter().flat_map(|tap| tap.seen()).collect()
    }
}

async fn peer(server: &ServerAddress, relay_only: bool, taps: &mut Vec<Arc<Tap>>) -> Endpoint {
    let sockets = socket::bind_peer(0).expect("sockets").into_iter();
    let tapped: Vec<_> = sockets.map(Tap::new).collect();
    taps.extend(tapped.iter().cloned());
    let sockets = tapped.into_iter().map(|tap| tap as Arc<_>).collect();
    let endpoint = Endpoint::builder()
        .server(server.clone())
        .network(Network::custom(sockets, interfaces::addresses))
        .alpns(vec![b"test/1".to_vec()])
        .relay_only(relay_only)
        .bind()
        .await
        .expect("the endpoint binds");
    soon(endpoint.online()).await.expect("it signs in");
    endpoint
}

async fn connect(from: &Endpoint, to: &Endpoint) -> [Connection; 2] {
    let (dialled, accepted) =
        soon(async { tokio::join!(from.connect(to.peer_id(), b"test/1"), to.accept()) }).await;
    [dialled.expect("it connects"), accepted.expect("it accepts")]
}

async fn echo(dialled: &Connection, accepted: &Connection) {
    soon(async {
        let (mut send, mut receive) = dialled.open_bi().await.unwrap();
        send.write_all(b"there and back").await.unwrap();
        send.finish().unwrap();
        let (mut back, mut there) = accepted.accept_bi().await.unwrap();
        back.write_all(&there.read_to_end(100).await.unwrap())
            .await
            .unwrap();
        back.finish().unwrap();
        assert_eq!(receive.read_to_end(100).await.unwrap(), b"there and back");
    })
    .await;
}

/// Throws datagrams at a port, salvo by salvo, each taken note of before the next.
async fn throw(target: SocketAddr, datagrams: &[Vec<u8>], noticed: impl Fn() -> u64) {
    let from = match target.ip() {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    };
    let stranger = UdpSocket::bind(from).await.expect("a socket");
    let before = noticed();
    let (mut salvo, mut bytes) = (0, 0);
    for (sent, datagram) in (1..).zip(datagrams) {
        stranger
            .send_to(datagram, target)
            .await
            .expect("it is sent");
        salvo += 1;
        bytes += datagram.len();
        if salvo == SALVO_DATAGRAMS || bytes >= SALVO_BYTES || sent as usize == datagrams.len() {
            let all = async {
                while noticed() - before < sent {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let counted = timeout(DEADLINE, all).await;
            assert!(
                counted.is_ok(),
                "{target}: {} of {sent}",
                noticed() - before
            );
            (salvo, bytes) = (0, 0);
        }
    }
}

fn noticed_by_server(now: &Snapshot) -> u64 {
    now.stun_answered
        + now.stun_ignored
        + now.stun_limited
        + now.foreign_dropped
        + now.quic_received
        + now.quic_dropped
        + now.relay_bound
        + now.relay_held
        + now.relay_unknown
        + now.relay_dropped
        + now.relayed_packets
}

fn dropped_by_peer(now: &CountersSnapshot) -> u64 {
    now.unknown_protocol + now.bad_stun + now.stranger_quic + now.bad_frame + now.overflow
}

/// How many of each kind there are; `None` is what nobody speaks.
fn kinds(datagrams: &[Vec<u8>]) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for datagram in datagrams {
        let name = match classify(datagram) {
            Some(Kind::Stun) => "stun",
            Some(Kind::Frame) => "frame",
            Some(Kind::Quic) => "quic",
            None => "foreign",
        };
        *kinds.entry(name).or_default() += 1;
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_drops_and_counts_what_strangers_throw_at_its_ports() {
    let arena = Arena::new().await;
    let mut datagrams = noise(1);
    datagrams.extend(captured(&arena.seen()));
    let thrown = kinds(&datagrams);
    assert!(
        thrown.len() == 4 && thrown.values().all(|&n| n > 20),
        "{thrown:?}"
    );
    let before = arena.server.counters();
    for port in arena.ports {
        let noticed = || noticed_by_server(&arena.server.counters());
        throw(port, &datagrams, noticed).await;
        arena.echo().await;
    }

    let after = arena.server.counters();
    let stun = |now: &Snapshot| now.stun_answered + now.stun_ignored + now.stun_limited;
    assert!(
        stun(&after) - stun(&before) >= 2 * thrown["stun"],
        "{after:?}"
    );
    // The second port speaks nothing but STUN.
    let foreign = after.foreign_dropped - before.foreign_dropped;
    let on_second_port = datagrams.len() as u64 - thrown["stun"];
    assert!(foreign >= thrown["foreign"] + on_second_port, "{after:?}");
    let frames = |now: &Snapshot| now.relay_unknown + now.relay_dropped + now.foreign_dropped;
    let refused = frames(&after) - frames(&before);
    assert!(
        refused >= thrown["frame"] + thrown["foreign"] + on_second_port,
        "{after:?}"
    );
    assert_eq!(
        (after.peers, after.sessions),
        (before.peers, before.sessions)
    );
    assert_eq!(
        after.relay_held, before.relay_held,
        "nothing is kept for strangers"
    );

    unharmed(&arena).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_drops_and_counts_what_strangers_throw_at_its_ports() {
    let arena = Arena::new().await;
    let mut datagrams = noise(2);
    datagrams.extend(captured(&arena.seen()));
    for endpoint in [&arena.a, &arena.b] {
        for local in endpoint.local_addrs() {
            let loopback: IpAddr = match local {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            };
            let target = SocketAddr::new(loopback, local.port());
            let before = endpoint.counters();
            let noticed = || dropped_by_peer(&endpoint.counters());
            throw(target, &datagrams, noticed).await;
            let (after, thrown) = (endpoint.counters(), kinds(&datagrams));
            assert!(
                after.stranger_quic - before.stranger_quic >= thrown["quic"],
                "{after:?}"
            );
            assert!(
                after.bad_frame - before.bad_frame >= thrown["frame"],
                "{after:?}"
            );
            assert!(after.unknown_protocol - before.unknown_protocol >= thrown["foreign"]);
            assert!(
                after.bad_stun - before.bad_stun >= thrown["stun"],
                "{after:?}"
            );
            arena.echo().await;
        }
    }
    unharmed(&arena).await;
}

/// Sessions are where they were, and a newcomer can sign in and connect.
async fn unharmed(arena: &Arena) {
    arena.echo().await;
    assert!(arena.direct[0].path().is_direct() && arena.direct[1].path().is_direct());
    let counters = arena.server.counters();
    assert_eq!((counters.peers, counters.sessions), (3, 2), "{counters:?}");

    let newcomer = peer(&arena.address, false, &mut Vec::new()).await;
    let [dialled, accepted] = connect(&newcomer, &arena.b).await;
    echo(&dialled, &accepted).await;
    let listing = soon(newcomer.list()).await.expect("the list");
    assert_eq!((listing.peers.len(), listing.sessions.len()), (4, 3));
}
