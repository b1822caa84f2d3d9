//! A service behind one NAT, used from behind another. The network between is simulated, in virtual
//! time; the sockets of the service and of its user are the system's own.

mod absence;
mod neighbours;
mod wide;

use std::net::SocketAddr;
use std::sync::Arc;

use gimlet::{Builder, Identity, ServerAddress};
use gimlet_apps::Router;
use gimlet_apps::forward::{self, Allow, Exposed, Link, Listening};
use gimlet_server::Config;
use gimlet_sim::{Allocation, LinkConfig, Mapping, NatConfig, RouterKind};
use gimlet_tests::{Peer, Place, RunningServer, World, rtt_40ms};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A host with a service and a host that uses it, each behind a router.
struct Sites {
    world: World,
    server: RunningServer,
    host: Peer,
    identity: Identity,
    exposed: Arc<Exposed>,
    user: Peer,
    link: Link,
    service: TcpListener,
    listening: Listening,
}

/// A host that answers for what is exposed.
async fn serve(
    world: &World,
    place: Place,
    server: &ServerAddress,
    identity: &Identity,
    exposed: &Arc<Exposed>,
) -> Peer {
    serve_told(world, place, server, identity, exposed, |builder| builder).await
}

/// The same, told more.
async fn serve_told(
    world: &World,
    place: Place,
    server: &ServerAddress,
    identity: &Identity,
    exposed: &Arc<Exposed>,
    told: impl FnOnce(Builder) -> Builder,
) -> Peer {
    let exposed = exposed.clone();
    let router = Router::new().on(forward::ALPN, move |connection| {
        exposed.clone().serve(connection)
    });
    let (alpns, identity) = (router.alpns(), identity.clone());
    let configure = |builder: Builder| told(builder).alpns(alpns).identity(identity);
    let host = world.peer(place, server, configure).await;
    host.endpoint.online().await.unwrap();
    let serving = host.endpoint.clone();
    tokio::spawn(async move { router.serve(&serving).await });
    host
}

impl Sites {
    async fn new(seed: u64, host: RouterKind, user: RouterKind) -> Self {
        Self::with_server(seed, host, user, Config::on_loopback()).await
    }

    async fn with_server(seed: u64, host: RouterKind, user: RouterKind, config: Config) -> Self {
        Self::over(seed, (host, rtt_40ms()), (user, rtt_40ms()), config).await
    }

    /// Over these routers and links.
    async fn over(
        seed: u64,
        host: (RouterKind, LinkConfig),
        user: (RouterKind, LinkConfig),
        config: Config,
    ) -> Self {
        let host = (&[host.0][..], host.1);
        let user = (&[user.0][..], user.1);
        Self::told(seed, host, user, config, |_, builder| builder).await
    }

    /// The same, behind any number of routers, both told more.
    async fn told(
        seed: u64,
        host: (&[RouterKind], LinkConfig),
        user: (&[RouterKind], LinkConfig),
        config: Config,
        told: impl Fn(&Place, Builder) -> Builder,
    ) -> Self {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = forward::Place::Tcp(service.local_addr().unwrap().to_string());
        let name: forward::ServiceName = "web".parse().unwrap();
        let exposed = Exposed::new().service(name.clone(), place, Allow::Everyone);
        let (exposed, identity) = (Arc::new(exposed), Identity::generate());
        let mut world = World::new(seed);
        let server = world.server(rtt_40ms(), config);
        let (host, user) = (world.site(host.0, host.1), world.site(user.0, user.1));
        let (at, tell) = (host.clone(), |builder| told(&host, builder));
        let host = serve_told(&world, at, &server.address, &identity, &exposed, tell).await;
        let (at, tell) = (user.clone(), |builder| told(&user, builder).alpns(vec![]));
        let user = world.peer(at, &server.address, tell).await;
        let link = Link::new(user.endpoint.clone(), host.endpoint.peer_id());
        let local = "127.0.0.1:0".parse().unwrap();
        let listening = forward::listen(&link, &local, name).await.unwrap();
        Self {
            world,
            server,
            host,
            identity,
            exposed,
            user,
            link,
            service,
            listening,
        }
    }

    /// A connection of a program.
    async fn connect(&self) -> TcpStream {
        let forward::Place::Tcp(place) = self.listening.place() else {
            panic!("not TCP");
        };
        TcpStream::connect(place).await.unwrap()
    }

    /// A question through the forward, and its answer.
    async fn ask(&self) {
        let mut user = self.connect().await;
        let asking = async {
            user.write_all(b"GET /stream").await.unwrap();
            user.shutdown().await.unwrap();
            let mut answer = String::new();
            user.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "the stream");
        };
        let answering = async {
            let (mut service, _) = self.service.accept().await.unwrap();
            let mut question = String::new();
            service.read_to_string(&mut question).await.unwrap();
            assert_eq!(question, "GET /stream");
            service.write_all(b"the stream").await.unwrap();
        };
        tokio::join!(asking, answering);
    }
}

fn strict() -> RouterKind {
    RouterKind::Nat(NatConfig::strict())
}

fn symmetric(allocation: Allocation) -> RouterKind {
    RouterKind::Nat(NatConfig {
        mapping: Mapping::AddressAndPortDependent,
        allocation,
        ..NatConfig::strict()
    })
}

#[tokio::test(start_paused = true)]
async fn parity_e_a_service_behind_one_nat_is_reached_directly_from_behind_another() {
    let sites = Sites::new(1, strict(), strict()).await;
    let connection = sites.link.connection().await.unwrap();
    sites.ask().await;
    let path = connection.settled().await;
    let is_outside = |addr: SocketAddr| addr.ip().to_string().starts_with("198.51.100.");
    // Both addresses of the path are told: our own socket's, and where the other NAT shows its host.
    assert!(path.is_direct(), "{path}");
    assert_eq!(path.local.unwrap().ip().to_string(), "192.168.2.2");
    assert!(is_outside(path.remote.unwrap()), "{path}");
    // The reference system took 280 ms; two round trips to the server and one to the peer are less.
    let connected = connection.timings().connected;
    assert!(connected.as_millis() < 280, "{connected:?}");
    sites.ask().await;
}

#[tokio::test(start_paused = true)]
async fn parity_e_a_symmetric_nat_is_no_obstacle() {
    let sequential = Allocation::Sequential { step: 1 };
    let sites = Sites::new(2, strict(), symmetric(sequential)).await;
    sites.ask().await;
    let connection = sites.link.connection().await.unwrap();
    assert!(connection.settled().await.is_direct());
    sites.ask().await;
    // What no search can join stays relayed and works.
    let random = || symmetric(Allocation::Random);
    let sites = Sites::new(3, random(), random()).await;
    sites.ask().await;
    let connection = sites.link.connection().await.unwrap();
    assert!(!connection.settled().await.is_direct());
    sites.ask().await;
}
