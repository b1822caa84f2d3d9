//! Straight to an address: peers on the same network, with no server between.
//!
//! A QUIC endpoint of its own beside the path socket, on its own port. There are no paths to choose from
//! and nothing is relayed; packets go to an address that was found on this network and stay there.
//!
//! Nobody has introduced whoever comes, so what a stranger can make us do is bounded by
//! [`MAX_HANDSHAKES`], by a Retry where there are several, and by TLS, which shows the key that
//! the policy judges. Addresses outside this network are not answered at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gimlet_net::path::Link;
use gimlet_net::tls::{Credential, TlsError};
use gimlet_net::{socket, tls, transport};
use gimlet_proto::id::PeerId;
use gimlet_proto::traversal::Strategy;
use quinn::{AsyncUdpSocket, Incoming, TokioRuntime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::connection::Connection;
use crate::endpoint::Shared;
use crate::error::{BindError, ConnectError};
use crate::incoming::{self, BUSY};
use crate::peer::{Path, PathKind, Peer, Phase};
use crate::policy::{AcceptPolicy, Request};

mod nearby;

use nearby::Nearby;

/// Handshakes of strangers at once: each costs some milliseconds of one core.
const MAX_HANDSHAKES: usize = 64;

/// Handshakes at once above which an address has to show by a Retry that it is there.
const TRUSTING: usize = 8;

/// How long a handshake may take: networks that are this near answer in milliseconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a person or a program has to decide, as with introductions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Addresses of a peer that are tried: a host has a few, and they come from strangers.
const MAX_ADDRESSES: usize = 8;

/// Code of a connection that the policy does not want.
const DECLINED: u32 = 3;

/// The QUIC endpoint on this network.
#[derive(Debug)]
pub(crate) struct Lan {
    quic: quinn::Endpoint,
    port: u16,
    /// Who was found there.
    pub(crate) nearby: Nearby,
}

/// Why [`Endpoint::connect_at`](crate::Endpoint::connect_at) failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectAtError {
    /// The endpoint was not bound with [`Builder::lan`](crate::Builder::lan).
    #[error("this endpoint does not use the local network")]
    Off,
    /// None of the addresses is on a local network.
    #[error("the peer has no address on this network")]
    NoAddress,
    /// At none of them the peer answers.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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

/// Connects to a peer at one of these addresses, whichever answers first.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    peer: PeerId,
    addrs: &[SocketAddr],
    alpn: &[u8],
) -> Result<Connection, ConnectAtError> {
    let lan = shared.lan.as_ref().ok_or(ConnectAtError::Off)?;
    if peer == shared.id {
        return Err(ConnectError::Myself.into());
    }
    let local = addrs.iter().filter(|addr| is_local(addr.ip()));
    let mut attempts = tokio::task::JoinSet::new();
    let began_at = Instant::now();
    for &addr in local.take(MAX_ADDRESSES) {
        let attempt = dial(shared, lan, peer, addr, alpn)?;
        attempts.spawn(async move {
            let done = timeout(HANDSHAKE_TIMEOUT, attempt).await;
            done.unwrap_or(Err(ConnectError::TimedOut))
        });
    }
    let mut why = ConnectAtError::NoAddress;
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            // Dropping the others gives them up.
            Ok(Ok((quic, link))) => {
                return Ok(connected(shared, peer, link, quic, began_at, true));
            }
            Ok(Err(error)) => why = worst(why, error),
            // Only a panic, which the process has reported.
            Err(_) => (),
        }
    }
    Err(why)
}

/// Of several failures the one to tell: that somebody answered and is another says more than silence.
fn worst(before: ConnectAtError, now: ConnectError) -> ConnectAtError {
    match (&before, &now) {
        (ConnectAtError::Connect(ConnectError::WrongKey | ConnectError::NoProtocol), _) => before,
        _ => now.into(),
    }
}

type Dialled = (quinn::Connection, Arc<Link>);

fn dial(
    shared: &Shared,
    lan: &Lan,
    peer: PeerId,
    addr: SocketAddr,
    alpn: &[u8],
) -> Result<impl Future<Output = Result<Dialled, ConnectError>> + use<>, ConnectError> {
    let link = Link::new(shared.next_addr());
    let config = incoming::quic_client(&shared.credential, peer, alpn, &link)?;
    let connecting = lan.quic.connect_with(config, addr, &peer.server_name());
    let connecting = connecting.map_err(|error| ConnectError::Lost {
        detail: error.to_string(),
    })?;
    Ok(async move {
        let quic = connecting.await.map_err(incoming::classify)?;
        Ok((quic, link))
    })
}

/// Accepts from this network until the endpoint is closed.
pub(crate) async fn run(shared: Arc<Shared>, accepted: mpsc::Sender<Connection>) {
    let Some(quic) = shared.lan.as_ref().map(|lan| lan.quic.clone()) else {
        return;
    };
    let free = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let incoming = tokio::select! {
            incoming = quic.accept() => incoming,
            () = accepted.closed() => return,
        };
        let Some(incoming) = incoming else { return };
        if shared.alpns.is_empty() || !is_local(incoming.remote_address().ip()) {
            incoming.ignore();
            continue;
        }
        let under_way = MAX_HANDSHAKES - free.available_permits();
        if under_way >= TRUSTING && !incoming.remote_address_validated() {
            // It fails where the token was for nothing; then the address has its chance behind it.
            let _ = incoming.retry();
            continue;
        }
        match free.clone().try_acquire_owned() {
            Ok(permit) => {
                let (shared, accepted) = (shared.clone(), accepted.clone());
                tokio::spawn(shake_hands(shared, incoming, accepted, permit));
            }
            Err(_) => incoming.refuse(),
        }
    }
}

async fn shake_hands(
    shared: Arc<Shared>,
    incoming: Incoming,
    accepted: mpsc::Sender<Connection>,
    permit: OwnedSemaphorePermit,
) {
    let began_at = Instant::now();
    let link = Link::new(shared.next_addr());
    let crypto = shared.credential.open_server(&shared.alpns);
    let config = crypto.map(|crypto| incoming::quic_server(crypto, Some(&link)));
    let Ok(Ok(config)) = config else {
        return incoming.refuse();
    };
    let handshake = async { incoming.accept_with(Arc::new(config))?.await };
    let Ok(Ok(quic)) = timeout(HANDSHAKE_TIMEOUT, handshake).await else {
        tracing::debug!("handshake on the local network failed");
        return;
    };
    // Deciding may take a person's time, and holds up nobody.
    drop(permit);
    let Some(peer) = tls::peer_id_of(&quic).filter(|peer| *peer != shared.id) else {
        return quic.close(DECLINED.into(), b"declined");
    };
    if !wanted(&shared.policy, peer).await {
        tracing::debug!(peer = %peer.short(), "declined on the local network");
        return quic.close(DECLINED.into(), b"declined");
    }
    let connection = connected(&shared, peer, link, quic, began_at, false);
    if let Err(error) = accepted.try_send(connection) {
        let (mpsc::error::TrySendError::Full(connection)
        | mpsc::error::TrySendError::Closed(connection)) = error;
        connection.close(BUSY, b"busy");
    }
}

async fn wanted(policy: &AcceptPolicy, peer: PeerId) -> bool {
    match policy {
        AcceptPolicy::All => true,
        AcceptPolicy::Nobody => false,
        AcceptPolicy::Known(known) => known.contains(&peer),
        AcceptPolicy::Ask(ask) => {
            let (request, decision) = Request::new(peer, None);
            ask(request);
            matches!(timeout(ANSWER_TIMEOUT, decision).await, Ok(Ok(true)))
        }
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
