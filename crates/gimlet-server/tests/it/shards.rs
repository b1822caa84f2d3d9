//! One port, several sockets: who arrives at which is the system's choice, and makes no difference.

use gimlet_proto::frame::{FrameKind, header};
use gimlet_server::Config;

use crate::relay::{SECRET_A, SECRET_B, SESSION, bind, data, pair};
use crate::support::{receive, socket, start};

fn shards(count: usize) -> Config {
    let mut config = Config::on_loopback();
    config.shards = count;
    config
}

#[tokio::test]
async fn a_session_moves_between_shards_and_loses_nothing() {
    let server = start(shards(4));
    let mut pair = pair(&server).await;
    let mut sent = 0;
    for counter in 2..40u64 {
        // Another port is, three times of four, another shard.
        let moved = socket().await;
        let (side, secret) = match counter % 2 {
            0 => (&mut pair.a, &SECRET_A),
            _ => (&mut pair.b, &SECRET_B),
        };
        bind(&server, &moved, counter, secret).await;
        let left = std::mem::replace(side, moved);
        let there = data(&counter.to_be_bytes());
        pair.a.send_to(&there, server.addr).await.unwrap();
        assert_eq!(receive(&pair.b).await, there);
        pair.b.send_to(&there, server.addr).await.unwrap();
        assert_eq!(receive(&pair.a).await, there);
        sent += 2;
        left.send_to(&there, server.addr).await.unwrap();
        let answer = receive(&left).await;
        assert_eq!(answer, header(FrameKind::Unknown, SESSION));
    }
    assert_eq!(server.handle.counters().relayed_packets, sent);
    server.stop().await;
}

#[tokio::test]
async fn every_shard_serves_whoever_arrives_there() {
    let server = start(shards(4));
    let pair = pair(&server).await;
    for n in 0..40u8 {
        let anybody = socket().await;
        // A STUN request, as short as it can be.
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        request.extend([n; 12]);
        anybody.send_to(&request, server.addr).await.unwrap();
        let answer = receive(&anybody).await;
        assert_eq!(
            (answer[..2].to_vec(), &answer[8..20]),
            (vec![1, 1], &[n; 12][..])
        );
    }
    drop(pair);
    server.stop().await;
}

#[tokio::test]
async fn a_server_with_one_shard_is_one() {
    let server = start(shards(0));
    let pair = pair(&server).await;
    let there = data(b"alone");
    pair.a.send_to(&there, server.addr).await.unwrap();
    assert_eq!(receive(&pair.b).await, there);
    server.stop().await;
}
