//! Straight to an address: peers on the same network, with no server between.
//!
//! A QUIC endpoint of its own beside the path socket, on its own port. There are no paths to choose from
//! and nothing is relayed; packets go to an address that was found on this network and stay there.
//!
//! | part | what |
//! | --- | --- |
//! | `nearby` | who was found, and where |
//! | `dial` | dialling a peer there |
//! | `answer` | answering whoever knocks |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gimlet_net::path::Link;
use gimlet_net::tls::{Credential, TlsError};
use gimlet_net::{socket, transport};
use gimlet_proto::id::PeerId;
use gimlet_proto::traversal::Strategy;
use quinn::{AsyncUdpSocket, TokioRuntime};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::endpoint::Shared;
use crate::error::BindError;
use crate::incoming;
use crate::peer::{Path, PathKind, Peer, Phase};

mod answer;
mod dial;
mod nearby;

pub(crate) use answer::run;
pub use dial::ConnectAtError;
pub(crate) use dial::connect;

use answer::MAX_HANDSHAKES;
use nearby::Nearby;

/// How long a handshake may take: networks that are this near answer in milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of a peer that are tried: a host has a few, and they come from strangers.
const MAX_ADDRESSES: usize = 8;

/// The QUIC endpoint on this network.
#[derive(Debug)]
pub(crate) struct Lan {
    quic: quinn::Endpoint,
    port: u16,
    /// Who was found there.
    pub(crate) nearby: Nearby,
}

impl Lan {
    pub(crate) fn open(
        credential: &Credential,
        alpns: &[Vec<u8>],
        reset_key: &[u8; 32],
    ) -> Result<Self, BindError> {
        let socket = bind()?;
        let port = socket.local_addr()?.port();
        let crypto = credential.open_server(alpns)?;
        let mut server = incoming::quic_server(crypto, None).map_err(TlsError::Rustls)?;
        // What waits to be looked at is as bounded as what is being looked at.
        server.max_incoming(MAX_HANDSHAKES);
        let quic = quinn::Endpoint::new_with_abstract_socket(
            transport::endpoint_config(reset_key),
            Some(server),
            socket,
            Arc::new(TokioRuntime),
        )?;
        Ok(Self {
            quic,
            port,
            nearby: Nearby::default(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Says goodbye on all connections.
    pub(crate) fn close(&self) {
        self.quic.close(0u8.into(), b"closed");
    }
}

fn bind() -> std::io::Result<Arc<dyn AsyncUdpSocket>> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    // Without IPv6 there is still IPv4.
    socket::bind(both, true)
        .or_else(|_| socket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), false))
}

/// Whether an address belongs to a network of one's own: loopback, link-local and private ranges (RFC
/// 1918, RFC 3927, RFC 4193, RFC 4291).
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// A connection on its only path.
fn connected(
    shared: &Arc<Shared>,
    id: PeerId,
    link: Arc<Link>,
    quic: quinn::Connection,
    began_at: Instant,
    dialled: bool,
) -> Connection {
    let peer = Peer::new(id, link);
    let port = shared.lan.as_ref().map_or(0, Lan::port);
    let remote = quic.remote_address();
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    // Taking the scope off an IPv6 address would make it another one.
    let remote = match remote.ip().to_canonical() {
        IpAddr::V4(_) => canonical(remote),
        IpAddr::V6(_) => remote,
    };
    peer.path.send_replace(Path {
        kind: PathKind::Direct,
        local: quic
            .local_ip()
            .map(|ip| canonical(SocketAddr::new(ip, port))),
        remote: Some(remote),
        rtt: Some(quic.rtt()),
        strategy: Some(Strategy::Host),
    });
    peer.phase.send_replace(Phase::Introduced);
    peer.facts.send_modify(|facts| {
        let now = Instant::now().into_std();
        facts.settled = true;
        facts.moments.introduced_at = Some(now);
        facts.moments.direct_at = Some(now);
        facts.moments.confirmed_at = Some(now);
    });
    Connection::new(shared.clone(), peer, quic, began_at, dialled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_of_ones_own_are_local() {
        let local = |text: &str| is_local(text.parse().unwrap());
        for yes in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "127.0.0.1",
            "::ffff:192.168.1.1",
            "fe80::1",
            "fd00::1",
            "::1",
        ] {
            assert!(local(yes), "{yes}");
        }
        for no in [
            "8.8.8.8",
            "100.64.0.1",
            "172.32.0.1",
            "0.0.0.0",
            "2001:db8::1",
            "ff02::fb",
            "::",
        ] {
            assert!(!local(no), "{no}");
        }
    }
}
