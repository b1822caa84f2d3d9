//! Long datagrams: taken where a path carries them, and given up where it is left.

use std::time::Duration;

use gimlet::Connection;
use gimlet_server::Config;
use gimlet_sim::LinkConfig;
use gimlet_tests::{Peer, RunningServer, World};
use tokio::time::Instant;

use crate::bench::{Transfer, echo, path_is, payload, transfer};

/// What fits into a jumbo frame.
const JUMBO: u16 = 8952;

/// Two hosts of one network, which know of its frames, and a server somewhere else.
struct Neighbours {
    world: World,
    a: Peer,
    b: Peer,
    _server: RunningServer,
}

impl Neighbours {
    /// In a network that carries packets of `mtu` bytes, where it is said to carry datagrams of `claimed`.
    async fn new(seed: u64, mtu: usize, claimed: Option<u16>) -> Self {
        let mut world = World::new(seed);
        let to_server = LinkConfig::with_delay(Duration::from_millis(9));
        let server = world.server(to_server, Config::on_loopback());
        let link = LinkConfig {
            rate: Some(400_000_000),
            mtu,
            ..LinkConfig::with_delay(Duration::from_micros(500))
        };
        let mut peers = Vec::new();
        for _ in 0..2 {
            let place = world.site(&[], link.clone());
            let on = place.clone();
            let told = |builder: gimlet::Builder| {
                builder.network(on.network().with_datagrams(move |_| claimed))
            };
            let peer = world.peer(place, &server.address, told).await;
            peer.endpoint.online().await.unwrap();
            peers.push(peer);
        }
        let [a, b] = peers.try_into().unwrap_or_else(|_| unreachable!());
        Self {
            world,
            a,
            b,
            _server: server,
        }
    }

    async fn connect(&self) -> (Connection, Connection) {
        let id = self.b.endpoint.peer_id();
        let dial = self.a.endpoint.connect(id, b"test/1");
        let (dialled, accepted) = tokio::join!(dial, self.b.endpoint.accept());
        (dialled.unwrap(), accepted.unwrap())
    }

    /// The connection made anew, both ends.
    async fn enlarged(&self, first: &Connection) -> (Connection, Connection) {
        let (dialled, accepted) =
            tokio::join!(self.a.endpoint.enlarged(first), self.b.endpoint.accept());
        let dialled = dialled.expect("the network is said to carry long datagrams");
        first.close(0, b"superseded");
        (dialled, accepted.unwrap())
    }
}

fn mtu(connection: &Connection) -> u16 {
    connection.quic().stats().path.current_mtu
}

/// Sends over a connection; the other path is taken under way, and the first one comes back if asked to.
async fn leave_the_path(
    pair: &Neighbours,
    from: &Connection,
    to: &Connection,
) -> (Transfer, Instant) {
    let bytes = payload(64 << 20);
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        pair.world.block_direct(&pair.a.place, &pair.b.place, true);
        let dark_at = Instant::now();
        path_is(from, false).await;
        dark_at
    };
    tokio::join!(transfer(from, to, &bytes), leaving)
}

