//! Hosts that move, routers that forget and lids that close, under a running transfer.
//!
//! Each event is played on the dialing and on the accepting side, while that side sends and while it
//! receives, over a direct path and over the relay. What is asserted is the time until the receiver
//! reads again, and that every byte is right.

use std::net::IpAddr;
use std::time::Duration;

use gimlet::{Changes, Connection};
use gimlet_server::Config;
use gimlet_sim::{Allocation, Filtering, LinkConfig, Mapping, NatConfig, RouterKind};
use gimlet_tests::{Peer, Place, RunningServer, World};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bench::{echo, nat, path_is, payload, transfer};

/// Delays of an uplink, one way: a quarter of the round trip between the peers when direct, an eighth of
/// that over the relay.
const UPLINKS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(75)];

/// Eight seconds at the links' rate.
const BYTES: usize = 8 << 20;

/// When the event comes, after the transfer began.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// What happens to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happening {
    /// Another network, with another router and another address; the system says so.
    OtherNetwork,
    /// The router forgets every mapping and gives others. Nobody says anything.
    Reboot,
    /// The provider gives the router another outside address. Nobody says anything.
    OtherOutside,
    /// The host is away for a minute; then the system says so.
    Sleep,
    /// The host loses its IPv6 address; the system says so.
    NoMoreIpv6,
    /// The same, and nobody says anything: the system only refuses to send.
    NoMoreIpv6Untold,
}

impl Happening {
    /// Time to traffic again, besides three round trips.
    fn allowed(self) -> Duration {
        match self {
            Self::OtherNetwork | Self::NoMoreIpv6 => Duration::from_secs(1),
            Self::Reboot | Self::OtherOutside | Self::Sleep | Self::NoMoreIpv6Untold => {
                Duration::from_secs(2)
            }
        }
    }
}

/// Two peers whose hosts may move.
struct Roamers {
    world: World,
    _server: RunningServer,
    sides: [(Peer, watch::Sender<Changes>); 2],
    kind: RouterKind,
    uplink: Duration,
}

fn link(uplink: Duration) -> LinkConfig {
    LinkConfig {
        rate: Some(8_000_000),
        ..LinkConfig::with_delay(uplink)
    }
}

/// A strict NAT that never gives the same port twice: a reboot is never without consequences.
fn forgetful() -> RouterKind {
    let (mapping, filtering) = (
        Mapping::EndpointIndependent,
        Filtering::AddressAndPortDependent,
    );
    RouterKind::Nat(NatConfig::new(mapping, filtering, Allocation::Random))
}

fn symmetric() -> RouterKind {
    RouterKind::Nat(NatConfig::symmetric())
}

impl Roamers {
    async fn new(seed: u64, kind: &RouterKind, uplink: Duration) -> Self {
        let mut world = World::new(seed);
        let server = world.server(LinkConfig::with_delay(uplink), Config::on_loopback());
        let kinds = std::slice::from_ref(kind);
        let places = [
            world.site(kinds, link(uplink)),
            world.site(kinds, link(uplink)),
        ];
        Self::at(world, server, places, kind, uplink).await
    }

    /// Hosts with addresses of both families.
    async fn dual(seed: u64, kind: &RouterKind, uplink: Duration) -> Self {
        let mut world = World::new(seed);
        let server = world.server(LinkConfig::with_delay(uplink), Config::on_loopback());
        let places = [1, 2].map(|n| {
            let router = world.router(kind.clone(), link(uplink));
            let addrs = [format!("192.168.{n}.2"), format!("2001:db8:{n}::2")];
            let addrs = addrs.each_ref().map(String::as_str);
            world.host(Some(router), &addrs, LinkConfig::default())
        });
        Self::at(world, server, places, kind, uplink).await
    }

    async fn at(
        world: World,
        server: RunningServer,
        places: [Place; 2],
        kind: &RouterKind,
        uplink: Duration,
    ) -> Self {
        let [a, b] = places;
        let sides = [
            roamer(&world, a, &server).await,
            roamer(&world, b, &server).await,
        ];
        Self {
            world,
            _server: server,
            sides,
            kind: kind.clone(),
            uplink,
        }
    }

    async fn connect(&self) -> [Connection; 2] {
        let [(a, _), (b, _)] = &self.sides;
        let (dialled, accepted) = tokio::join!(
            a.endpoint.connect(b.endpoint.peer_id(), b"test/1"),
            b.endpoint.accept()
        );
        [dialled.unwrap(), accepted.unwrap()]
    }

    fn tell(&self, side: usize, what: impl FnOnce(&mut Changes)) {
        self.sides[side].1.send_modify(what);
    }

    /// Lets it happen to a side; returns when traffic could go again.
    async fn happen(&mut self, what: Happening, side: usize) -> Instant {
        let host = self.sides[side].0.place.host;
        let router = self.world.net(|net| net.parent(host));
        let router = router.expect("every site has a router");
        match what {
            Happening::OtherNetwork => {
                let other = self.world.router(self.kind.clone(), link(self.uplink));
                let addr: IpAddr = "10.7.7.7".parse().unwrap();
                self.world
                    .net(|net| net.move_host(host, Some(other), vec![addr]));
                self.tell(side, |changes| changes.network += 1);
            }
            Happening::Reboot => self.world.net(|net| net.reboot_router(router)),
            Happening::OtherOutside => {
                let outside: IpAddr = "198.51.100.200".parse().unwrap();
                self.world
                    .net(|net| net.renumber_router(router, vec![outside]));
            }
            Happening::NoMoreIpv6 | Happening::NoMoreIpv6Untold => {
                self.world.net(|net| {
                    let v4 = net.addrs(host).iter().copied().filter(IpAddr::is_ipv4);
                    let v4 = v4.collect();
                    net.move_host(host, Some(router), v4);
                });
                if what == Happening::NoMoreIpv6 {
                    self.tell(side, |changes| changes.network += 1);
                }
            }
            Happening::Sleep => {
                self.world.set_dark(host, true);
                tokio::time::sleep(Duration::from_secs(60)).await;
                self.world.set_dark(host, false);
                self.tell(side, |changes| changes.wakes += 1);
            }
        }
        Instant::now()
    }
}

