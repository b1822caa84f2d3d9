//! The server goes and comes back under signed-in peers.

use std::time::Duration;

use gimlet_server::Config;
use tokio::time::Instant;

use crate::bench::{Pair, echo, nat, online, path_is, strict};
use gimlet_sim::NatConfig;

/// A server with state, so that it is the same one after a restart.
fn config(state: &std::path::Path) -> Config {
    let mut config = Config::on_loopback();
    config.state = Some(state.to_owned());
    config
}

async fn restart(killed: bool, away: Duration) {
    let state = tempfile::tempdir().unwrap();
    let mut pair = Pair::new(3, &strict(), &strict()).await;
    // The first server is replaced by one with state before anything happens.
    let place = pair.server.place.clone();
    let server = pair.world.server_at(&place, config(state.path()));
    let a = pair
        .world
        .peer(pair.a.place.clone(), &server.address, |b| b)
        .await;
    let b = pair
        .world
        .peer(pair.b.place.clone(), &server.address, |b| b)
        .await;
    (pair.a, pair.b) = (a, b);
    online(&pair.a.endpoint).await;
    online(&pair.b.endpoint).await;

    let (dialled, accepted) = pair.connect().await;
    path_is(&dialled, true).await;
    path_is(&accepted, true).await;
    let changes = dialled.path_changes();

    if killed {
        server.kill().await;
    } else {
        server.stop().await;
    }
    echo(&dialled, &accepted, b"without a server").await;
    tokio::time::sleep(away).await;
    echo(&dialled, &accepted, b"still without").await;

    let _server = pair.world.server_at(&place, config(state.path()));
    let returned = Instant::now();
    online(&pair.a.endpoint).await;
    online(&pair.b.endpoint).await;
    let back = returned.elapsed();
    assert!(
        back <= Duration::from_secs(5),
        "killed {killed}, away {away:?}: back after {back:?}"
    );
    echo(&dialled, &accepted, b"with the server again").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        !changes.has_changed().unwrap(),
        "the direct path never broke"
    );
    assert_eq!(
        pair.a.endpoint.list().await.unwrap().sessions.len(),
        1,
        "introduced again"
    );
}

#[tokio::test(start_paused = true)]
async fn peers_are_back_within_five_seconds_of_a_servers_return_and_direct_sessions_never_break() {
    for killed in [false, true] {
        for away in [1, 3, 7, 20] {
            restart(killed, Duration::from_secs(away)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_relayed_session_goes_on_after_its_server_was_restarted() {
    let state = tempfile::tempdir().unwrap();
    let symmetric = nat(NatConfig::symmetric());
    let mut pair = Pair::new(3, &symmetric, &symmetric).await;
    let place = pair.server.place.clone();
    let server = pair.world.server_at(&place, config(state.path()));
    let a = pair
        .world
        .peer(pair.a.place.clone(), &server.address, |b| b)
        .await;
    let b = pair
        .world
        .peer(pair.b.place.clone(), &server.address, |b| b)
        .await;
    (pair.a, pair.b) = (a, b);
    online(&pair.a.endpoint).await;
    online(&pair.b.endpoint).await;
    let (dialled, accepted) = pair.connect().await;
    echo(&dialled, &accepted, b"before").await;
    server.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _server = pair.world.server_at(&place, config(state.path()));
    let returned = Instant::now();
    echo(&dialled, &accepted, b"after").await;
    println!("relayed again after {:?}", returned.elapsed());
    assert!(
        returned.elapsed() <= Duration::from_secs(10),
        "{:?}",
        returned.elapsed()
    );
}
