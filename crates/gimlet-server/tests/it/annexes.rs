//! A sender that floods gets a socket of its own, and nothing else changes for anybody.
#![cfg(target_os = "linux")]

use gimlet_proto::message::{ThrottleReason, Throttled, ToPeer};
use gimlet_proto::stun::{TransactionId, encode_binding_request};
use gimlet_server::Config;

use crate::relay::{Pair, SECRET_A, SESSION, bind, data, pair};
use crate::support::{Running, receive, socket, soon, start};

/// Datagrams sent before the server gets to read any: 2 MB of them.
const SALVO: usize = 1500;

/// One shard, in whose queue all meet.
fn one_shard() -> Config {
    let mut config = Config::on_loopback();
    config.shards = 1;
    config
}

/// One salvo by `a`, and a little from `b`. What a full buffer does not take is lost.
async fn flood(server: &Running, pair: &Pair) {
    let frame = data(&[7; 1200]);
    for n in 0..SALVO {
        let _ = pair.a.try_send_to(&frame, server.addr);
        if n % 50 == 0 {
            let _ = pair.b.try_send_to(&frame, server.addr);
        }
    }
    tokio::task::yield_now().await;
}

async fn with_annex(server: &Running, pair: &Pair) {
    let found = async {
        while server.handle.counters().annexes == 0 {
            flood(server, pair).await;
        }
    };
    soon(found).await;
}

/// The next datagram that is none of the flood.
async fn next(socket: &tokio::net::UdpSocket) -> Vec<u8> {
    loop {
        let datagram = receive(socket).await;
        if datagram != data(&[7; 1200]) {
            return datagram;
        }
    }
}

#[tokio::test]
async fn who_floods_is_set_apart_and_all_it_sends_is_served_as_before() {
    let server = start(one_shard());
    let pair = pair(&server).await;
    with_annex(&server, &pair).await;
    assert_eq!(server.handle.counters().annexes, 1, "the other is not");
    for n in 0..20 {
        let (there, back) = (data(&[n; 500]), data(&[100 + n; 500]));
        pair.a.send_to(&there, server.addr).await.unwrap();
        assert_eq!(next(&pair.b).await, there);
        pair.b.send_to(&back, server.addr).await.unwrap();
        assert_eq!(next(&pair.a).await, back);
    }
    // STUN comes through the same socket, and so do bind frames.
    let request = encode_binding_request(TransactionId([7; 12]));
    pair.a.send_to(&request, server.addr).await.unwrap();
    assert_eq!(next(&pair.a).await[..2], [1, 1]);
    bind(&server, &pair.a, 2, &SECRET_A).await;
    server.stop().await;
}

#[tokio::test]
async fn who_was_set_apart_may_move_and_its_old_address_is_a_strangers() {
    let server = start(one_shard());
    let mut pair = pair(&server).await;
    with_annex(&server, &pair).await;
    let moved = socket().await;
    bind(&server, &moved, 2, &SECRET_A).await;
    let said = data(b"from elsewhere");
    moved.send_to(&said, server.addr).await.unwrap();
    assert_eq!(next(&pair.b).await, said);
    let before = server.handle.counters();
    let old = std::mem::replace(&mut pair.a, moved);
    old.send_to(&data(b"from before"), server.addr)
        .await
        .unwrap();
    let judged = |now: &gimlet_server::Snapshot| {
        now.relay_unknown + now.relay_dropped > before.relay_unknown + before.relay_dropped
    };
    server.counted(judged).await;
    server.stop().await;
}

#[tokio::test]
async fn who_floods_is_told_what_the_system_dropped_of_it() {
    let server = start(one_shard());
    let mut pair = pair(&server).await;
    with_annex(&server, &pair).await;
    let [alice, _bob] = &mut pair.peers;
    let (a, b) = (&pair.a, &pair.b);
    let frame = data(&[7; 1200]);
    let flood = async {
        loop {
            for n in 0..4 * SALVO {
                let _ = a.try_send_to(&frame, server.addr);
                if n % 50 == 0 {
                    let _ = b.try_send_to(&frame, server.addr);
                }
            }
            tokio::task::yield_now().await;
        }
    };
    let told = soon(async {
        tokio::select! {
            told = alice.hear() => told,
            () = flood => unreachable!("it has no end"),
        }
    });
    let ToPeer::Throttled(Throttled {
        session,
        reason,
        dropped_bytes,
    }) = told.await
    else {
        panic!("told something else");
    };
    assert_eq!((session, reason), (SESSION, ThrottleReason::Share));
    assert!(dropped_bytes > 0);
    server.stop().await;
}