#[tokio::test(start_paused = true)]
async fn in_a_network_of_jumbo_frames_packets_are_as_long_as_those_both_ways() {
    let pair = Neighbours::new(31, 9000, Some(JUMBO)).await;
    let (first, _accepted) = pair.connect().await;
    let (dialled, accepted) = pair.enlarged(&first).await;
    for (from, to) in [(&dialled, &accepted), (&accepted, &dialled)] {
        echo(&dialled, &accepted, b"warm").await;
        let before = from.quic().stats().udp_tx.datagrams;
        assert!(transfer(from, to, &payload(16 << 20)).await.intact);
        assert_eq!(mtu(from), JUMBO);
        let datagrams = from.quic().stats().udp_tx.datagrams - before;
        assert!(datagrams < 2500, "{datagrams} for 16 MiB");
        assert_eq!(from.quic().stats().path.lost_plpmtud_probes, 0);
    }
    assert!(pair.a.endpoint.enlarged(&dialled).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_in_long_datagrams_goes_on_over_the_relay_when_their_path_goes_dark() {
    for from_dialer in [true, false] {
        let mut pauses = Vec::new();
        for claimed in [None, Some(JUMBO)] {
            let pair = Neighbours::new(32, 9000, claimed).await;
            let mut ends = pair.connect().await;
            path_is(&ends.0, true).await;
            if claimed.is_some() {
                ends = pair.enlarged(&ends.0).await;
            }
            let (from, to) = match from_dialer {
                true => (&ends.0, &ends.1),
                false => (&ends.1, &ends.0),
            };
            let (transfer, dark_at) = leave_the_path(&pair, from, to).await;
            assert!(transfer.intact);
            assert!(mtu(from) <= 1432);
            let pause = transfer.pause_after(dark_at);
            let too_long = [&pair.a, &pair.b].map(|peer| peer.endpoint.counters().too_long);
            println!("{from_dialer} {claimed:?}: pause {pause:?}, too long {too_long:?}");
            assert_eq!(
                too_long.iter().any(|&batches| batches > 0),
                claimed.is_some()
            );
            pauses.push(pause);
        }
        // What the change costs anyway, and what quinn takes to find out about the datagrams.
        assert!(pauses[1] < pauses[0] + Duration::from_secs(2), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn that_a_path_no_longer_carries_long_datagrams_is_told_at_once() {
    let pair = Neighbours::new(35, 9000, Some(JUMBO)).await;
    let (first, _accepted) = pair.connect().await;
    let (dialled, accepted) = pair.enlarged(&first).await;
    let bytes = payload(1 << 20);
    assert!(transfer(&dialled, &accepted, &bytes).await.intact);
    let outgrown = async {
        dialled.outgrown().await;
        Instant::now()
    };
    let leaving = async {
        // Nobody notices that a path is dark over which nothing flows.
        let sending = transfer(&dialled, &accepted, &bytes);
        pair.world.block_direct(&pair.a.place, &pair.b.place, true);
        let dark = path_is(&dialled, false);
        tokio::join!(sending, async {
            dark.await;
            Instant::now()
        })
        .1
    };
    let (outgrown_at, left_at) = tokio::join!(outgrown, leaving);
    assert_eq!(outgrown_at, left_at);
    let short = pair.connect().await;
    assert!(transfer(&short.0, &short.1, &bytes).await.intact);
    let never = tokio::time::timeout(Duration::from_secs(5), short.0.outgrown());
    assert!(never.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn where_the_network_carries_less_than_it_is_said_to_three_probes_are_lost() {
    let pair = Neighbours::new(33, 1500, Some(JUMBO)).await;
    let (first, _accepted) = pair.connect().await;
    let (dialled, accepted) = pair.enlarged(&first).await;
    assert!(
        transfer(&dialled, &accepted, &payload(4 << 20))
            .await
            .intact
    );
    assert_eq!(mtu(&dialled), 1200);
    assert_eq!(dialled.quic().stats().path.lost_plpmtud_probes, 3);
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_network_is_asked_for_nothing_and_nobody_waits() {
    for claimed in [None, Some(1452)] {
        let pair = Neighbours::new(34, 1500, claimed).await;
        let (dialled, accepted) = pair.connect().await;
        let asked_at = Instant::now();
        assert!(pair.a.endpoint.enlarged(&dialled).await.is_none());
        assert!(asked_at.elapsed() < Duration::from_millis(25));
        assert!(pair.b.endpoint.enlarged(&accepted).await.is_none());
        assert!(
            transfer(&dialled, &accepted, &payload(4 << 20))
                .await
                .intact
        );
        assert_eq!(mtu(&dialled), 1432);
        assert_eq!(dialled.quic().stats().path.lost_plpmtud_probes, 0);
        assert_eq!(pair.a.endpoint.counters().too_long, 0);
    }
}
