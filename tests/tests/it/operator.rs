//! What scenarios with several servers share: an operator with some of them, and peers who know them.

use std::time::Duration;

use gimlet::{Endpoint, ServerRole, ServerStatus};
use gimlet_server::Config;
use gimlet_sim::{LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{Peer, RunningServer, World, rtt_40ms};
use tokio::time::{Instant, sleep};

use crate::bench::nat;

/// How long anything is waited for.
const DEADLINE: Duration = Duration::from_secs(120);

/// A world with some servers, which are the same again after a restart.
pub(crate) struct Operator {
    pub(crate) world: World,
    pub(crate) servers: Vec<RunningServer>,
    /// Uplink of each peer's site.
    pub(crate) link: LinkConfig,
    state: tempfile::TempDir,
}

impl Operator {
    /// One server for each uplink delay, in milliseconds.
    pub(crate) fn new(seed: u64, delays_ms: &[u64]) -> Self {
        let mut operator = Self {
            world: World::new(seed),
            servers: Vec::new(),
            link: rtt_40ms(),
            state: tempfile::tempdir().expect("a folder"),
        };
        for (nth, &delay_ms) in delays_ms.iter().enumerate() {
            let link = LinkConfig::with_delay(Duration::from_millis(delay_ms));
            let addr = format!("203.0.113.{}", nth + 1);
            let place = operator.world.host(None, &[&addr], link);
            let config = operator.config(nth);
            let server = operator.world.server_at(&place, config);
            operator.servers.push(server);
        }
        operator
    }

    fn config(&self, nth: usize) -> Config {
        let mut config = Config::on_loopback();
        config.state = Some(self.state.path().join(nth.to_string()));
        config
    }

    /// A peer that knows these servers and is signed in.
    pub(crate) async fn peer(&mut self, site: &[RouterKind], servers: &[usize]) -> Peer {
        let peer = self.peer_named(site, servers, None).await;
        peer.endpoint.online().await.expect("it signs in");
        peer.endpoint.net_report().await;
        peer
    }

    pub(crate) async fn peer_named(
        &mut self,
        site: &[RouterKind],
        servers: &[usize],
        name: Option<&str>,
    ) -> Peer {
        let place = self.world.site(site, self.link.clone());
        let addresses = servers.iter().map(|&nth| self.servers[nth].address.clone());
        let mut addresses = addresses.collect::<Vec<_>>().into_iter();
        let first = addresses.next().expect("a peer knows a server");
        let configure = |mut builder: gimlet::Builder| {
            for address in addresses {
                builder = builder.server(address);
            }
            if let Some(name) = name {
                builder = builder.name(name.parse().expect("a name"));
            }
            builder
        };
        self.world.peer(place, &first, configure).await
    }

    pub(crate) async fn kill(&mut self, nth: usize) {
        self.servers[nth].kill().await;
    }

    pub(crate) fn restart(&mut self, nth: usize) {
        let place = self.servers[nth].place.clone();
        let config = self.config(nth);
        self.servers[nth] = self.world.server_at(&place, config);
    }
}

/// Two peers whose sessions stay on the relay, connected.
pub(crate) async fn relayed(operator: &mut Operator, servers: &[usize]) -> (Peer, Peer) {
    let site = nat(NatConfig::symmetric());
    let a = operator.peer(&site, servers).await;
    let b = operator.peer(&site, servers).await;
    // The second server is warm by now.
    sleep(Duration::from_secs(3)).await;
    (a, b)
}

pub(crate) async fn connect(a: &Peer, b: &Peer) -> (gimlet::Connection, gimlet::Connection) {
    let dial = a.endpoint.connect(b.endpoint.peer_id(), b"test/1");
    let (dialled, accepted) = tokio::join!(dial, b.endpoint.accept());
    (dialled.expect("it connects"), accepted.expect("it is open"))
}

pub(crate) async fn roles(endpoint: &Endpoint) -> Vec<ServerRole> {
    let servers = endpoint.servers().await;
    servers.iter().map(|server| server.role).collect()
}

/// Waits until the servers are as expected.
pub(crate) async fn until(
    endpoint: &Endpoint,
    expected: impl Fn(&[ServerStatus]) -> bool,
) -> Duration {
    let started = Instant::now();
    while !expected(&endpoint.servers().await) {
        let now = endpoint.servers().await;
        assert!(started.elapsed() < DEADLINE, "still {now:?}");
        sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}
