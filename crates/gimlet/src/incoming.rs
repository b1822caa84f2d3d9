//! QUIC handshakes with peers, both ways: who may shake hands, and with which settings.

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::congestion::PathEpoch;
use gimlet_net::path::Link;
use gimlet_net::tls::{Credential, TlsError};
use gimlet_net::transport;
use gimlet_proto::id::PeerId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectionError, Incoming, ServerConfig, TransportConfig};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::endpoint::Shared;
use crate::error::ConnectError;
use crate::peer::Peer;

/// How long an accepted handshake may take. Longer than a dialer's patience is of no use.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Code of a connection that found the accept queue full.
pub(crate) const BUSY: u32 = 1;

/// quinn settings for accepting from one peer. Without a link: for the endpoint as a whole, of
/// which only the limits are used.
pub(crate) fn server_config(
    credential: &Credential,
    peer: PeerId,
    alpns: &[Vec<u8>],
    link: Option<&Link>,
) -> Result<ServerConfig, rustls::Error> {
    let crypto = credential
        .peer_server(peer, alpns)
        .map_err(|error| match error {
            TlsError::Rustls(error) => error,
            TlsError::Certificate(error) => rustls::Error::General(error.to_string()),
        })?;
    quic_server(crypto, link)
}

/// The same, for whoever those TLS settings let in.
pub(crate) fn quic_server(
    crypto: rustls::ServerConfig,
    link: Option<&Link>,
) -> Result<ServerConfig, rustls::Error> {
    let crypto = QuicServerConfig::try_from(crypto)
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(match link {
            Some(link) => transport_over(link),
            None => transport::peer_transport(PathEpoch::new()),
        }))
        // A peer's virtual address never changes; whatever looks like migration is an attack.
        .migration(false);
    Ok(config)
}

/// quinn settings for dialling one peer.
pub(crate) fn quic_client(
    credential: &Credential,
    peer: PeerId,
    alpn: &[u8],
    link: &Link,
) -> Result<ClientConfig, ConnectError> {
    let lost = |detail: String| ConnectError::Lost { detail };
    let crypto = credential.peer_client(peer, alpn);
    let crypto = crypto.map_err(|e| lost(e.to_string()))?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|e| lost(e.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_over(link)));
    Ok(config)
}

/// Settings of a new connection, by where its packets go now.
fn transport_over(link: &Link) -> TransportConfig {
    let epoch = link.epoch().clone();
    match link.longest() {
        long if long >= transport::LARGE_DATAGRAM => transport::large_peer_transport(epoch, long),
        _ => transport::peer_transport(epoch),
    }
}

/// Begins a handshake with `peer`. The first flight leaves before this returns.
pub(crate) fn dial(
    shared: &Shared,
    peer: &Peer,
    alpn: &[u8],
) -> Result<impl Future<Output = Result<quinn::Connection, ConnectError>> + use<>, ConnectError> {
    let lost = |detail: String| ConnectError::Lost { detail };
    let config = quic_client(&shared.credential, peer.id, alpn, &peer.link)?;
    let connecting = shared
        .quic
        .connect_with(
            config,
            peer.link.addr().to_socket_addr(),
            &peer.id.server_name(),
        )
        .map_err(|e| lost(e.to_string()))?;
    Ok(async move { connecting.await.map_err(classify) })
}

pub(crate) fn classify(error: ConnectionError) -> ConnectError {
    /// TLS alert no_application_protocol as a QUIC error code (RFC 9001 section 4.8).
    const NO_PROTOCOL: u64 = 0x178;
    let code = match &error {
        ConnectionError::TransportError(error) => Some(u64::from(error.code)),
        ConnectionError::ConnectionClosed(close) => Some(u64::from(close.error_code)),
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::Reset
        | ConnectionError::TimedOut
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => None,
    };
    match (code, error) {
        (Some(NO_PROTOCOL), _) => ConnectError::NoProtocol,
        (Some(0x12a..=0x131), _) => ConnectError::WrongKey,
        (None, ConnectionError::TimedOut) => ConnectError::TimedOut,
        (Some(_) | None, error) => ConnectError::Lost {
            detail: error.to_string(),
        },
    }
}

/// Accepts until the endpoint is closed.
pub(crate) async fn run(shared: Arc<Shared>, accepted: mpsc::Sender<Connection>) {
    let quic = shared.quic.clone();
    loop {
        let incoming = tokio::select! {
            incoming = quic.accept() => incoming,
            () = accepted.closed() => return,
        };
        let Some(incoming) = incoming else { return };
        match shared.peer_at(incoming.remote_address()) {
            Some(peer) if !shared.alpns.is_empty() => {
                let (shared, accepted) = (shared.clone(), accepted.clone());
                tokio::spawn(async move { shake_hands(shared, peer, incoming, accepted).await });
            }
            // Between introduction and handshake the peer was forgotten, or nothing is offered.
            Some(_) => incoming.refuse(),
            None => incoming.ignore(),
        }
    }
}

async fn shake_hands(
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    incoming: Incoming,
    accepted: mpsc::Sender<Connection>,
) {
    let _wanted = peer.want();
    let began_at = Instant::now();
    let link = Some(&*peer.link);
    let config = match server_config(&shared.credential, peer.id, &shared.alpns, link) {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!(%error, "cannot accept");
            return incoming.refuse();
        }
    };
    let handshake = async { incoming.accept_with(Arc::new(config))?.await };
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(peer = %peer.id.short(), %error, "handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(peer = %peer.id.short(), "handshake timed out");
            return;
        }
    };
    let connection = Connection::new(shared, peer, connection, began_at, false);
    if let Err(error) = accepted.try_send(connection) {
        let (mpsc::error::TrySendError::Full(connection)
        | mpsc::error::TrySendError::Closed(connection)) = error;
        connection.close(BUSY, b"busy");
    }
}
