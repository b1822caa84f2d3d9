//! What reaches the server's statistics, with the whole stack.

use std::time::Duration;

use gimlet::stats::{NatKind, PairRow, Reached, Summary};
use gimlet::{EndpointEvent, Strategy};
use gimlet_server::Config;
use gimlet_sim::NatConfig;
use gimlet_tests::{World, rtt_40ms};

use crate::bench::{Pair, nat, strict};

/// What the server says once a dialer has said its last word.
async fn after_the_end(pair: &Pair) -> Summary {
    pair.a.endpoint.close().await;
    // The server has read the goodbye before it answers anybody else.
    pair.b.endpoint.stats().await.unwrap().summary
}

#[tokio::test(start_paused = true)]
async fn a_direct_session_is_one_attempt_with_the_time_of_every_stage() {
    let pair = Pair::new(5, &strict(), &strict()).await;
    let (dialled, _accepted) = pair.connect().await;
    assert!(dialled.settled().await.is_direct());
    let stats = after_the_end(&pair).await;
    assert_eq!((stats.all.attempts, stats.ignored), (1, 0));
    for stage in Reached::ALL {
        assert_eq!(stats.all.stage(stage).count, 1, "{stage}");
    }
    // 80 ms to be introduced and connected, 120 ms to be direct; shown at most a quarter too high.
    let ms = |stage| stats.all.stage(stage).ms.p50.unwrap();
    assert!((80..=100).contains(&ms(Reached::Connected)), "{stats:#?}");
    assert!((120..=150).contains(&ms(Reached::Direct)), "{stats:#?}");
    assert_eq!(stats.strategies[0].strategy, Strategy::Reflexive);
    let kinds = |pair: &PairRow| [pair.local, pair.remote];
    assert_eq!(kinds(&stats.pairs[0]), [NatKind::Strict; 2]);
    assert_eq!(stats.introductions.accepted, 1);
    assert_eq!(pair.server.handle.stats().all.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_direct_path_that_overtakes_the_handshake_is_reported_with_it() {
    let pair = Pair::new(5, &strict(), &strict()).await;
    let mut events = pair.a.endpoint.events();
    let (a, b) = (&pair.a.endpoint, &pair.b.endpoint);
    let mut connect = std::pin::pin!(a.connect(b.peer_id(), b"test/1"));
    // The introduction is there, the handshake is not. Who dials then looks away until QUIC has been heard
    // over the direct path.
    let early = tokio::time::timeout(Duration::from_millis(79), &mut connect);
    assert!(early.await.is_err());
    let looks_away = Duration::from_secs(1);
    tokio::time::sleep(looks_away).await;
    let dialled = connect.await.unwrap();
    let timings = dialled.timings();
    assert!(timings.direct_confirmed.unwrap() < looks_away && looks_away < timings.connected);
    // Told by itself, while the session goes on.
    let attempt = loop {
        if let EndpointEvent::Attempted { attempt, .. } = events.recv().await.unwrap() {
            break attempt;
        }
    };
    for stage in Reached::ALL {
        assert!(attempt.times.at(stage).is_some(), "{stage}: {attempt:?}");
    }
    let stats = after_the_end(&pair).await;
    assert_eq!((stats.all.attempts, stats.ignored), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_stays_relayed_is_one_attempt_with_its_reason() {
    let random = nat(NatConfig::symmetric());
    let pair = Pair::new(5, &random, &random).await;
    let mut events = pair.a.endpoint.events();
    let (dialled, _accepted) = pair.connect().await;
    assert!(!dialled.settled().await.is_direct());
    // Told by itself, while the session goes on.
    while !matches!(
        events.recv().await.unwrap(),
        EndpointEvent::Attempted { .. }
    ) {}
    let stats = after_the_end(&pair).await;
    assert_eq!(stats.all.attempts, 1, "{stats:#?}");
    assert_eq!(stats.all.stage(Reached::Connected).count, 1);
    assert_eq!(stats.all.stage(Reached::Direct).count, 0);
    assert_eq!(stats.failures.len(), 1);
    let kinds = |pair: &PairRow| [pair.local, pair.remote];
    assert_eq!(kinds(&stats.pairs[0]), [NatKind::Random; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_left_at_once_is_an_attempt_all_the_same() {
    let random = nat(NatConfig::symmetric());
    let pair = Pair::new(5, &random, &random).await;
    let (dialled, _accepted) = pair.connect().await;
    drop(dialled);
    let stats = after_the_end(&pair).await;
    assert_eq!((stats.all.attempts, stats.all.left), (1, 1), "{stats:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_keeps_outcomes_hears_of_them_and_the_server_does_not() {
    let mut world = World::new(5);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let (a, b) = (
        world.site(&strict(), rtt_40ms()),
        world.site(&strict(), rtt_40ms()),
    );
    let keeps = |builder: gimlet::Builder| builder.report_outcomes(false);
    let a = world.peer(a, &server.address, keeps).await;
    let b = world.peer(b, &server.address, |b| b).await;
    let mut events = a.endpoint.events();
    b.endpoint.online().await.unwrap();
    let (dialled, _accepted) = tokio::join!(
        a.endpoint.connect(b.endpoint.peer_id(), b"test/1"),
        b.endpoint.accept()
    );
    dialled.unwrap().settled().await;
    a.endpoint.close().await;
    let mut attempts = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let EndpointEvent::Attempted { attempt, .. } = event {
            attempts.push(attempt);
        }
    }
    assert!(
        attempts.len() == 1 && attempts[0].is_direct(),
        "{attempts:?}"
    );
    let stats = b.endpoint.stats().await.unwrap().summary;
    assert_eq!((stats.all.attempts, stats.ignored), (0, 0));
    assert_eq!(stats.introductions.accepted, 1);
}
