//! Peers on the same network, with no server.

use std::net::SocketAddr;

use gimlet_proto::id::PeerId;

use super::Endpoint;
use crate::connection::Connection;
use crate::lan::{self, ConnectAtError, Lan};

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
}
