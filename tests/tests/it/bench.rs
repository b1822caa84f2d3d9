//! What scenarios share: two peers and a server, and things to do over a connection.

use std::time::Duration;

use gimlet::{Connection, Endpoint, Path};
use gimlet_server::Config;
use gimlet_sim::{LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{Peer, Place, RunningServer, World, rtt_40ms};
use tokio::time::Instant;

pub(crate) fn nat(config: NatConfig) -> Vec<RouterKind> {
    vec![RouterKind::Nat(config)]
}

pub(crate) fn strict() -> Vec<RouterKind> {
    nat(NatConfig::strict())
}

/// Two peers signed in to one server.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) server: RunningServer,
    pub(crate) a: Peer,
    pub(crate) b: Peer,
}

impl Pair {
    pub(crate) async fn new(seed: u64, a: &[RouterKind], b: &[RouterKind]) -> Self {
        Self::with_links(seed, a, b, rtt_40ms()).await
    }

    pub(crate) async fn with_links(
        seed: u64,
        a: &[RouterKind],
        b: &[RouterKind],
        link: LinkConfig,
    ) -> Self {
        Self::with_server(seed, a, b, link, Config::on_loopback()).await
    }

    pub(crate) async fn with_server(
        seed: u64,
        a: &[RouterKind],
        b: &[RouterKind],
        link: LinkConfig,
        config: Config,
    ) -> Self {
        let mut world = World::new(seed);
        let server = world.server(link.clone(), config);
        let (a, b) = (world.site(a, link.clone()), world.site(b, link));
        let a = sign_in(&world, a, &server).await;
        let b = sign_in(&world, b, &server).await;
        Self {
            world,
            server,
            a,
            b,
        }
    }

    /// A connection from a to b, both ends.
    pub(crate) async fn connect(&self) -> (Connection, Connection) {
        let (dialled, accepted) = tokio::join!(
            self.a
                .endpoint
                .connect(self.b.endpoint.peer_id(), b"test/1"),
            self.b.endpoint.accept()
        );
        (
            dialled.expect("it connects"),
            accepted.expect("the endpoint is open"),
        )
    }
}

/// A peer that is signed in and knows its own addresses.
pub(crate) async fn sign_in(world: &World, place: Place, server: &RunningServer) -> Peer {
    let peer = world.peer(place, &server.address, |b| b).await;
    peer.endpoint.online().await.expect("it signs in");
    peer.endpoint.net_report().await;
    peer
}

/// Waits until `endpoint` is signed in.
pub(crate) async fn online(endpoint: &Endpoint) {
    let mut events = endpoint.events();
    while !endpoint.is_online() {
        events.recv().await.expect("events go on");
    }
}

/// Waits until a connection's path is direct, or is not.
pub(crate) async fn path_is(connection: &Connection, direct: bool) -> Path {
    let mut path = connection.path_changes();
    let changed = path.wait_for(|path| path.is_direct() == direct);
    let path = tokio::time::timeout(Duration::from_secs(60), changed).await;
    *path
        .expect("the path changes within a minute")
        .expect("the peer is known")
}

/// One message there and back.
pub(crate) async fn echo(dialled: &Connection, accepted: &Connection, message: &[u8]) {
    let there = async {
        let (mut send, mut recv) = dialled.open_bi().await.expect("a stream opens");
        send.write_all(message).await.expect("it is written");
        send.finish().expect("it is finished");
        recv.read_to_end(message.len())
            .await
            .expect("the answer comes")
    };
    let back = async {
        let (mut send, mut recv) = accepted.accept_bi().await.expect("a stream comes");
        let message = recv.read_to_end(1 << 20).await.expect("the message comes");
        send.write_all(&message).await.expect("it is written");
        send.finish().expect("it is finished");
    };
    let (answer, ()) = tokio::join!(there, back);
    assert_eq!(answer, message);
}

/// Bytes that differ everywhere, so that loss, doubling and reordering all show.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// What came of a transfer.
pub(crate) struct Transfer {
    pub(crate) intact: bool,
    /// Longest time between two reads, each with when it ended.
    pub(crate) gaps: Vec<(Instant, Duration)>,
}

impl Transfer {
    /// The longest time without a read from `since` on, for ten seconds.
    ///
    /// # Panics
    ///
    /// Where all had been read before.
    pub(crate) fn pause_after(&self, since: Instant) -> Duration {
        let until = since + Duration::from_secs(10);
        let after = self.gaps.iter().filter(|(at, _)| *at > since);
        let pauses = after
            .filter(|&&(at, gap)| at - gap < until)
            .map(|&(at, gap)| at - since.max(at - gap));
        pauses.max().expect("the transfer was not over")
    }

    /// The longest pause that ended after `since`.
    pub(crate) fn longest_pause_since(&self, since: Instant) -> Duration {
        let after = self.gaps.iter().filter(|(at, _)| *at >= since);
        after.map(|&(_, gap)| gap).max().unwrap_or_default()
    }
}

/// Sends `bytes` over one stream and checks what arrives.
pub(crate) async fn transfer(from: &Connection, to: &Connection, bytes: &[u8]) -> Transfer {
    let send = async {
        let mut send = from.open_uni().await.expect("a stream opens");
        send.write_all(bytes).await.expect("it is written");
        send.finish().expect("it is finished");
        send.stopped().await.expect("it is acknowledged");
    };
    let receive = async {
        let mut recv = to.accept_uni().await.expect("a stream comes");
        receive(&mut recv, blake3::hash(bytes)).await
    };
    let ((), transfer) = tokio::join!(send, receive);
    transfer
}

/// Reads a stream to its end.
pub(crate) async fn receive(recv: &mut gimlet::RecvStream, expected: blake3::Hash) -> Transfer {
    let mut hasher = blake3::Hasher::new();
    let (mut gaps, mut last) = (Vec::new(), Instant::now());
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.expect("it goes on") {
        hasher.update(&chunk.bytes);
        let now = Instant::now();
        gaps.push((now, now - last));
        last = now;
    }
    Transfer {
        intact: hasher.finalize() == expected,
        gaps,
    }
}
