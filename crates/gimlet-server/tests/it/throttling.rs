//! Limits of a running server: kept on every shard, changed under way, and told to who is over them.

use std::num::NonZeroU64;

use gimlet_proto::message::{ThrottleReason, Throttled, ToPeer};
use gimlet_server::relay_limits::{ByteRate, Quota};
use gimlet_server::{Config, Limits};

use crate::relay::{SESSION, data, pair};
use crate::support::{receive, start};

#[tokio::test]
async fn a_quota_set_under_way_stops_a_session_and_its_senders_hear_why() {
    let server = start(Config::on_loopback());
    let mut pair = pair(&server).await;
    let mut limits = Limits::default();
    limits.relay.session = Quota {
        rate: None,
        total: Some(5_000),
    };
    server.handle.set_limits(limits);
    assert_eq!(server.handle.limits(), limits);
    let thousand = data(&[0; 990]);
    // It takes hold in a moment.
    while server.handle.counters().relay_throttled == 0 {
        pair.a.send_to(&thousand, server.addr).await.unwrap();
        tokio::task::yield_now().await;
    }
    let relayed = server.handle.counters().relayed_packets;
    assert!(relayed >= 5, "{relayed}");
    for _ in 0..3 {
        pair.b.send_to(&thousand, server.addr).await.unwrap();
    }
    for peer in &mut pair.peers {
        let ToPeer::Throttled(Throttled {
            session,
            reason,
            dropped_bytes,
        }) = peer.hear().await
        else {
            panic!("told something else");
        };
        assert_eq!((session, reason), (SESSION, ThrottleReason::SessionTotal));
        assert!(dropped_bytes >= 1000 && dropped_bytes % 1000 == 0);
    }

    server.handle.set_limits(Limits::default());
    // Likewise.
    let before = server.handle.counters().relayed_packets;
    while server.handle.counters().relayed_packets == before {
        pair.a.send_to(&thousand, server.addr).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(receive(&pair.b).await, thousand);
    server.stop().await;
}

#[tokio::test]
async fn a_rate_is_kept_whichever_way_and_shard() {
    let mut config = Config::on_loopback();
    config.shards = 4;
    let mut limits = Limits::default();
    let per_second = NonZeroU64::new(10_000).unwrap();
    limits.relay.session.rate = Some(ByteRate {
        per_second,
        burst: 20_000,
    });
    let server = start(config.with_limits(limits));
    let pair = pair(&server).await;
    let thousand = data(&[0; 990]);
    let began = std::time::Instant::now();
    for _ in 0..60 {
        pair.a.send_to(&thousand, server.addr).await.unwrap();
        pair.b.send_to(&thousand, server.addr).await.unwrap();
    }
    let all = |now: &gimlet_server::Snapshot| now.relay_throttled + now.relayed_packets >= 120;
    let counted = server.counted(all).await;
    // The burst, and what came due meanwhile, on a slow machine.
    let due = 20_000 + 10_000 * (began.elapsed().as_secs() + 1) + 2_000;
    assert!(counted.relayed_bytes >= 20_000, "{counted:?}");
    assert!(counted.relayed_bytes <= due, "{counted:?}");
    server.stop().await;
}
