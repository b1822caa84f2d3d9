//! A simulated internet with servers and peers on it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gimlet::{Changes, Endpoint, Identity, Network, ServerAddress};
use gimlet_server::{BindError, Config, Server, ServerHandle, Sockets};
use gimlet_sim::{HostId, LinkConfig, Net, NodeId, RouterId, RouterKind};
use quinn::AsyncUdpSocket;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::socket::SimSocket;

/// UDP port of peers; behind port-preserving NATs it shows outside as well.
const PEER_PORT: u16 = 7000;

/// Where the free ports of a host begin.
const FIRST_FREE_PORT: u16 = 20_000;

/// Where [`World::server`] puts its server.
const SERVER_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

/// UDP port of servers.
const SERVER_PORT: u16 = 3478;

/// Uplinks of 10 ms each way: 40 ms round trip between any two hosts, 80 ms over a server.
pub fn rtt_40ms() -> LinkConfig {
    LinkConfig::with_delay(Duration::from_millis(10))
}

/// Stamps log lines with the virtual time since the world began.
struct VirtualTime(tokio::time::Instant);

impl tracing_subscriber::fmt::time::FormatTime for VirtualTime {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{:9.3}", self.0.elapsed().as_secs_f64())
    }
}

/// The network, and the sockets at its edge.
pub(crate) struct Wire {
    net: Mutex<Net>,
    sockets: Mutex<HashMap<(HostId, SocketAddr), Arc<SimSocket>>>,
    /// Hosts that get packets from the server alone.
    server_only: Mutex<HashSet<HostId>>,
    /// Hosts that can't send to an address, nor get packets from there.
    cut: Mutex<HashSet<(HostId, IpAddr)>>,
    changed: Notify,
}

impl Wire {
    /// Fails, as an operating system does, where the host has no address of that family.
    pub(crate) fn send(
        &self,
        host: HostId,
        from: SocketAddr,
        to: SocketAddr,
        datagram: &[u8],
    ) -> io::Result<()> {
        let mut net = self.net.lock().expect("the network does not panic");
        let own = net.addrs(host);
        if !own.iter().any(|ip| ip.is_ipv4() == to.is_ipv4()) {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        if self.is_cut(host, to.ip()) {
            return Ok(());
        }
        net.send(now(), host, from, to, datagram.to_vec());
        self.changed.notify_one();
        Ok(())
    }

    fn is_cut(&self, host: HostId, from: IpAddr) -> bool {
        let cut = self.cut.lock().expect("nobody panics with it");
        cut.contains(&(host, from))
    }

    /// Carries packets until the world is dropped.
    async fn run(self: Arc<Self>) {
        loop {
            let next = self.deliver();
            let changed = self.changed.notified();
            match next {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => (),
                    () = changed => (),
                },
                None => changed.await,
            }
        }
    }

    /// Delivers what is due; returns when the next packet is.
    fn deliver(&self) -> Option<Instant> {
        let mut net = self.net.lock().expect("the network does not panic");
        while let Some(delivery) = net.poll_delivery(now()) {
            let server_only = self.server_only.lock().expect("nobody panics with it");
            let server_only = server_only.contains(&delivery.host);
            if server_only && delivery.src.ip() != SERVER_IP
                || self.is_cut(delivery.host, delivery.src.ip())
            {
                continue;
            }
            let sockets = self.sockets.lock().expect("no socket panics");
            let any = SocketAddr::new(unspecified(delivery.dst), delivery.dst.port());
            let exact = sockets.get(&(delivery.host, delivery.dst));
            if let Some(socket) = exact.or_else(|| sockets.get(&(delivery.host, any))) {
                socket.deliver(delivery.src, delivery.payload);
            }
        }
        net.poll_timeout()
    }
}

/// Where a host is: how to bind sockets on it.
#[derive(Clone)]
pub struct Place {
    wire: Arc<Wire>,
    /// The host in the network.
    pub host: HostId,
}

impl Place {
    fn bind(&self, ip: IpAddr, port: u16) -> Arc<SimSocket> {
        let local = SocketAddr::new(ip, port);
        let socket = SimSocket::new(self.wire.clone(), self.host, local);
        let mut sockets = self.wire.sockets.lock().expect("no socket panics");
        sockets.insert((self.host, local), socket.clone());
        socket
    }

    /// A port that no socket of this host has had.
    fn free_port(&self, ip: IpAddr) -> u16 {
        let sockets = self.wire.sockets.lock().expect("no socket panics");
        (FIRST_FREE_PORT..)
            .find(|&port| !sockets.contains_key(&(self.host, SocketAddr::new(ip, port))))
            .expect("fewer sockets than ports")
    }

