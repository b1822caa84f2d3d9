//! Finds a server and shakes hands with it, over whichever address family answers first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet_net::path::{Link, Target};
use gimlet_net::{tls, transport};
use gimlet_proto::address::ServerAddress;
use gimlet_proto::traversal::SocketId;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError};
use tokio::task::JoinSet;

use crate::endpoint::Shared;
use crate::error::SignInError;

/// Addresses tried of one host name.
const MAX_ADDRESSES: usize = 4;

/// Head start of one address over the next (RFC 8305 section 8 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a handshake may take: several repeats of its first flight.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);

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
    _link: ServerLink,
}

/// The link of one attempt, removed with it: also when another address was faster.
struct ServerLink {
    shared: Arc<Shared>,
    link: Arc<Link>,
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

/// Connects to the first of a server's addresses that answers.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    server: &ServerAddress,
) -> Result<Dialled, SignInError> {
    let places = places(shared, server).await?;
    let name = server
        .key
        .map_or_else(|| server.host.clone(), tls::pinned_server_name);
    let mut attempts = JoinSet::new();
    for (nth, place) in places.into_iter().enumerate() {
        let (shared, server, name) = (shared.clone(), server.clone(), name.clone());
        attempts.spawn(async move {
            tokio::time::sleep(STAGGER * nth as u32).await;
            shake_hands(&shared, &server, &name, place).await
        });
    }
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
    name: &str,
    place: ServerPlace,
) -> Result<Dialled, SignInError> {
    let link = Link::new(shared.next_addr());
    link.set_target(Target::Server {
        socket: place.socket,
        remote: place.addr,
    });
    shared.socket.add_link(&link);
    shared.socket.add_server(place.socket, place.addr, &link);
    let link = ServerLink {
        shared: shared.clone(),
        link,
    };
    let protocol = |detail: String| SignInError::Protocol {
        addr: place.addr,
        detail,
    };

    let crypto = shared
        .credential
        .control_client(server.key)
        .map_err(|e| protocol(e.to_string()))?;
    let crypto = QuicClientConfig::try_from(crypto).map_err(|e| protocol(e.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport::control_transport()));
    let connecting = shared
        .quic
        .connect_with(config, link.link.addr().to_socket_addr(), name)
        .map_err(|e| protocol(e.to_string()))?;
    let connection = match tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(classify(error, place.addr)),
        Err(_) => return Err(SignInError::Unreachable { addr: place.addr }),
    };
    Ok(Dialled {
        connection,
        place,
        _link: link,
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
