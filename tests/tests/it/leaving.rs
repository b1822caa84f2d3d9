//! Leaving: how long it takes, and that everybody hears of it.

use std::time::Duration;

use gimlet::Identity;
use tokio::time::Instant;

use crate::bench::{Pair, echo, path_is, strict};

/// Measured round trips are a little longer than the links'.
const SLACK: Duration = Duration::from_millis(15);

/// Over the links of these tests, to the server and between the peers.
const ROUND_TRIP: Duration = Duration::from_millis(40);

#[tokio::test(start_paused = true)]
async fn leaving_takes_two_round_trips_and_the_other_side_hears_of_it() {
    let pair = Pair::new(1, &strict(), &strict()).await;
    let (dialled, accepted) = pair.connect().await;
    path_is(&dialled, true).await;
    echo(&dialled, &accepted, b"hello").await;
    let left_at = Instant::now();
    let heard = async {
        accepted.closed().await;
        left_at.elapsed()
    };
    let leave = async {
        pair.a.endpoint.close().await;
        left_at.elapsed()
    };
    let (heard, left) = tokio::join!(heard, leave);
    assert!(heard <= ROUND_TRIP, "heard after {heard:?}");
    assert!(left <= 2 * ROUND_TRIP + SLACK, "left after {left:?}");
    // The server has heard it as well.
    let listed = pair.b.endpoint.list().await.unwrap();
    assert!(listed.sessions.is_empty());
    let gone = pair.a.endpoint.peer_id();
    assert!(listed.peers.iter().all(|peer| peer.peer != gone));
}

#[tokio::test(start_paused = true)]
async fn leaving_a_server_that_has_gone_is_as_quick() {
    let mut pair = Pair::new(2, &strict(), &strict()).await;
    let (dialled, _accepted) = pair.connect().await;
    path_is(&dialled, true).await;
    pair.server.kill().await;
    let left_at = Instant::now();
    pair.a.endpoint.close().await;
    let left = left_at.elapsed();
    assert!(left <= Duration::from_millis(250), "left after {left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_comes_and_goes_is_never_told_that_it_comes_too_often() {
    let mut pair = Pair::new(3, &strict(), &strict()).await;
    pair.a.endpoint.close().await;
    let identity = Identity::generate();
    for _ in 0..12 {
        let place = pair.a.place.clone();
        let builder = |builder: gimlet::Builder| builder.identity(identity.clone());
        pair.a = pair.world.peer(place, &pair.server.address, builder).await;
        let (dialled, accepted) = pair.connect().await;
        echo(&dialled, &accepted, b"hello").await;
        pair.a.endpoint.close().await;
    }
}
