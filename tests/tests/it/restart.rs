//! The server goes and comes back under signed-in peers.

use std::time::Duration;

use gimlet_server::Config;
use tokio::time::Instant;

use crate::bench::{Pair, echo, nat, online, path_is, strict};
use gimlet_sim::{NatConfig, RouterKind};
use gimlet_tests::rtt_40ms;

/// A server with state, so that it is the same one after a restart.
fn config(state: &std::path::Path) -> Config {
    let mut config = Config::on_loopback();
    config.state = Some(state.to_owned());
    config
}

/// Two peers signed in to such a server.
async fn pair(state: &std::path::Path, site: &[RouterKind]) -> Pair {
    Pair::with_server(3, site, site, rtt_40ms(), config(state)).await
}

impl Pair {
    async fn server_returns(&mut self, state: &std::path::Path) -> Instant {
        let place = self.server.place.clone();
        self.server = self.world.server_at(&place, config(state));
        Instant::now()
    }
}

async fn restart(killed: bool, away: Duration) {
    let state = tempfile::tempdir().unwrap();
    let mut pair = pair(state.path(), &strict()).await;
    let (dialled, accepted) = pair.connect().await;
    path_is(&dialled, true).await;
    path_is(&accepted, true).await;
    let changes = dialled.path_changes();

    if killed {
        pair.server.kill().await;
    } else {
        pair.server.stop().await;
    }
    echo(&dialled, &accepted, b"without a server").await;
    tokio::time::sleep(away).await;
    echo(&dialled, &accepted, b"still without").await;

    let returned = pair.server_returns(state.path()).await;
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
    let mut pair = pair(state.path(), &nat(NatConfig::symmetric())).await;
    let (dialled, accepted) = pair.connect().await;
    echo(&dialled, &accepted, b"before").await;
    pair.server.kill().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let returned = pair.server_returns(state.path()).await;
    echo(&dialled, &accepted, b"after").await;
    println!("relayed again after {:?}", returned.elapsed());
    assert!(
        returned.elapsed() <= Duration::from_secs(10),
        "{:?}",
        returned.elapsed()
    );
}
