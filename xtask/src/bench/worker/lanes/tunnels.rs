//! Sockets replaced by tunnels over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gimlet::{Identity, ServerAddress};
use gimlet_net::tls::Credential;
use gimlet_net::tunnel::{Destination, Tunnel};
use gimlet_proto::stun::{TransactionId, encode_binding_request};
use quinn::AsyncUdpSocket;
use quinn::udp::Transmit;
use tokio::time;

use super::super::client::addr;
use super::Lane;

/// How often each says something and is answered. Either end takes a tunnel for unused in which nothing comes its way for
/// 30 s; a client's has its control session, while a source here never hears anything, and a sink never speaks.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

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
        for end in [&lane.source, &lane.sink] {
            tokio::spawn(keep_alive(end.clone(), at));
        }
    }
    Ok(())
}

/// Asks the server where it is seen, as long as the process runs.
async fn keep_alive(tunnel: Arc<dyn AsyncUdpSocket>, server: SocketAddr) {
    let request = encode_binding_request(TransactionId([7; 12]));
    let mut ticks = time::interval(KEEP_ALIVE);
    loop {
        ticks.tick().await;
        let transmit = Transmit {
            destination: server,
            ecn: None,
            contents: &request,
            segment_size: None,
            src_ip: None,
        };
        // A tunnel that has ended shows by what no longer comes out of it.
        let _ = tunnel.try_send(&transmit);
    }
}
