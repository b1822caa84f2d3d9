//! The way into a tunnel: TCP, perhaps through a proxy, TLS, WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::tunnel::PATH;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, http};

use super::tcp::prepare;
use crate::proxy::{self, Proxy, ProxyError};
use crate::records::{self, Records};

/// How long all of it may take. Proxies that look names up and ask others may need seconds.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Where a tunnel leads.
#[derive(Debug, Clone)]
pub struct Destination<'a> {
    /// The server's name or address, without brackets: what a proxy is asked for, and what TLS names.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// Where that is. `None` only with a proxy, which looks it up.
    pub addr: Option<SocketAddr>,
    /// Whom to trust.
    pub tls: Arc<rustls::ClientConfig>,
    /// Through which proxy.
    pub proxy: Option<&'a Proxy>,
}

/// How far the way into a tunnel went.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Nothing listens there, or nobody answers.
    #[error("no TCP connection: {0}")]
    Tcp(#[source] io::Error),
    /// The proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The host is no name that TLS knows.
    #[error("the host name is malformed")]
    Name,
    /// The TLS handshake.
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    /// What answers speaks TLS, but has no tunnel for us.
    #[error("no tunnel there: {0}")]
    WebSocket(#[source] Box<tungstenite::Error>),
    /// All of it took too long.
    #[error("no tunnel in time")]
    TimedOut,
}

/// After the handshake of the WebSocket, whose frames are ours to make.
pub(super) type Stream = Records<TcpStream>;

pub(super) async fn connect(to: &Destination<'_>) -> Result<(Stream, SocketAddr), TunnelError> {
    let connecting = time::timeout(TIMEOUT, shake_hands(to));
    connecting.await.unwrap_or(Err(TunnelError::TimedOut))
}

async fn shake_hands(to: &Destination<'_>) -> Result<(Stream, SocketAddr), TunnelError> {
    let tcp = match (to.proxy, to.addr) {
        (Some(proxy), _) => proxy::connect(proxy, to.host, to.port).await?,
        (None, Some(addr)) => TcpStream::connect(addr).await.map_err(TunnelError::Tcp)?,
        (None, None) => return Err(TunnelError::Name),
    };
    prepare(&tcp).map_err(TunnelError::Tcp)?;
    let local = tcp.local_addr().map_err(TunnelError::Tcp)?;
    let name = ServerName::try_from(to.host.to_owned()).map_err(|_| TunnelError::Name)?;
    let tls = records::connect(tcp, to.tls.clone(), name).await;
    let tls = tls.map_err(TunnelError::Tls)?;

    let failed = |error| TunnelError::WebSocket(Box::new(error));
    let uri = format!("wss://{}:{}{PATH}", proxy::bracketed(to.host), to.port);
    let uri: http::Uri = uri.parse().map_err(|_| TunnelError::Name)?;
    let request = uri.into_client_request().map_err(failed)?;
    let (websocket, _) = tokio_tungstenite::client_async(request, tls)
        .await
        .map_err(failed)?;
    // Nothing is lost in between: the server says nothing before it has heard something.
    Ok((websocket.into_inner(), local))
}
