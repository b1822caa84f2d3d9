//! Finds a server and shakes hands with it: over UDP, over whichever address family answers first, and
//! where nothing comes back, over TLS.
//!
//! UDP has a head start. A tunnel is only made where not one packet of the server's came over UDP until
//! then, and from there on the two race: nobody waits for a firewall to have dropped everything.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gimlet_net::path::{Link, Target};
use gimlet_net::{tls as keys, transport};
use gimlet_proto::address::ServerAddress;
use gimlet_proto::traversal::SocketId;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError};
use tokio::task::JoinSet;

use crate::endpoint::Shared;
use crate::error::SignInError;

mod tls;

pub(crate) use tls::OpenTunnel;

/// Addresses tried of one host name.
const MAX_ADDRESSES: usize = 4;

/// Head start of one address over the next (RFC 8305 section 8 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a handshake may take: several repeats of its first flight.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);

/// Head start of UDP over TLS. A first flight that was lost is repeated after 300 ms; round trips of
/// more than half a second make a tunnel as well, which then loses by as much.
const HEAD_START: Duration = Duration::from_millis(500);

/// The same where UDP had no answer the last time.
const SHORT_HEAD_START: Duration = Duration::from_millis(100);

/// A server, as one of our sockets reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerPlace {
    pub(crate) socket: SocketId,
    pub(crate) addr: SocketAddr,
}

/// A handshake that succeeded.
pub(crate) struct Dialled {
    pub(crate) connection: quinn::Connection,
    pub(crate) place: ServerPlace,
    /// Where it is over UDP, whether it answers there or not.
    pub(crate) places: Vec<ServerPlace>,
    /// What it goes through, where it does.
    pub(crate) tunnel: Option<OpenTunnel>,
    link: ServerLink,
}

impl Dialled {
    /// Sends to the server there from now on, and takes what comes from there.
    pub(crate) fn redirect(&self, place: ServerPlace) {
        let ServerLink { shared, link } = &self.link;
        shared.socket.add_server(place.socket, place.addr, link);
        link.set_target(Target::Server {
            socket: place.socket,
            remote: place.addr,
        });
    }

    /// When the server was last heard where we send to.
    pub(crate) fn heard_at(&self) -> Option<std::time::Instant> {
        self.link.shared.socket.heard_at(&self.link.link)
    }
}

/// The link of one attempt, removed with it: also when another address was faster.
struct ServerLink {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

impl ServerLink {
    fn new(shared: &Arc<Shared>, place: ServerPlace) -> Self {
        let link = Link::new(shared.next_addr());
        link.set_target(Target::Server {
            socket: place.socket,
            remote: place.addr,
        });
        shared.socket.add_link(&link);
        shared.socket.add_server(place.socket, place.addr, &link);
        let shared = shared.clone();
        Self { shared, link }
    }
}

impl Drop for ServerLink {
    fn drop(&mut self) {
        self.shared.socket.remove_link(self.link.addr());
    }
}

/// The addresses of a server that our sockets reach, in the order to try them.
pub(crate) async fn places(
    shared: &Shared,
    server: &ServerAddress,
) -> Result<Vec<ServerPlace>, SignInError> {
    let unresolved = || SignInError::Unresolved {
        host: server.host.clone(),
    };
    let addrs: Vec<SocketAddr> = match server.host.parse() {
        Ok(ip) => vec![SocketAddr::new(ip, server.port)],
        Err(_) => tokio::net::lookup_host((server.host.as_str(), server.port))
            .await
            .map_err(|_| unresolved())?
            .collect(),
    };
    let reach = |addr: SocketAddr| {
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let socket = shared
            .sockets
            .iter()
            .find(|(_, family, _)| family.reaches(addr))?
            .0;
        Some(ServerPlace { socket, addr })
    };
    let places: Vec<_> = addrs
        .into_iter()
        .filter_map(reach)
        .take(MAX_ADDRESSES)
        .collect();
    if places.is_empty() {
        Err(unresolved())
    } else {
        Ok(places)
    }
}

/// Connects to a server: to the first of its addresses that answers, over UDP if it does there.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    server: &ServerAddress,
) -> Result<Dialled, SignInError> {
    let found = places(shared, server).await;
    let places = found.clone().unwrap_or_default();
    let way = tls::Way::new(shared, server, &places);
    let links: Vec<_> = places
        .iter()
        .map(|&place| ServerLink::new(shared, place))
        .collect();
    let watched: Vec<_> = links.iter().map(|link| link.link.clone()).collect();
    let is_silent = || {
        let mut heard = watched.iter().map(|link| shared.socket.heard_at(link));
        heard.all(|at| at.is_none())
    };
    let failed = found.err();
    let mut udp = pin!(async {
        match failed {
            Some(error) => Err(error),
            None => over_udp(shared, server, &places, links).await,
        }
    });

    let head_start = match shared.udp_is_silent.load(Ordering::Relaxed) {
        true => SHORT_HEAD_START,
        false => HEAD_START,
    };
    let mut early = tokio::time::timeout(head_start, &mut udp).await.ok();
    if early.is_none() && !is_silent() {
        early = Some(udp.as_mut().await);
    }
    let dialled = match (early, way) {
        (Some(Ok(dialled)), _) => Ok(dialled),
        // No other way would make it right.
        (Some(Err(error)), _) if error.is_definite() => Err(error),
        (Some(Err(error)), Ok(None)) => Err(error),
        (Some(Err(_)), Err(error)) => Err(error),
        (Some(Err(error)), Ok(Some(way))) => way.dial().await.map_err(|tls| telling(error, tls)),
        (None, Ok(None)) => udp.await,
        (None, Err(tls)) => udp.await.map_err(|error| telling(error, tls)),
        (None, Ok(Some(way))) => {
            tracing::debug!(host = server.host, "no answer over UDP; trying TLS");
            let mut tunnel = pin!(way.dial());
            tokio::select! {
                dialled = &mut udp => match dialled {
                    Err(error) if !error.is_definite() => {
                        tunnel.await.map_err(|tls| telling(error, tls))
                    }
                    dialled => dialled,
                },
                dialled = &mut tunnel => match dialled {
                    Err(tls) => udp.await.map_err(|error| telling(error, tls)),
                    dialled => dialled,
                },
            }
        }
    };
    let dialled = dialled?;
    let is_silent = dialled.tunnel.is_some();
    shared.udp_is_silent.store(is_silent, Ordering::Relaxed);
    let places = places.clone();
    Ok(Dialled { places, ..dialled })
}

