//! A service and its user in one network of jumbo frames: packets between them are as long as those.

use std::time::Duration;

use gimlet_server::Config;
use gimlet_sim::LinkConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Sites;
use crate::bench::{path_is, payload};

/// What fits into a jumbo frame.
const JUMBO: u16 = 8952;

/// Moves all of it between two sockets.
async fn moved(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    let (sent, read) = tokio::join!(from.write_all(bytes), to.read_exact(&mut got));
    sent.unwrap();
    read.unwrap();
    assert!(got == bytes, "it arrives whole and in order");
}

#[tokio::test(start_paused = true)]
async fn between_neighbours_with_jumbo_frames_packets_are_long_and_connections_outlive_the_path() {
    let link = LinkConfig {
        rate: Some(400_000_000),
        mtu: 9000,
        ..LinkConfig::with_delay(Duration::from_micros(500))
    };
    let claims = |place: &gimlet_tests::Place, builder: gimlet::Builder| {
        builder.network(place.network().with_datagrams(|_| Some(JUMBO)))
    };
    let at = (&[][..], link);
    let sites = Sites::told(36, at.clone(), at, Config::on_loopback(), claims).await;
    let connection = sites.link.connection().await.unwrap();
    let mut user = sites.connect().await;
    let (mut service, _) = sites.service.accept().await.unwrap();
    let bytes = payload(4 << 20);
    moved(&mut user, &mut service, &bytes).await;
    moved(&mut service, &mut user, &bytes).await;
    let stats = connection.quic().stats();
    assert_eq!(stats.path.current_mtu, JUMBO);
    assert!(stats.udp_tx.datagrams < 1500, "{:?}", stats.udp_tx);

    // Only the relay is left, which carries no more than any path does.
    (sites.world).block_direct(&sites.user.place, &sites.host.place, true);
    let moving = async {
        moved(&mut user, &mut service, &bytes).await;
        moved(&mut service, &mut user, &bytes).await;
    };
    tokio::join!(moving, path_is(&connection, false));
    assert!(connection.quic().stats().path.current_mtu <= 1432);
    sites.ask().await;
}
