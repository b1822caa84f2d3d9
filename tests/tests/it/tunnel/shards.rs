//! Tunnels beside a main port of several sockets: the system spreads UDP senders over them, and what
//! comes out of tunnels arrives at the first.

use gimlet::Transport;
use gimlet_server::Config;

use super::{transfer, world_with};

/// Senders over UDP: that all of them come to the first of four sockets happens once in 4,096 runs, and
/// then this shows less.
const SENDERS: usize = 6;

#[tokio::test]
async fn a_peer_over_tls_is_reached_from_every_shard_and_reaches_it() {
    let mut config = Config::on_loopback();
    config.shards = 4;
    let world = world_with(config, false).await;
    let (inside, signed_in) = world.signed_in().await;
    assert_eq!(signed_in.transport, Transport::Tls);
    for _ in 0..SENDERS {
        let outside = world.outside(world.udp).await;
        transfer(&outside, &inside, 100_000).await;
        transfer(&inside, &outside, 100_000).await;
    }
    let (other, _) = world.signed_in().await;
    transfer(&inside, &other, 1 << 20).await;
    assert_eq!(world.handle.counters().tunnels, 2);
}
