//! A server and peers on loopback.

use std::time::Duration;

use gimlet::{Builder, Endpoint, ServerAddress};
use gimlet_server::{Config, Server};

/// Longest that anything here may take, on a machine that does other work too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Starts a server; it runs as long as the test does.
pub(crate) fn server() -> ServerAddress {
    let server = Server::bind(Config::on_loopback()).unwrap();
    let address = server.address();
    tokio::spawn(server.run(std::future::pending()));
    address
}

/// A peer of that server, signed in and answering these protocols.
pub(crate) async fn peer(server: &ServerAddress, alpns: Vec<Vec<u8>>) -> Endpoint {
    peer_with(Endpoint::builder().server(server.clone()).alpns(alpns)).await
}

/// A peer with a configuration of its own, signed in.
pub(crate) async fn peer_with(builder: Builder) -> Endpoint {
    let endpoint = builder.port_mapping(false).bind().await.unwrap();
    endpoint.online().await.unwrap();
    endpoint
}

/// Fails a test that hangs, instead of hanging with it.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .expect("done within the deadline")
}
