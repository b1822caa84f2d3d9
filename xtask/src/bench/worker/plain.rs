//! The baseline: quinn with Gimlet's settings, TLS and sockets, and nothing of Gimlet's between.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gimlet::Identity;
use gimlet_net::congestion::PathEpoch;
use gimlet_net::tls::Credential;
use gimlet_net::{socket, transport};
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, ServerConfig, TokioRuntime, TransportConfig};

use super::peer::Sender;
use super::{ALPN, RECEIVER, SENDER, bulk};

/// Takes streams until the endpoint is dropped.
pub(super) fn receive() -> anyhow::Result<Endpoint> {
    let credential = Credential::new(&Identity::from_seed(&RECEIVER))?;
    let sender = Identity::from_seed(&SENDER).peer_id();
    let crypto = credential.peer_server(sender, &[ALPN.to_vec()])?;
    let crypto = QuicServerConfig::try_from(crypto)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(settings()).migration(false);
    let endpoint = bind(Some(config))?;
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            tokio::spawn(async move {
                if let Ok(connection) = incoming.await {
                    bulk::drain(connection).await;
                }
            });
        }
    });
    Ok(endpoint)
}

/// Connects to a receiver.
pub(super) async fn connect(to: SocketAddr) -> anyhow::Result<Sender> {
    let credential = Credential::new(&Identity::from_seed(&SENDER))?;
    let receiver = Identity::from_seed(&RECEIVER).peer_id();
    let crypto = QuicClientConfig::try_from(credential.peer_client(receiver, ALPN)?)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(settings());
    let endpoint = bind(None)?;
    let connecting = endpoint.connect_with(config, to, &receiver.server_name())?;
    Ok(Sender::Plain(connecting.await?))
}

/// A peer's settings with quinn's CUBIC instead of Gimlet's controller.
fn settings() -> Arc<TransportConfig> {
    let mut settings = transport::peer_transport(PathEpoch::new());
    settings.congestion_controller_factory(Arc::new(CubicConfig::default()));
    Arc::new(settings)
}

/// An endpoint over loopback.
pub(in crate::bench) fn bind(server: Option<ServerConfig>) -> anyhow::Result<Endpoint> {
    let socket = socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    Ok(Endpoint::new_with_abstract_socket(
        transport::endpoint_config(&[7; 32]),
        server,
        socket,
        Arc::new(TokioRuntime),
    )?)
}
