//! Peers on the same network, with no server.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::id::PeerId;
use tokio::time::timeout;

use super::Endpoint;
use crate::connection::Connection;
use crate::error::{ConnectError, SignInError};
use crate::lan::{self, ConnectAtError, Lan};

/// How long a peer found on this network may take to answer before servers are asked for it: it may have
/// left without a goodbye. A first packet that is lost is repeated twice in that time.
const NEARBY_TIMEOUT: Duration = Duration::from_secs(1);

impl Endpoint {
    /// The UDP port at which peers on this network can dial, where [`Builder::lan`](crate::Builder::lan)
    /// is on.
    pub fn lan_port(&self) -> Option<u16> {
        self.shared().lan.as_ref().map(Lan::port)
    }

    /// Connects to a peer at an address on this network, with no server and no introduction: the first
    /// of at most eight addresses that answers with the peer's key. Others than
    /// [local](crate::is_local) ones are left out. The connection stays on that address.
    ///
    /// # Errors
    ///
    /// - [`ConnectAtError::Off`], [`ConnectAtError::NoAddress`]: there is nothing to dial.
    /// - [`ConnectAtError::Connect`]: nobody with that key answers there.
    ///
    /// That the peer's policy declines shows when it closes the connection, with code 3.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives the attempt up.
    pub async fn connect_at(
        &self,
        peer: PeerId,
        addrs: &[SocketAddr],
        alpn: &[u8],
    ) -> Result<Connection, ConnectAtError> {
        lan::connect(self.shared(), peer, addrs, alpn).await
    }

    /// Says who was found on this network and where, in place of what was said before. While a peer is
    /// among them, [`connect`](Self::connect) tries it there first, and it counts as online. At most
    /// 1,024 peers and eight [local](crate::is_local) addresses of each are kept; none where
    /// [`Builder::lan`](crate::Builder::lan) is off.
    pub fn set_nearby(&self, peers: impl IntoIterator<Item = (PeerId, Vec<SocketAddr>)>) {
        if let Some(lan) = &self.shared().lan {
            lan.nearby.set(peers);
        }
    }

    /// Whether a peer is among those found on this network.
    pub fn is_nearby(&self, peer: PeerId) -> bool {
        let lan = self.shared().lan.as_ref();
        lan.is_some_and(|lan| lan.nearby.has(peer))
    }

    /// Whether there is this network, and nothing else.
    pub(crate) fn has_lan_alone(&self) -> bool {
        self.shared().lan.is_some() && self.shared().servers.is_empty()
    }

    /// Connects to a peer that was found on this network; `None` where servers are to be asked.
    pub(super) async fn connect_nearby(
        &self,
        peer: PeerId,
        alpn: &[u8],
    ) -> Result<Option<Connection>, ConnectError> {
        let shared = self.shared();
        let Some(lan) = shared.lan.as_ref().filter(|_| !shared.relay_only) else {
            return Ok(None);
        };
        if self.inner.commands.is_closed() {
            return Err(SignInError::SignedOut.into());
        }
        let addrs = lan.nearby.addrs_of(peer);
        let alone = self.has_lan_alone();
        if addrs.is_empty() {
            return if alone {
                Err(ConnectError::NotHere)
            } else {
                Ok(None)
            };
        }
        let attempt = lan::connect(shared, peer, &addrs, alpn);
        let attempt = match alone {
            true => Ok(attempt.await),
            false => timeout(NEARBY_TIMEOUT, attempt).await,
        };
        match attempt {
            Ok(Ok(connection)) => Ok(Some(connection)),
            Ok(Err(ConnectAtError::Connect(error))) if alone => Err(error),
            Ok(Err(_)) if alone => Err(ConnectError::NotHere),
            Ok(Err(error)) => {
                tracing::debug!(peer = %peer.short(), %error, "not reached on this network");
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }
}
