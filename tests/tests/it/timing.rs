//! How fast it is, exactly: virtual time, 40 ms between any two, nothing lost.

use std::time::Duration;

use gimlet_server::Config;
use gimlet_sim::{LinkConfig, NatConfig, RouterKind};
use gimlet_tests::{World, rtt_40ms};

use crate::bench::Pair;

fn strict() -> RouterKind {
    RouterKind::Nat(NatConfig::strict())
}

#[tokio::test(start_paused = true)]
async fn two_strict_sites_are_signed_in_connected_and_direct_in_the_fewest_round_trips() {
    let mut world = World::new(1);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let (a, b) = (
        world.site(&[strict()], rtt_40ms()),
        world.site(&[strict()], rtt_40ms()),
    );
    let a = world.peer(a, &server.address, |b| b).await;
    let b = world.peer(b, &server.address, |b| b).await;
    let signed_in = a.endpoint.online().await.unwrap();
    b.endpoint.online().await.unwrap();
    a.endpoint.net_report().await;
    b.endpoint.net_report().await;

    let connection = a
        .endpoint
        .connect(b.endpoint.peer_id(), b"test/1")
        .await
        .unwrap();
    let path = connection.settled().await;
    let timings = connection.timings();
    println!(
        "{signed_in:?} {path} {timings:?} {:?}",
        connection.outcome()
    );
    assert!(path.is_direct());
    assert!(
        signed_in.elapsed <= Duration::from_millis(90),
        "{:?}",
        signed_in.elapsed
    );
    assert!(
        timings.connected <= Duration::from_millis(85),
        "{timings:?}"
    );
    assert!(
        timings.direct.unwrap() <= Duration::from_millis(125),
        "{timings:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_delay_a_session_is_direct_within_ten_milliseconds() {
    let link = LinkConfig::with_delay(Duration::from_micros(50));
    let pair = Pair::with_links(2, &[strict()], &[strict()], link).await;
    let (dialled, _accepted) = pair.connect().await;
    let path = dialled.settled().await;
    let timings = dialled.timings();
    println!("{path} {timings:?} {:?}", dialled.outcome());
    assert!(
        timings.direct.unwrap() <= Duration::from_millis(10),
        "{timings:?}"
    );
}
