//! What can go wrong, and what to do about it.

use std::io;
use std::net::SocketAddr;

use gimlet_net::tls::{TlsError, WebCertificateError};

use crate::names::StoreError;
use crate::secrets::SecretError;

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its key or token.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its names file.
    #[error(transparent)]
    Names(#[from] StoreError),
    /// Its TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate for clients that know it by name.
    #[error(transparent)]
    WebCertificate(#[from] WebCertificateError),
    /// Its sockets.
    #[error("cannot listen on {address}: {}", listen_hint(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Its TCP port.
    #[error(
        "cannot listen on TCP {address}: {}; --listen-tls takes another address, or `off`",
        listen_hint(source)
    )]
    ListenTls {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

fn listen_hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; choose another one, or stop what uses it".to_owned()
        }
        _ => source.to_string(),
    }
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// QUIC can't be set up.
    #[error("QUIC cannot be set up: {0}")]
    Quic(#[from] io::Error),
    /// TLS 1.3's mandatory cipher suite is missing.
    #[error(transparent)]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// A socket fails whenever it is read.
    #[error("a socket can no longer be read: {0}")]
    Socket(#[source] io::Error),
    /// A task is gone that should run as long as the server.
    #[error("a part of the server has stopped; this is a bug, please report it")]
    TaskEnded,
}
