//! What an endpoint stands on: its UDP sockets and its host's addresses.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use gimlet_net::{interfaces, socket};
use gimlet_proto::traversal::Family;
use quinn::AsyncUdpSocket;

/// Sockets and interface addresses, the operating system's or simulated ones.
#[derive(Clone)]
pub struct Network {
    pub(crate) sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    pub(crate) addresses: Arc<dyn Fn(bool) -> Vec<IpAddr> + Send + Sync>,
}

impl Network {
    /// The operating system's, on this UDP port or, for 0, on a free one.
    ///
    /// # Errors
    ///
    /// When no IPv4 socket can be had.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn system(port: u16) -> io::Result<Self> {
        Ok(Self {
            sockets: socket::bind_peer(port)?,
            addresses: Arc::new(interfaces::addresses),
        })
    }

    /// Somebody else's sockets; `addresses` lists the host's, and is told whether loopback ones are
    /// wanted too.
    pub fn custom(
        sockets: Vec<Arc<dyn AsyncUdpSocket>>,
        addresses: impl Fn(bool) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self {
            sockets,
            addresses: Arc::new(addresses),
        }
    }

    /// The family of each socket, by the address it is bound to.
    pub(crate) fn families(&self) -> Vec<Family> {
        let family = |socket: &Arc<dyn AsyncUdpSocket>| match socket.local_addr() {
            Ok(addr) if addr.is_ipv6() => Family::V6,
            Ok(_) | Err(_) => Family::V4,
        };
        self.sockets.iter().map(family).collect()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}
