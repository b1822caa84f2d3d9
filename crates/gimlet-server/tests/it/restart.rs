//! A server that was killed: its peers hear of that from the next one.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_server::{Access, BindError, Config, Server};
use quinn::{ConnectionError, TransportConfig, VarInt};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, spawn_blocking, yield_now};

use crate::support::{Client, soon, start};

/// Twice as many as would be answered within their timeout with 20 ms between two resets.
const PEERS: usize = 400;

/// Of QUIC, and how often each says something within it.
const TIMEOUT: Duration = Duration::from_secs(4);
const KEEP_ALIVE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_whole_crowd_hears_of_a_restart_before_it_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = |listen: SocketAddr| {
        let mut config = Config::on_loopback();
        config.listen = listen;
        config.access = Access::Open;
        config.state = Some(folder.path().to_owned());
        config
    };
    // A runtime of its own can be ended without a word to anybody, as a process can.
    let doomed = Runtime::new().unwrap();
    let server = {
        let _inside = doomed.enter();
        start(config(([127, 0, 0, 1], 0).into()))
    };
    let mut coming = JoinSet::new();
    for _ in 0..PEERS {
        let (addr, key) = (server.addr, server.id);
        coming.spawn(async move {
            let mut transport = TransportConfig::default();
            transport
                .max_idle_timeout(Some(TIMEOUT.try_into().unwrap()))
                .keep_alive_interval(Some(KEEP_ALIVE));
            Client::signed_in_with(addr, key, transport).await
        });
    }
    let clients = soon(coming.join_all()).await;
    assert_eq!(clients.len(), PEERS);

    soon(spawn_blocking(move || doomed.shutdown_timeout(TIMEOUT)))
        .await
        .unwrap();
    // The thread that writes names is none of the runtime's, and may end a moment later.
    let released = async {
        while let Err(BindError::Names(_)) = Server::bind(config(server.addr)) {
            yield_now().await;
        }
    };
    soon(released).await;
    let next = start(config(server.addr));
    assert_eq!(next.id, server.id);
    let mut timed_out = 0;
    for client in &clients {
        match soon(client.connection.closed()).await {
            ConnectionError::Reset => (),
            ConnectionError::TimedOut => timed_out += 1,
            // What the old one's last moment let out.
            ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code, VarInt::from_u32(0));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(timed_out, 0, "of {PEERS}");
    next.stop().await;
}
