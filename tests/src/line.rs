//! A line between two sites, and flows over it that are measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gimlet::{Connection, Identity, bulk};
use gimlet_net::congestion::PathEpoch;
use gimlet_net::tls::Credential;
use gimlet_net::transport;
use gimlet_sim::{JitterKind, LinkConfig, RouterId, RouterKind};
use quinn::congestion::ControllerFactory;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig, TokioRuntime, TransportConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::world::{Place, World};

/// Gap between looks at the round trip of a flow under load.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Protocol of plain flows.
const ALPN: &[u8] = b"line/1";

/// Makes controllers of a flow.
pub type Controllers = Arc<dyn ControllerFactory + Send + Sync>;

/// What lies between two sites. Half of the delay is in either site's uplink; the bottleneck is the
/// sending one's, in both directions.
#[derive(Debug, Clone)]
pub struct Line {
    /// Bits per second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Bytes that the bottleneck holds.
    pub queue: usize,
    /// Chance that a packet is lost, each way.
    pub loss: f64,
    /// Round trip while the queue is empty.
    pub rtt: Duration,
    /// Most that a packet is late besides, each way.
    pub jitter: Duration,
    /// What makes it late.
    pub jitter_kind: JitterKind,
}

impl Line {
    /// A clean line of 100 Mbit/s and 40 ms behind a common home router's 256 KiB.
    pub fn common() -> Self {
        Self {
            rate: Some(100_000_000),
            queue: 256 << 10,
            loss: 0.0,
            rtt: Duration::from_millis(40),
            jitter: Duration::ZERO,
            jitter_kind: JitterKind::default(),
        }
    }

    /// The sending site's uplink.
    pub fn near(&self) -> LinkConfig {
        LinkConfig {
            rate: self.rate,
            queue: self.queue,
            loss: self.loss,
            jitter: self.jitter,
            jitter_kind: self.jitter_kind,
            ..LinkConfig::with_delay(self.rtt / 4)
        }
    }

    /// The receiving site's.
    pub fn far(&self) -> LinkConfig {
        LinkConfig::with_delay(self.rtt / 4)
    }
}

/// Two sites with the line between them, and no NAT.
pub struct Sites {
    near: RouterId,
    far: RouterId,
    hosts: u8,
}

impl Sites {
    /// On `world`, joined by `line`.
    pub fn new(world: &mut World, line: &Line) -> Self {
        Self {
            near: world.router(RouterKind::Plain, line.near()),
            far: world.router(RouterKind::Plain, line.far()),
            hosts: 0,
        }
    }

    /// One more host at either site, sender first.
    pub fn pair(&mut self, world: &mut World) -> (Place, Place) {
        self.hosts += 1;
        let mut host = |site, net| {
            let addr = format!("203.0.113.{}", net + self.hosts);
            world.host(Some(site), &[&addr], LinkConfig::default())
        };
        (host(self.near, 10), host(self.far, 60))
    }
}

/// A bulk transfer without end.
pub struct Flow {
    sender: quinn::Connection,
    received: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
    _endpoints: Vec<Endpoint>,
}

/// What was seen of a flow in some time.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Bytes that arrived, in MB a second.
    pub goodput: f64,
    /// Packets lost of those sent.
    pub lost: f64,
    /// Median of the round trip that the sender measured.
    pub rtt: Duration,
    /// Its 95th percentile.
    pub rtt_p95: Duration,
}

