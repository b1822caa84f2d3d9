//! Several servers of one operator: the nearest is used, another takes over, and peers meet wherever
//! they are.

use std::time::Duration;

use gimlet::{ConnectError, Endpoint, ServerRole, ServerStatus};
use gimlet_server::Config;
use gimlet_sim::{LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{Peer, RunningServer, World, rtt_40ms};
use tokio::time::{Instant, sleep, timeout};

use crate::bench::{Transfer, echo, nat, path_is, payload, receive, strict, transfer};

/// Longest pause of a relayed transfer whose server is killed.
const FAILOVER: Duration = Duration::from_secs(3);

/// How long anything is waited for.
const DEADLINE: Duration = Duration::from_secs(120);

/// A world with some servers, which are the same again after a restart.
struct Operator {
    world: World,
    servers: Vec<RunningServer>,
    state: tempfile::TempDir,
}

impl Operator {
    /// One server for each uplink delay, in milliseconds.
    fn new(seed: u64, delays_ms: &[u64]) -> Self {
        let mut operator = Self {
            world: World::new(seed),
            servers: Vec::new(),
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
    async fn peer(&mut self, site: &[RouterKind], servers: &[usize]) -> Peer {
        let peer = self.peer_named(site, servers, None).await;
        peer.endpoint.online().await.expect("it signs in");
        peer.endpoint.net_report().await;
        peer
    }

    async fn peer_named(
        &mut self,
        site: &[RouterKind],
        servers: &[usize],
        name: Option<&str>,
    ) -> Peer {
        let place = self.world.site(site, rtt_40ms());
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

    /// As a lost power supply would: without so much as a goodbye on the wire.
    async fn kill(&mut self, nth: usize) {
        let host = self.servers[nth].place.host;
        self.world.set_dark(host, true);
        self.servers[nth].kill().await;
    }

    fn restart(&mut self, nth: usize) {
        let place = self.servers[nth].place.clone();
        self.world.set_dark(place.host, false);
        let config = self.config(nth);
        self.servers[nth] = self.world.server_at(&place, config);
    }
}

/// Two peers whose sessions stay on the relay, connected.
async fn relayed(operator: &mut Operator, servers: &[usize]) -> (Peer, Peer) {
    let site = nat(NatConfig::symmetric());
    let a = operator.peer(&site, servers).await;
    let b = operator.peer(&site, servers).await;
    // The second server is warm by now.
    sleep(Duration::from_secs(3)).await;
    (a, b)
}

async fn connect(a: &Peer, b: &Peer) -> (gimlet::Connection, gimlet::Connection) {
    let dial = a.endpoint.connect(b.endpoint.peer_id(), b"test/1");
    let (dialled, accepted) = tokio::join!(dial, b.endpoint.accept());
    (dialled.expect("it connects"), accepted.expect("it is open"))
}

async fn roles(endpoint: &Endpoint) -> Vec<ServerRole> {
    let servers = endpoint.servers().await;
    servers.iter().map(|server| server.role).collect()
}

/// Waits until the servers are as expected.
async fn until(endpoint: &Endpoint, expected: impl Fn(&[ServerStatus]) -> bool) -> Duration {
    let started = Instant::now();
    while !expected(&endpoint.servers().await) {
        let now = endpoint.servers().await;
        assert!(started.elapsed() < DEADLINE, "still {now:?}");
        sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_nearest_server_is_used_and_the_next_one_kept_warm() {
    let mut operator = Operator::new(1, &[80, 10, 40]);
    let started = Instant::now();
    let peer = operator.peer_named(&strict(), &[0, 1, 2], None).await;
    let signed_in = peer.endpoint.online().await.unwrap();
    let took = started.elapsed();
    assert_eq!(signed_in.server.ip().to_string(), "203.0.113.2");
    // Measuring takes a round trip of 40 ms, signing in two.
    assert!(took <= Duration::from_millis(130), "{took:?}");
    let measured = peer.endpoint.servers().await;
    let rtts: Vec<_> = measured
        .iter()
        .map(|at| at.rtt.unwrap().as_millis())
        .collect();
    assert_eq!(rtts, [180, 40, 100]);
    sleep(Duration::from_secs(3)).await;
    use ServerRole::{Idle, Primary, Warm};
    assert_eq!(roles(&peer.endpoint).await, [Idle, Primary, Warm]);
    let online: Vec<_> = peer.endpoint.servers().await;
    let online: Vec<_> = online.iter().map(|at| at.online).collect();
    assert_eq!(online, [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_first_server_costs_half_a_second_at_most() {
    let mut operator = Operator::new(2, &[10, 10]);
    operator.kill(0).await;
    let started = Instant::now();
    let peer = operator.peer_named(&strict(), &[0, 1], None).await;
    peer.endpoint.online().await.unwrap();
    let took = started.elapsed();
    assert!(took <= Duration::from_millis(500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_over_the_second_server_within_three_seconds() {
    for (seed, from_dialer) in [(3, true), (4, false)] {
        let mut operator = Operator::new(seed, &[10, 30]);
        let (a, b) = relayed(&mut operator, &[0, 1]).await;
        let (dialled, accepted) = connect(&a, &b).await;
        let bytes = payload(64 << 20);
        let (from, to) = match from_dialer {
            true => (&dialled, &accepted),
            false => (&accepted, &dialled),
        };
        let kill = async {
            sleep(Duration::from_secs(1)).await;
            operator.kill(0).await;
            Instant::now()
        };
        let (transfer, killed_at) = tokio::join!(transfer(from, to, &bytes), kill);
        assert!(transfer.intact);
        let pause = transfer.pause_after(killed_at);
        println!("from the dialer {from_dialer}: paused for {pause:?}");
        assert!(pause <= FAILOVER, "{pause:?}");
        assert!(!dialled.path().is_direct());
    }
}

#[tokio::test(start_paused = true)]
async fn a_direct_session_does_not_notice_that_its_server_dies() {
    let mut operator = Operator::new(5, &[10, 30]);
    let a = operator.peer(&strict(), &[0, 1]).await;
    let b = operator.peer(&strict(), &[0, 1]).await;
    sleep(Duration::from_secs(3)).await;
    let (dialled, accepted) = connect(&a, &b).await;
    path_is(&dialled, true).await;
    path_is(&accepted, true).await;
    let changes = dialled.path_changes();
    operator.kill(0).await;
    for n in 0..60_u8 {
        let started = Instant::now();
        echo(&dialled, &accepted, &[n; 100]).await;
        let took = started.elapsed();
        assert!(took <= Duration::from_millis(150), "{n}: {took:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!changes.has_changed().unwrap());
    // Introduced again where both are signed in.
    let listing = a.endpoint.list().await.unwrap();
    assert_eq!(listing.sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn peers_at_different_servers_meet_at_the_acceptors() {
    let mut operator = Operator::new(6, &[10, 20, 30]);
    let a = operator.peer(&strict(), &[0, 1]).await;
    let b = operator.peer(&strict(), &[1, 2]).await;
    let c = operator.peer(&strict(), &[2]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    echo(&dialled, &accepted, b"over the second").await;
    path_is(&dialled, true).await;
    let (dialled, accepted) = connect(&b, &c).await;
    echo(&dialled, &accepted, b"over the third").await;
    let nowhere = a.endpoint.connect(c.endpoint.peer_id(), b"test/1").await;
    assert_eq!(nowhere.err(), Some(ConnectError::Offline));
}

#[tokio::test(start_paused = true)]
async fn the_dialer_signs_in_where_the_peer_is_and_leaves_when_it_is_not_needed() {
    let mut operator = Operator::new(7, &[10, 20, 30, 40]);
    let a = operator.peer(&strict(), &[0, 1, 2, 3]).await;
    let b = operator.peer(&strict(), &[3]).await;
    sleep(Duration::from_secs(3)).await;
    let (dialled, accepted) = connect(&a, &b).await;
    echo(&dialled, &accepted, b"over the fourth").await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(roles(&a.endpoint).await[3], ServerRole::OnDemand, "in use");
    drop((dialled, accepted));
    let left = until(&a.endpoint, |servers| !servers[3].online).await;
    assert!(left <= Duration::from_secs(100), "{left:?}");
    use ServerRole::{Idle, Primary, Warm};
    assert_eq!(roles(&a.endpoint).await, [Primary, Warm, Idle, Idle]);
}

#[tokio::test(start_paused = true)]
async fn names_are_found_at_any_server() {
    let mut operator = Operator::new(8, &[10, 20, 30]);
    let a = operator.peer(&strict(), &[0, 1, 2]).await;
    let near = operator.peer_named(&strict(), &[1], Some("near")).await;
    let far = operator.peer_named(&strict(), &[2], Some("far")).await;
    for (peer, name) in [(&near, "near"), (&far, "far")] {
        peer.endpoint.online().await.unwrap();
        let found = a.endpoint.resolve(name).await.unwrap();
        assert_eq!((found.peer, found.online), (peer.endpoint.peer_id(), true));
        let by_id = peer.endpoint.peer_id().to_string();
        assert!(a.endpoint.resolve(&by_id).await.unwrap().online, "{name}");
    }
    assert!(a.endpoint.resolve("nobody").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_down_sends_its_clients_on_first() {
    let mut operator = Operator::new(9, &[10, 30]);
    let (a, b) = relayed(&mut operator, &[0, 1]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    let bytes = payload(64 << 20);
    let stop = async {
        sleep(Duration::from_secs(1)).await;
        let stopped_at = Instant::now();
        operator.servers[0].stop().await;
        stopped_at
    };
    let (transfer, stopped_at) = tokio::join!(transfer(&dialled, &accepted, &bytes), stop);
    assert!(transfer.intact);
    let pause = transfer.pause_after(stopped_at);
    println!("paused for {pause:?}");
    assert!(pause <= Duration::from_millis(600), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn the_nearer_server_is_primary_again_when_it_is_back_and_nothing_breaks() {
    let mut operator = Operator::new(10, &[10, 60]);
    let (a, b) = relayed(&mut operator, &[0, 1]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    operator.kill(0).await;
    echo(&dialled, &accepted, b"over the second").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(roles(&a.endpoint).await[1], ServerRole::Primary);
    operator.restart(0);
    let back = until(&a.endpoint, |servers| {
        servers[0].role == ServerRole::Primary
    })
    .await;
    println!("primary again after {back:?}");
    assert!(back >= Duration::from_secs(10) && back <= Duration::from_secs(20));
    for n in 0..30_u8 {
        let started = Instant::now();
        echo(&dialled, &accepted, &[n; 1000]).await;
        assert!(started.elapsed() <= Duration::from_millis(500), "{n}");
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_both_servers_dead_a_relayed_session_waits_for_one() {
    let mut operator = Operator::new(11, &[10, 30]);
    let (a, b) = relayed(&mut operator, &[0, 1]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    operator.kill(0).await;
    operator.kill(1).await;
    sleep(Duration::from_secs(5)).await;
    operator.restart(1);
    let returned_at = Instant::now();
    let again = timeout(Duration::from_secs(20), echo(&dialled, &accepted, b"again"));
    again.await.expect("it goes on");
    println!("after {:?}", returned_at.elapsed());
    assert!(returned_at.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_relayed_transfers_survive_the_death_of_their_server() {
    let mut operator = Operator::new(12, &[10, 20]);
    let site = nat(NatConfig::symmetric());
    let (mut dialers, mut acceptors) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        dialers.push(operator.peer(&site, &[0, 1]).await);
        acceptors.push(operator.peer(&site, &[0, 1]).await);
    }
    sleep(Duration::from_secs(3)).await;
    let mut pairs = Vec::new();
    for dialer in &dialers {
        for acceptor in &acceptors {
            pairs.push(connect(dialer, acceptor).await);
        }
    }
    let mut transfers = tokio::task::JoinSet::new();
    for (dialled, accepted) in pairs {
        transfers.spawn(async move {
            let transfer = paced(&dialled, &accepted).await;
            assert!(!dialled.path().is_direct());
            transfer
        });
    }
    sleep(Duration::from_secs(2)).await;
    operator.kill(0).await;
    let killed_at = Instant::now();
    let mut pauses = Vec::new();
    while let Some(transfer) = transfers.join_next().await {
        let transfer = transfer.unwrap();
        assert!(transfer.intact);
        pauses.push(transfer.pause_after(killed_at));
    }
    pauses.sort();
    println!("pauses: median {:?}, longest {:?}", pauses[50], pauses[99]);
    assert_eq!(pauses.len(), 100);
    assert!(pauses[99] <= FAILOVER, "{:?}", pauses[99]);
}

/// Some 16 KiB every 50 ms for five seconds, over one stream.
async fn paced(from: &gimlet::Connection, to: &gimlet::Connection) -> Transfer {
    let bytes = payload(100 << 14);
    let expected = blake3::hash(&bytes);
    let send = async {
        let mut send = from.open_uni().await.expect("a stream opens");
        for chunk in bytes.chunks(1 << 14) {
            send.write_all(chunk).await.expect("it is written");
            sleep(Duration::from_millis(50)).await;
        }
        send.finish().expect("it is finished");
        send.stopped().await.expect("it is acknowledged");
    };
    let receive = async {
        let mut recv = to.accept_uni().await.expect("a stream comes");
        receive(&mut recv, expected).await
    };
    tokio::join!(send, receive).1
}
