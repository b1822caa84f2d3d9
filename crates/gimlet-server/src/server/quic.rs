//! quinn's settings for control sessions.

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::identity::Identity;
use gimlet_net::transport::{self, CONTROL_WINDOW};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, TokioRuntime, TransportConfig, VarInt};

use super::error::RunError;
use super::resets::Rationed;
use crate::config::Config;
use crate::quic_socket::QuicSocket;

/// quinn, on its share of the port.
pub(super) fn endpoint(
    identity: &Identity,
    tls: rustls::ServerConfig,
    config: &Config,
    socket: Arc<QuicSocket>,
) -> Result<Endpoint, RunError> {
    let crypto = QuicServerConfig::try_from(Arc::new(tls))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(control_transport(config.rendezvous.max_lease)))
        // What waits at the door: its handshakes are tens of kilobytes in all.
        .max_incoming(config.max_half_open)
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(4 << 20);
    let reset_key = identity.derive("gimlet 2026-11 server quic stateless reset");
    let mut endpoint = transport::endpoint_config(&reset_key);
    endpoint.min_reset_interval(Duration::ZERO);
    endpoint.cid_generator(move || Box::new(Rationed::new(transport::connection_ids(&reset_key))));
    Ok(Endpoint::new_with_abstract_socket(
        endpoint,
        Some(server),
        socket,
        Arc::new(TokioRuntime),
    )?)
}

/// Settings of a control session: one stream of small messages that should cost little while idle.
fn control_transport(max_lease: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // A record is at most 64 KiB; more unread bytes a peer would only cost memory.
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(CONTROL_WINDOW))
        .send_window(128 * 1024)
        // Small messages gain nothing from a larger MTU, and looking for it costs packets.
        .mtu_discovery_config(None)
        // Peers keep their own NAT's mapping alive, more often; this is for those that don't.
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_idle_timeout(max_lease.try_into().ok());
    transport
}
