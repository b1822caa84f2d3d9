//! The Gimlet server with its defaults, over loopback, open to everyone.

use std::net::SocketAddr;

use gimlet_server::{Config, Server, ServerHandle};

use crate::bench::message::Spot;

/// Starts it; how to look into it, where it listens, and its address line.
pub(super) fn start(spot: Option<Spot>) -> anyhow::Result<(ServerHandle, SocketAddr, String)> {
    let mut config = Config::on_loopback();
    if let Some(spot) = spot {
        config.listen = spot.listen;
        config.state = Some(spot.state);
    }
    let server = Server::bind(config)?;
    let (handle, addr) = (server.handle(), server.local_addr());
    let line = server.address().to_string();
    tokio::spawn(async move {
        // It runs as long as the process; were it to end before, its peers would tell.
        if let Err(error) = server.run(std::future::pending()).await {
            anstream::eprintln!("the server ended: {error}");
        }
    });
    Ok((handle, addr, line))
}
