//! The baseline under any server with idle peers: quinn that takes connections and holds them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use gimlet::{Identity, ServerAddress};
use gimlet_net::tls::Credential;
use gimlet_net::{socket, transport};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, TokioRuntime, TransportConfig};

use super::RECEIVER;

/// Starts one with the server's TLS and transport settings; where it is.
pub(super) fn start() -> anyhow::Result<(Endpoint, ServerAddress)> {
    let identity = Identity::from_seed(&RECEIVER);
    let crypto = Credential::new(&identity)?.control_server(None)?;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(crypto)?));
    config.transport_config(Arc::new(settings()?));
    let endpoint = Endpoint::new_with_abstract_socket(
        transport::endpoint_config(&[7; 32]),
        Some(config),
        socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?,
        Arc::new(TokioRuntime),
    )?;
    let port = endpoint.local_addr()?.port();
    let key = identity.peer_id();
    let address = format!("gimlet://127.0.0.1:{port}?key={key}").parse()?;
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    connection.closed().await;
                }
            });
        }
    });
    Ok((endpoint, address))
}

/// As a Gimlet server's.
fn settings() -> anyhow::Result<TransportConfig> {
    let mut settings = TransportConfig::default();
    settings
        .max_concurrent_bidi_streams(1u8.into())
        .max_concurrent_uni_streams(0u8.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window((64 * 1024u32).into())
        .receive_window((128 * 1024u32).into())
        .send_window(128 * 1024)
        .mtu_discovery_config(None)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_idle_timeout(Some(Duration::from_secs(60).try_into()?));
    Ok(settings)
}