    /// A socket on this host's first address.
    pub fn socket(&self, port: u16) -> Arc<dyn AsyncUdpSocket> {
        self.bind(self.addrs()[0], port)
    }

    fn addrs(&self) -> Vec<IpAddr> {
        self.wire
            .net
            .lock()
            .expect("the network does not panic")
            .addrs(self.host)
            .to_vec()
    }

    /// The same with sockets that survive a change of address, as the operating system's do, and what
    /// tells the peer of one.
    pub fn roaming(&self) -> (Network, watch::Sender<Changes>) {
        let any = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        let sockets = any.map(|ip| self.bind(ip, PEER_PORT) as Arc<dyn AsyncUdpSocket>);
        let place = self.clone();
        let (tell, changes) = watch::channel(Changes::default());
        let network = Network::custom(sockets.to_vec(), move |_| place.addrs());
        (network.with_changes(changes), tell)
    }

    /// The same with a clock that is ahead of the servers' by so many seconds, or behind.
    pub fn network_with_clock(&self, ahead_s: i64) -> Network {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let (began_at, began_s) = (now(), since.map_or(0, |since| since.as_secs()));
        self.network().with_clock(move || {
            let elapsed_s = now().saturating_duration_since(began_at).as_secs();
            (began_s + elapsed_s).saturating_add_signed(ahead_s)
        })
    }

    /// The sockets and addresses of a peer on this host.
    pub fn network(&self) -> Network {
        let addrs = self.addrs();
        let sockets = addrs
            .iter()
            .map(|&ip| self.bind(ip, PEER_PORT) as Arc<dyn AsyncUdpSocket>)
            .collect();
        let place = self.clone();
        Network::custom(sockets, move |_| addrs.clone()).with_opener(move |family| {
            let own = place.addrs();
            let ip = own
                .iter()
                .find(|ip| family.reaches(SocketAddr::new(**ip, 0)));
            let ip = *ip.ok_or(io::ErrorKind::AddrNotAvailable)?;
            Ok(place.bind(ip, place.free_port(ip)) as Arc<dyn AsyncUdpSocket>)
        })
    }
}

/// A peer's endpoint and where it is.
pub struct Peer {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its host.
    pub place: Place,
}

/// The simulated internet. Needs a current-thread runtime with paused time.
pub struct World {
    wire: Arc<Wire>,
    pump: JoinHandle<()>,
    next: u8,
}

