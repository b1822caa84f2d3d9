//! Limits of a server, and what those who are over them get to hear.

use std::num::NonZeroU64;
use std::time::Duration;

use gimlet::{EndpointEvent, PeerId, ThrottleReason};
use gimlet_server::relay_limits::{ByteRate, Quota};
use gimlet_server::{Config, Limits};
use gimlet_tests::{Peer, World, rtt_40ms};
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout};

use crate::bench::{payload, transfer};
use crate::operator::connect;

/// The relay looks for what it dropped every three seconds, and a message takes its way.
const SOON: Duration = Duration::from_secs(5);

const PER_SECOND: u64 = 200_000;

fn limited() -> Limits {
    let mut limits = Limits::default();
    limits.relay.session.rate = Some(ByteRate {
        per_second: NonZeroU64::new(PER_SECOND).unwrap(),
        burst: 50_000,
    });
    limits
}

/// A peer that only uses the relay.
async fn peer(world: &mut World, server: &gimlet_tests::RunningServer) -> Peer {
    let place = world.site(&[], rtt_40ms());
    let peer = world
        .peer(place, &server.address, |builder| builder.relay_only(true))
        .await;
    peer.endpoint.online().await.unwrap();
    peer
}

/// The next time this endpoint is told that the relay drops what it sends.
async fn throttled(events: &mut Receiver<EndpointEvent>) -> (PeerId, ThrottleReason, u64) {
    let next = async {
        loop {
            if let EndpointEvent::Throttled {
                peer,
                reason,
                dropped_bytes,
            } = events.recv().await.unwrap()
            {
                return (peer, reason, dropped_bytes);
            }
        }
    };
    timeout(SOON, next).await.expect("it is told in time")
}

/// Takes all that this endpoint was told; whether none of it was about the relay dropping anything.
fn told_nothing(events: &mut Receiver<EndpointEvent>) -> bool {
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let throttled = told.filter(|event| matches!(event, EndpointEvent::Throttled { .. }));
    throttled.count() == 0
}

#[tokio::test(start_paused = true)]
async fn who_sends_more_than_the_server_carries_hears_it_and_gets_through_at_its_rate() {
    let mut world = World::new(31);
    let config = Config::on_loopback().with_limits(limited());
    let server = world.server(rtt_40ms(), config);
    let a = peer(&mut world, &server).await;
    let b = peer(&mut world, &server).await;
    let (dialled, accepted) = connect(&a, &b).await;
    let (mut of_sender, mut of_other) = (a.endpoint.events(), b.endpoint.events());
    let bytes = payload(2 << 20);
    let began = Instant::now();
    let told = async {
        let mut dropped = 0;
        for _ in 0..2 {
            let (peer, reason, bytes) = throttled(&mut of_sender).await;
            assert_eq!(
                (peer, reason),
                (b.endpoint.peer_id(), ThrottleReason::SessionRate)
            );
            dropped += bytes;
        }
        dropped
    };
    let (transfer, told) = tokio::join!(transfer(&dialled, &accepted, &bytes), told);
    assert!(transfer.intact);
    assert!(told > 1000, "{told}");
    let rate = bytes.len() as f64 / began.elapsed().as_secs_f64();
    println!("{rate} bytes a second, of which the server carries {PER_SECOND}");
    assert!(rate < PER_SECOND as f64 * 1.05, "{rate}");
    assert!(rate > PER_SECOND as f64 * 0.5, "{rate}");
    // Its acknowledgements are few, but may be dropped too: then it hears of them, by the same reason.
    while let Ok(event) = of_other.try_recv() {
        if let EndpointEvent::Throttled { reason, .. } = event {
            assert_eq!(reason, ThrottleReason::SessionRate);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_set_and_lifted_under_way_is_told_from_when_to_when_it_holds() {
    let mut world = World::new(32);
    let server = world.server(rtt_40ms(), Config::on_loopback());
    let a = peer(&mut world, &server).await;
    let b = peer(&mut world, &server).await;
    let (dialled, accepted) = connect(&a, &b).await;
    let mut events = a.endpoint.events();
    let bytes = payload(1 << 20);
    assert!(transfer(&dialled, &accepted, &bytes).await.intact);
    tokio::time::sleep(SOON).await;
    assert!(told_nothing(&mut events));

    let mut limits = Limits::default();
    limits.relay.session = Quota {
        rate: limited().relay.session.rate,
        total: None,
    };
    server.handle.set_limits(limits);
    let (transferred, (peer, reason, dropped)) = tokio::join!(
        transfer(&dialled, &accepted, &bytes),
        throttled(&mut events)
    );
    assert!(transferred.intact);
    assert_eq!(
        (peer, reason),
        (b.endpoint.peer_id(), ThrottleReason::SessionRate)
    );
    assert!(dropped > 0);

    server.handle.set_limits(Limits::default());
    // What was dropped until now is still told.
    tokio::time::sleep(SOON).await;
    let _ = told_nothing(&mut events);
    assert!(transfer(&dialled, &accepted, &bytes).await.intact);
    tokio::time::sleep(SOON).await;
    assert!(told_nothing(&mut events));
}
