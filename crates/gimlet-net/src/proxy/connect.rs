//! Asks a proxy for a connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Proxy, bracketed};

/// Longest answer read, without the page that may follow it. Real ones are below 1 KiB.
const MAX_HEAD: usize = 8 * 1024;

/// Why a proxy gives no connection. Messages name the proxy, never its password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Nothing listens there, its name is unknown, or the connection broke.
    #[error("the proxy {proxy} cannot be reached; check its address")]
    Unreachable {
        /// Which one.
        proxy: String,
    },
    /// It wants to know who asks.
    #[error(
        "the proxy {proxy} wants a user name and password; give them in its URL: \
         http://USER:PASSWORD@HOST:PORT"
    )]
    PasswordNeeded {
        /// Which one.
        proxy: String,
    },
    /// It does not take the password that it was given.
    #[error("the proxy {proxy} does not accept this user name and password")]
    PasswordWrong {
        /// Which one.
        proxy: String,
    },
    /// It does not let connections pass to this host and port.
    #[error(
        "the proxy {proxy} forbids connections to port {port} of the server; ask its operator to allow \
         it, or run the server's --listen-tls on port 443"
    )]
    Forbidden {
        /// Which one.
        proxy: String,
        /// Which port it was asked for.
        port: u16,
    },
    /// It could not, for some other reason.
    #[error("the proxy {proxy} did not connect to the server (HTTP status {status})")]
    Failed {
        /// Which one.
        proxy: String,
        /// What it said.
        status: u16,
    },
    /// What answers is no HTTP proxy.
    #[error("what answers at {proxy} is not an HTTP proxy")]
    Foreign {
        /// Where.
        proxy: String,
    },
}

/// Connects to `host` and `port` through a proxy.
pub(crate) async fn connect(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
    let named = proxy.to_string();
    let unreachable = || ProxyError::Unreachable {
        proxy: named.clone(),
    };
    let tcp = TcpStream::connect((proxy.host.as_str(), proxy.port)).await;
    let mut tcp = tcp.map_err(|_| unreachable())?;
    let request = request(proxy, host, port);
    tcp.write_all(&request).await.map_err(|_| unreachable())?;

    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = end_of_head(&head) {
            break end;
        }
        let mut chunk = [0; 512];
        let read = tcp.read(&mut chunk).await.map_err(|_| unreachable())?;
        if read == 0 || head.len() + read > MAX_HEAD {
            return Err(ProxyError::Foreign { proxy: named });
        }
        head.extend_from_slice(&chunk[..read]);
    };
    match status(&head) {
        // The server speaks after us, so nothing can have come yet.
        Some(200..=299) if end == head.len() => Ok(tcp),
        Some(200..=299) | None => Err(ProxyError::Foreign { proxy: named }),
        Some(407) if proxy.authorization.is_none() => {
            Err(ProxyError::PasswordNeeded { proxy: named })
        }
        Some(407) => Err(ProxyError::PasswordWrong { proxy: named }),
        Some(403 | 405) => Err(ProxyError::Forbidden { proxy: named, port }),
        Some(status) => Err(ProxyError::Failed {
            proxy: named,
            status,
        }),
    }
}

fn request(proxy: &Proxy, host: &str, port: u16) -> Vec<u8> {
    let target = format!("{}:{port}", bracketed(host));
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Where the empty line ends that ends an answer's head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let empty = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    Some(empty? + 4)
}

/// The status of an answer, `HTTP/1.1 200 OK`.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [b'0' | b'1', b' ', code @ ..] = rest else {
        return None;
    };
    let (code, after) = code.split_at_checked(3)?;
    let ends = matches!(after.first(), Some(b' ' | b'\r'));
    let code = std::str::from_utf8(code).ok()?;
    let digits = code.bytes().all(|byte| byte.is_ascii_digit());
    (ends && digits).then(|| code.parse().ok())?
}