impl Flow {
    /// Of plain quinn with a peer's settings and these controllers.
    pub async fn plain(from: &Place, to: &Place, controllers: Controllers) -> Self {
        let (sending, receiving) = (Identity::generate(), Identity::generate());
        let settings = || {
            let mut settings = transport::peer_transport(PathEpoch::new());
            settings.congestion_controller_factory(controllers.clone());
            Arc::new(settings)
        };
        let (receiver, to) = listen(to, &receiving, &sending, settings());
        let sender = endpoint(from, None);
        let credential = Credential::new(&sending).expect("a certificate is made");
        let crypto = credential.peer_client(receiving.peer_id(), ALPN);
        let crypto = QuicClientConfig::try_from(crypto.expect("TLS is configured"));
        let mut config = ClientConfig::new(Arc::new(crypto.expect("TLS 1.3 is on")));
        config.transport_config(settings());
        let name = receiving.peer_id().server_name();
        let connecting = sender.connect_with(config, to, &name);
        let dial = async { connecting.expect("it is dialled").await };
        let accept = async { receiver.accept().await.expect("it listens").await };
        let (dialled, accepted) = tokio::try_join!(dial, accept).expect("they connect");
        let (received, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for _ in 0..bulk::DEFAULT_STRIPES {
            let (dialled, accepted) = (dialled.clone(), accepted.clone());
            tasks.spawn(async move {
                let mut stream = dialled.open_uni().await.expect("a stream opens");
                write_forever(&mut stream).await;
            });
            let received = received.clone();
            tasks.spawn(async move {
                let mut stream = accepted.accept_uni().await.expect("a stream comes");
                read_all(&mut stream, &received).await;
            });
        }
        Self {
            sender: dialled,
            received,
            _tasks: tasks,
            _endpoints: vec![sender, receiver],
        }
    }

    /// Of a Gimlet session.
    pub async fn bulk(from: Connection, to: Connection) -> Self {
        let (received, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let sender = from.quic().clone();
        tasks.spawn(async move {
            let sender = bulk::open(&from, 0, bulk::DEFAULT_STRIPES).await;
            write_forever(&mut sender.expect("a bulk opens")).await;
        });
        let count = received.clone();
        tasks.spawn(async move {
            let bulk = bulk::Acceptor::new(to).accept().await;
            read_all(&mut bulk.expect("a bulk comes"), &count).await;
        });
        Self {
            sender,
            received,
            _tasks: tasks,
            _endpoints: Vec::new(),
        }
    }

    /// Watches it for so long.
    pub async fn watch(&self, time: Duration) -> Seen {
        let (began_at, before) = (Instant::now(), self.received.load(Ordering::Relaxed));
        let path = self.sender.stats().path;
        let mut rtts = Vec::new();
        while began_at.elapsed() < time {
            tokio::time::sleep(LOOK_INTERVAL).await;
            rtts.push(self.sender.rtt());
        }
        rtts.sort_unstable();
        let bytes = self.received.load(Ordering::Relaxed) - before;
        let after = self.sender.stats().path;
        let sent = (after.sent_packets - path.sent_packets).max(1);
        Seen {
            goodput: bytes as f64 / began_at.elapsed().as_secs_f64() / 1e6,
            lost: (after.lost_packets - path.lost_packets) as f64 / sent as f64,
            rtt: rtts[rtts.len() / 2],
            rtt_p95: rtts[rtts.len() * 95 / 100],
        }
    }
}

fn listen(
    at: &Place,
    identity: &Identity,
    from: &Identity,
    settings: Arc<TransportConfig>,
) -> (Endpoint, SocketAddr) {
    let credential = Credential::new(identity).expect("a certificate is made");
    let crypto = credential.peer_server(from.peer_id(), &[ALPN.to_vec()]);
    let crypto = QuicServerConfig::try_from(crypto.expect("TLS is configured"));
    let mut config = ServerConfig::with_crypto(Arc::new(crypto.expect("TLS 1.3 is on")));
    config.transport_config(settings);
    let endpoint = endpoint(at, Some(config));
    let addr = endpoint.local_addr().expect("it is bound");
    (endpoint, addr)
}

fn endpoint(at: &Place, server: Option<ServerConfig>) -> Endpoint {
    let config = transport::endpoint_config(&[7; 32]);
    Endpoint::new_with_abstract_socket(config, server, at.socket(PORT), Arc::new(TokioRuntime))
        .expect("a runtime is there")
}

/// UDP port of plain flows.
const PORT: u16 = 9000;

async fn write_forever<W: AsyncWriteExt + Unpin>(stream: &mut W) {
    let block = vec![0x5a; 64 << 10];
    // Ends when the world does.
    while stream.write_all(&block).await.is_ok() {}
}

async fn read_all<R: AsyncReadExt + Unpin>(stream: &mut R, received: &AtomicU64) {
    let mut block = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut block).await {
        received.fetch_add(read as u64, Ordering::Relaxed);
    }
}
