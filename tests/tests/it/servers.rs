//! Several servers of one operator: the nearest is used, another takes over, and peers meet wherever
//! they are.

use std::time::Duration;

use gimlet::{ConnectError, ServerRole};
use tokio::time::{Instant, sleep};

use crate::bench::{echo, path_is, strict};
use crate::operator::{Operator, connect, relayed, roles, until};

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
