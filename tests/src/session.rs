//! A session of two peers over a line, and what a bulk transfer does there.

use std::time::Duration;

use gimlet::Connection;
use gimlet_server::Config;
use gimlet_sim::LinkConfig;

use crate::line::{Flow, Line, Seen};
use crate::world::{Peer, RunningServer, World};

/// How long a bulk has before it is watched.
const START: Duration = Duration::from_secs(2);

/// How long a path may take to be what it is to be.
const PATH_TIMEOUT: Duration = Duration::from_secs(60);

/// Peers that are connected over a line.
pub struct Session {
    /// The end that sends over the bottleneck.
    pub dialled: Connection,
    /// The other.
    pub accepted: Connection,
    /// Where they are.
    pub world: World,
    /// Both peers, the dialling one first.
    pub peers: (Peer, Peer),
    _server: RunningServer,
}

impl Session {
    /// Of two peers with a server, direct or over its relay. `seed` decides what is lost when.
    pub async fn over(seed: u64, line: &Line, relayed: bool) -> Self {
        let mut world = World::new(seed);
        let server = world.server(LinkConfig::default(), Config::on_loopback());
        let (a, b) = (world.site(&[], line.near()), world.site(&[], line.far()));
        let a = world
            .peer(a, &server.address, |b| b.relay_only(relayed))
            .await;
        let b = world
            .peer(b, &server.address, |b| b.relay_only(relayed))
            .await;
        a.endpoint.online().await.expect("it signs in");
        b.endpoint.online().await.expect("it signs in");
        let dial = a.endpoint.connect(b.endpoint.peer_id(), b"test/1");
        let (dialled, accepted) = tokio::join!(dial, b.endpoint.accept());
        let dialled = dialled.expect("it connects");
        let mut path = dialled.path_changes();
        let settled = path.wait_for(|path| path.is_direct() != relayed);
        let settled = tokio::time::timeout(PATH_TIMEOUT, settled).await;
        settled
            .expect("the path is found in time")
            .expect("the peer is known");
        Self {
            dialled,
            accepted: accepted.expect("the endpoint is open"),
            world,
            peers: (a, b),
            _server: server,
        }
    }

    /// What a bulk transfer does in `time` after it has found its speed.
    pub async fn seen(&self, time: Duration) -> Seen {
        let flow = Flow::bulk(self.dialled.clone(), self.accepted.clone()).await;
        tokio::time::sleep(START).await;
        flow.watch(time).await
    }
}
