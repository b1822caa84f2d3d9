//! What people run into: each failure has its own clear error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gimlet::{AcceptPolicy, CloseReason, ConnectError, Identity, ResolveError, SignInError};
use gimlet_server::Config;
use gimlet_tests::{Peer, Place, RunningServer, World, rtt_40ms};

use crate::bench::{Pair, echo, sign_in, strict};

/// A server, a peer that is signed in, and the place of another one.
async fn one_signed_in() -> (World, RunningServer, Peer, Place) {
    let mut world = World::new(1);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let (a, b) = (
        world.site(&strict(), rtt_40ms()),
        world.site(&strict(), rtt_40ms()),
    );
    let a = sign_in(&world, a, &server).await;
    (world, server, a, b)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_there_is_offline_within_one_round_trip() {
    let pair = Pair::new(1, &strict(), &strict()).await;
    let nobody = Identity::generate().peer_id();
    let began = tokio::time::Instant::now();
    let error = pair
        .a
        .endpoint
        .connect(nobody, b"test/1")
        .await
        .unwrap_err();
    assert_eq!(error, ConnectError::Offline);
    assert!(began.elapsed() <= Duration::from_millis(45));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_declines_says_so_and_tells_no_address() {
    let (world, server, a, b) = one_signed_in().await;
    for policy in [
        AcceptPolicy::Nobody,
        AcceptPolicy::Known(Arc::new(HashSet::new())),
    ] {
        let b = world
            .peer(b.clone(), &server.address, |builder| builder.accept(policy))
            .await;
        b.endpoint.online().await.unwrap();
        let error = a
            .endpoint
            .connect(b.endpoint.peer_id(), b"test/1")
            .await
            .unwrap_err();
        assert_eq!(error, ConnectError::Declined);
        b.endpoint.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_who_is_asked_may_accept_late_decline_or_say_nothing() {
    let (world, server, a, b) = one_signed_in().await;
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let policy = AcceptPolicy::Ask(Arc::new(move |request| ask.send(request).unwrap()));
    let b = world
        .peer(b, &server.address, |builder| builder.accept(policy))
        .await;
    b.endpoint.online().await.unwrap();
    let (a, b) = (&a.endpoint, &b.endpoint);

    let late = async {
        let request = asked.recv().await.unwrap();
        assert_eq!(request.peer(), a.peer_id());
        tokio::time::advance(Duration::from_secs(4)).await;
        request.accept();
        b.accept().await.unwrap()
    };
    let (connection, accepted) = tokio::join!(a.connect(b.peer_id(), b"test/1"), late);
    echo(&connection.unwrap(), &accepted, b"late but welcome").await;
}

#[tokio::test(start_paused = true)]
async fn a_person_who_declines_or_never_answers_is_told_apart() {
    for (answer, expected) in [
        (true, ConnectError::Declined),
        (false, ConnectError::Unanswered),
    ] {
        let (world, server, a, b) = one_signed_in().await;
        let held = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keep = held.clone();
        let policy = AcceptPolicy::Ask(Arc::new(move |request: gimlet::Request| match answer {
            true => request.decline(),
            false => keep.lock().unwrap().push(request),
        }));
        let b = world
            .peer(b, &server.address, |builder| builder.accept(policy))
            .await;
        b.endpoint.online().await.unwrap();
        let error = a
            .endpoint
            .connect(b.endpoint.peer_id(), b"test/1")
            .await
            .unwrap_err();
        match expected {
            // Both sides' clocks run out at about the same time; either word is true.
            ConnectError::Unanswered => assert!(
                matches!(error, ConnectError::Unanswered | ConnectError::Declined),
                "{error:?}"
            ),
            expected => assert_eq!(error, expected),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_the_peer_does_not_offer_is_named_as_such() {
    let pair = Pair::new(1, &strict(), &strict()).await;
    let peer = pair.b.endpoint.peer_id();
    let error = pair.a.endpoint.connect(peer, b"other/1").await.unwrap_err();
    assert_eq!(error, ConnectError::NoProtocol);
    let error = pair
        .a
        .endpoint
        .connect(pair.a.endpoint.peer_id(), b"test/1")
        .await
        .unwrap_err();
    assert_eq!(error, ConnectError::Myself);
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_not_there_or_not_the_right_one_are_told_apart() {
    let mut world = World::new(1);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let place = world.site(&strict(), rtt_40ms());

    let mut absent = server.address.clone();
    absent.host = "203.0.113.99".to_owned();
    let peer = world.peer(place.clone(), &absent, |b| b).await;
    assert!(matches!(
        peer.endpoint.online().await,
        Err(SignInError::Unreachable { .. })
    ));

    let mut other = server.address.clone();
    other.key = Some(Identity::generate().peer_id());
    let peer = world.peer(place.clone(), &other, |b| b).await;
    assert!(matches!(
        peer.endpoint.online().await,
        Err(SignInError::WrongKey { .. })
    ));

    let peer = world.peer(place, &server.address, |b| b).await;
    peer.endpoint.online().await.unwrap();
    assert!(matches!(
        peer.endpoint.resolve("nobody").await,
        Err(ResolveError::Unknown { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_close_reaches_the_other_side_with_code_and_reason() {
    let pair = Pair::new(1, &strict(), &strict()).await;
    let (dialled, accepted) = pair.connect().await;
    dialled.close(7, b"done here");
    let reason = accepted.closed().await;
    assert_eq!(
        reason,
        CloseReason::Peer {
            code: 7,
            reason: "done here".to_owned()
        }
    );
    assert_eq!(dialled.closed().await, CloseReason::Local);
}

#[tokio::test(start_paused = true)]
async fn one_key_has_eight_sessions_with_a_peer_and_what_it_has_ended_makes_room() {
    let (mut world, server, a, _) = one_signed_in().await;
    let key = Identity::generate();
    let mut programs = Vec::new();
    for _ in 0..9 {
        let place = world.site(&strict(), rtt_40ms());
        let same = |builder: gimlet::Builder| builder.identity(key.clone()).alpns(Vec::new());
        programs.push(world.peer(place, &server.address, same).await);
    }
    let ninth = programs.pop().unwrap();
    let id = a.endpoint.peer_id();
    let mut sessions = Vec::new();
    for program in &programs {
        let dial = program.endpoint.connect(id, b"test/1");
        let (dialled, accepted) = tokio::join!(dial, a.endpoint.accept());
        sessions.push((dialled.unwrap(), accepted.unwrap()));
    }
    let refused = ninth.endpoint.connect(id, b"test/1").await;
    assert_eq!(refused.unwrap_err(), ConnectError::Busy);
    programs[0].endpoint.close().await;
    sessions.swap_remove(0).1.closed().await;
    ninth.endpoint.connect(id, b"test/1").await.unwrap();
}