/// Which of two errors says more: over UDP, and over TLS.
fn telling(udp: SignInError, tls: SignInError) -> SignInError {
    match (&udp, &tls) {
        (_, SignInError::Proxy(_) | SignInError::ProxySetting(_)) => tls,
        _ if tls.is_definite() && !udp.is_definite() => tls,
        _ => udp,
    }
}

async fn over_udp(
    shared: &Arc<Shared>,
    server: &ServerAddress,
    places: &[ServerPlace],
    links: Vec<ServerLink>,
) -> Result<Dialled, SignInError> {
    let mut attempts = JoinSet::new();
    for (nth, (&place, link)) in places.iter().zip(links).enumerate() {
        let (shared, server) = (shared.clone(), server.clone());
        attempts.spawn(async move {
            tokio::time::sleep(STAGGER * nth as u32).await;
            shake_hands(&shared, &server, place, link).await
        });
    }
    first(attempts, server).await
}

/// The first attempt that succeeds, or what failed worst.
async fn first(
    mut attempts: JoinSet<Result<Dialled, SignInError>>,
    server: &ServerAddress,
) -> Result<Dialled, SignInError> {
    let mut failure = SignInError::Unresolved {
        host: server.host.clone(),
    };
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(dialled)) => return Ok(dialled),
            // A wrong key says more than silence.
            Ok(Err(error)) if error.is_definite() || !failure.is_definite() => failure = error,
            Ok(Err(_)) | Err(_) => (),
        }
    }
    Err(failure)
}

async fn shake_hands(
    shared: &Arc<Shared>,
    server: &ServerAddress,
    place: ServerPlace,
    link: ServerLink,
) -> Result<Dialled, SignInError> {
    let protocol = |detail: String| SignInError::Protocol {
        addr: place.addr,
        detail,
    };
    let name = server
        .key
        .map_or_else(|| server.host.clone(), keys::pinned_server_name);
    let crypto = shared
        .credential
        .control_client(server.key)
        .map_err(|e| protocol(e.to_string()))?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|e| protocol(e.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport::control_transport()));
    let connecting = shared
        .quic
        .connect_with(config, link.link.addr().to_socket_addr(), &name)
        .map_err(|e| protocol(e.to_string()))?;
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(classify(error, place.addr)),
        Err(_) => return Err(SignInError::Unreachable { addr: place.addr }),
    };
    Ok(Dialled {
        connection,
        place,
        places: Vec::new(),
        tunnel: None,
        link,
    })
}

fn classify(error: ConnectionError, addr: SocketAddr) -> SignInError {
    match error {
        ConnectionError::TimedOut | ConnectionError::Reset => SignInError::Unreachable { addr },
        // certificate_expired; rustls says the same of one that is not valid yet.
        ConnectionError::TransportError(error) if u64::from(error.code) == 0x12d => {
            SignInError::CertificateDate { addr }
        }
        // The TLS alerts by which we refuse a certificate (RFC 8446 section 6.2): bad_certificate
        // to certificate_unknown, unknown_ca and access_denied.
        ConnectionError::TransportError(error)
            if matches!(u64::from(error.code), 0x12a..=0x12e | 0x130 | 0x131) =>
        {
            SignInError::WrongKey { addr }
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            SignInError::Busy
        }
        error @ (ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::ApplicationClosed(_)
        | ConnectionError::VersionMismatch
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted) => SignInError::Protocol {
            addr,
            detail: error.to_string(),
        },
    }
}