impl Drop for World {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl World {
    /// An empty internet.
    pub fn new(seed: u64) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            // Fails when a test before has set it already, which is as good.
            let _ = tracing_subscriber::fmt()
                .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
                .with_timer(VirtualTime(tokio::time::Instant::now()))
                .with_test_writer()
                .try_init();
        }
        let wire = Arc::new(Wire {
            net: Mutex::new(Net::new(seed, now())),
            sockets: Mutex::default(),
            server_only: Mutex::default(),
            cut: Mutex::default(),
            changed: Notify::new(),
        });
        let pump = tokio::spawn(wire.clone().run());
        Self {
            wire,
            pump,
            next: 1,
        }
    }

    /// Changes or asks the network.
    pub fn net<T>(&self, act: impl FnOnce(&mut Net) -> T) -> T {
        act(&mut self.wire.net.lock().expect("the network does not panic"))
    }

    /// A host with these addresses.
    pub fn host(&mut self, parent: Option<RouterId>, addrs: &[&str], link: LinkConfig) -> Place {
        let addrs = addrs
            .iter()
            .map(|ip| ip.parse().expect("an IP address"))
            .collect();
        let host = self.net(|net| net.add_host(parent, addrs, link));
        Place {
            wire: self.wire.clone(),
            host,
        }
    }

    /// One more router on the internet, with nobody behind it yet.
    pub fn router(&mut self, kind: RouterKind, link: LinkConfig) -> RouterId {
        let outside = vec![IpAddr::from([198, 51, 100, self.next])];
        self.next += 1;
        self.net(|net| net.add_router(None, kind, outside, link))
    }

    /// A host on the internet, or behind routers of its own; the outermost router has the uplink.
    pub fn site(&mut self, routers: &[RouterKind], link: LinkConfig) -> Place {
        let n = self.next;
        self.next += 1;
        let mut parent = None;
        for (depth, kind) in routers.iter().enumerate() {
            let outside: IpAddr = match depth {
                0 => IpAddr::from([198, 51, 100, n]),
                depth => IpAddr::from([100, 64, depth as u8, n]),
            };
            // A firewall lets addresses through unchanged: the host behind it is as public.
            let uplink = if depth == 0 {
                link.clone()
            } else {
                LinkConfig::default()
            };
            let kind = kind.clone();
            parent = Some(self.net(|net| net.add_router(parent, kind, vec![outside], uplink)));
        }
        let behind_nat = routers
            .iter()
            .any(|kind| matches!(kind, RouterKind::Nat(_)));
        let addr = match behind_nat {
            true => format!("192.168.{n}.2"),
            false => format!("203.0.113.{}", 100 + n),
        };
        let own_link = if routers.is_empty() {
            link.clone()
        } else {
            LinkConfig::default()
        };
        self.host(parent, &[&addr], own_link)
    }

    /// A server on the internet, running until the returned guard is dropped.
    pub fn server(&mut self, link: LinkConfig, config: Config) -> RunningServer {
        let place = self.host(None, &[&SERVER_IP.to_string()], link);
        self.server_at(&place, config)
    }

    /// A server on a given host, for example the same again after it was stopped.
    pub fn server_at(&mut self, place: &Place, config: Config) -> RunningServer {
        let ip = place.addrs()[0];
        let own = [SERVER_PORT, SERVER_PORT + 1].map(|port| place.bind(ip, port));
        let [main, alt] = own.clone();
        let sockets = Sockets {
            main,
            shards: Vec::new(),
            drops: Vec::new(),
            alt: Some(alt),
            second: None,
        };
        let mut server = Server::with_sockets(config.clone(), sockets.clone());
        // The thread that writes a killed server's names lets go of the file in its own time.
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(server, Err(BindError::Names(_))) && Instant::now() < deadline {
            std::thread::yield_now();
            server = Server::with_sockets(config.clone(), sockets.clone());
        }
        let server = server.expect("a simulated server starts");
        let (address, handle) = (server.address(), server.handle());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            // Dropping the guard stops it as well.
            server
                .run(async { drop(stopped.await) })
                .await
                .expect("a simulated server runs");
        });
        RunningServer {
            address,
            handle,
            place: place.clone(),
            sockets: own,
            stop: Some(stop),
            task,
        }
    }

    /// A peer on `place`, signing in to `server`.
    pub async fn peer(
        &self,
        place: Place,
        server: &ServerAddress,
        configure: impl FnOnce(gimlet::Builder) -> gimlet::Builder,
    ) -> Peer {
        let network = place.network();
        self.peer_on(place, network, server, configure).await
    }

    /// A peer whose host may move, and what tells it of that.
    pub async fn roaming_peer(
        &self,
        place: Place,
        server: &ServerAddress,
    ) -> (Peer, watch::Sender<Changes>) {
        let (network, tell) = place.roaming();
        (self.peer_on(place, network, server, |b| b).await, tell)
    }

    async fn peer_on(
        &self,
        place: Place,
        network: Network,
        server: &ServerAddress,
        configure: impl FnOnce(gimlet::Builder) -> gimlet::Builder,
    ) -> Peer {
        let builder = Endpoint::builder()
            .identity(Identity::generate())
            .server(server.clone())
            .alpns(vec![b"test/1".to_vec()])
            .network(network);
        let endpoint = configure(builder)
            .bind()
            .await
            .expect("simulated sockets bind");
        Peer { endpoint, place }
    }

    /// Makes packets that two hosts send each other vanish without notice, or pass again. Those of
    /// the server pass.
    pub fn block_direct(&self, a: &Place, b: &Place, blocked: bool) {
        let mut server_only = self.wire.server_only.lock().expect("nobody panics with it");
        for place in [a, b] {
            match blocked {
                true => server_only.insert(place.host),
                false => server_only.remove(&place.host),
            };
        }
    }

    /// Makes packets between a host and a server vanish without notice, or pass again.
    pub fn cut(&self, host: &Place, server: &Place, cut: bool) {
        let mut all = self.wire.cut.lock().expect("nobody panics with it");
        for ip in server.addrs() {
            match cut {
                true => all.insert((host.host, ip)),
                false => all.remove(&(host.host, ip)),
            };
        }
    }

    /// Makes everything to and from a node vanish, or pass again.
    pub fn set_dark(&self, node: impl Into<NodeId>, dark: bool) {
        self.net(|net| net.set_dark(node, dark));
    }
}

/// A server that runs until it is stopped or this is dropped.
pub struct RunningServer {
    /// The line to paste.
    pub address: ServerAddress,
    /// Its counters and events.
    pub handle: ServerHandle,
    /// Its host.
    pub place: Place,
    sockets: [Arc<SimSocket>; 2],
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Stops it gracefully.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        // A panic of the server is the test's.
        (&mut self.task).await.expect("the server does not panic");
    }

    /// Kills it as SIGKILL does: without so much as a goodbye on the wire.
    pub async fn kill(&mut self) {
        self.sockets.iter().for_each(|socket| socket.mute());
        self.task.abort();
        // An error says that it was aborted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The address that a socket bound to every address of this family is under.
fn unspecified(addr: SocketAddr) -> IpAddr {
    match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