async fn roamer(
    world: &World,
    place: Place,
    server: &RunningServer,
) -> (Peer, watch::Sender<Changes>) {
    let (peer, tell) = world.roaming_peer(place, &server.address).await;
    peer.endpoint.online().await.unwrap();
    peer.endpoint.net_report().await;
    (peer, tell)
}

async fn play(what: Happening, kind: &RouterKind, direct: bool) {
    for uplink in UPLINKS {
        play_at(what, kind, direct, uplink).await;
    }
}

async fn play_at(what: Happening, kind: &RouterKind, direct: bool, uplink: Duration) {
    let bytes = payload(BYTES);
    let mut worst = Duration::ZERO;
    for side in [0, 1] {
        for sends in [0, 1] {
            let dual = matches!(what, Happening::NoMoreIpv6 | Happening::NoMoreIpv6Untold);
            let mut roamers = match dual {
                true => Roamers::dual(11, kind, uplink).await,
                false => Roamers::new(11, kind, uplink).await,
            };
            let ends = roamers.connect().await;
            ends[0].settled().await;
            if dual {
                let remote = ends[0].path().remote;
                assert!(remote.is_some_and(|remote| remote.is_ipv6()), "{remote:?}");
            }
            if direct {
                path_is(&ends[0], true).await;
                path_is(&ends[1], true).await;
            }
            assert_eq!(ends[0].path().is_direct(), direct);
            let happening = async {
                tokio::time::sleep(UNDER_WAY).await;
                roamers.happen(what, side).await
            };
            let receives = 1 - sends;
            let (transfer, since) =
                tokio::join!(transfer(&ends[sends], &ends[receives], &bytes), happening);
            assert!(transfer.intact, "{what:?} side {side} sender {sends}");
            let again = transfer.pause_after(since);
            println!("{what:?} side {side} sender {sends} direct {direct}: {again:?}");
            worst = worst.max(again);
            let rtt = if direct { 4 * uplink } else { 8 * uplink };
            assert!(
                again <= what.allowed() + 3 * rtt,
                "{what:?} side {side} sender {sends} direct {direct}: {again:?}"
            );
            if direct {
                path_is(&ends[0], true).await;
                path_is(&ends[1], true).await;
            }
            echo(&ends[0], &ends[1], b"all is well").await;
        }
    }
    println!("{what:?} direct {direct} uplink {uplink:?}: at most {worst:?}");
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_goes_on_in_another_network() {
    play(Happening::OtherNetwork, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_in_another_network() {
    play(Happening::OtherNetwork, &symmetric(), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_goes_on_after_a_router_forgot_its_mappings() {
    play(Happening::Reboot, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_goes_on_after_a_router_forgot_its_mappings_and_gives_the_same_again() {
    let preserving = nat(NatConfig::strict()).remove(0);
    play(Happening::Reboot, &preserving, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_after_a_router_forgot_its_mappings() {
    play(Happening::Reboot, &symmetric(), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_goes_on_when_the_provider_gives_another_address() {
    play(Happening::OtherOutside, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_when_the_provider_gives_another_address() {
    play(Happening::OtherOutside, &symmetric(), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_goes_on_after_a_minute_of_sleep() {
    play(Happening::Sleep, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_after_a_minute_of_sleep() {
    play(Happening::Sleep, &symmetric(), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_over_ipv6_goes_on_over_ipv4() {
    play(Happening::NoMoreIpv6, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_transfer_over_ipv6_goes_on_over_ipv4_also_where_nobody_tells() {
    play(Happening::NoMoreIpv6Untold, &forgetful(), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_survives_ten_networks_in_a_row() {
    let mut roamers = Roamers::new(12, &forgetful(), UPLINKS[0]).await;
    let ends = roamers.connect().await;
    path_is(&ends[0], true).await;
    let bytes = payload(2 * BYTES);
    let happening = async {
        for turn in 0..10 {
            tokio::time::sleep(UNDER_WAY).await;
            roamers.happen(Happening::OtherNetwork, turn % 2).await;
        }
    };
    let (transfer, ()) = tokio::join!(transfer(&ends[0], &ends[1], &bytes), happening);
    assert!(transfer.intact);
    path_is(&ends[0], true).await;
    path_is(&ends[1], true).await;
    echo(&ends[0], &ends[1], b"all is well").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_uses_goes_quiet() {
    for kind in [forgetful(), symmetric()] {
        let roamers = Roamers::new(13, &kind, UPLINKS[0]).await;
        let ends = roamers.connect().await;
        ends[0].settled().await;
        assert!(transfer(&ends[0], &ends[1], &payload(1 << 20)).await.intact);
        tokio::time::sleep(Duration::from_secs(600)).await;
        let sent = || roamers.world.net(|net| net.counters().sent);
        let before = sent();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let a_minute = sent() - before;
        println!("{a_minute} packets in a minute");
        // Keep-alives of two control sessions, two legs and the paths, with their answers.
        assert!(a_minute < 300, "{a_minute}");
    }
}
