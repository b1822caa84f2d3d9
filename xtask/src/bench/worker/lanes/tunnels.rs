//! Sockets replaced by tunnels over TLS.

use std::sync::Arc;

use anyhow::Context;
use gimlet::{Identity, ServerAddress};
use gimlet_net::tls::Credential;
use gimlet_net::tunnel::{Destination, Tunnel};

use super::super::client::addr;
use super::Lane;

/// Gives either end of each lane a tunnel to the server instead of its socket.
pub(super) async fn replace(server: &ServerAddress, lanes: &mut [Lane]) -> anyhow::Result<()> {
    let key = server.key.context("the server's address has no key")?;
    let tls = Credential::new(&Identity::generate())?.tunnel_client(Some(key))?;
    let at = addr(server)?;
    let destination = Destination {
        host: &server.host,
        port: server.tls_port(),
        addr: Some(at),
        tls: Arc::new(tls),
        proxy: None,
    };
    for lane in lanes {
        lane.source = Tunnel::connect(&destination, at).await?;
        lane.sink = Tunnel::connect(&destination, at).await?;
    }
    Ok(())
}
