//! Connections with long datagrams, where the path carries them: the host itself, and networks with jumbo
//! frames. There most of what bulk data costs is spent on packets, so packets that are forty times as long
//! make it three times as fast.
//!
//! quinn looks for the longest datagram when a connection begins, over the relay mostly, and does not look
//! again for minutes. So the connection is made anew once a path is direct: it begins as any other, tries
//! the one length that the system says its way takes, and stays at what every path takes if that is lost.
//! Where the path changes under it, what is too long for the next one is dropped here, and quinn falls back.

use std::time::Duration;

use gimlet_net::transport::LARGE_DATAGRAM;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::peer::{Peer, Phase};

/// How long both sides may take to agree to talk, once they are connected: that is a matter of who is told
/// first.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a direct path is waited for. A neighbour is found in two round trips.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(1);

impl Endpoint {
    /// The same connection made anew, if its datagrams may be much longer then: for bulk data, before any of
    /// it is sent. It is worth a round trip and, where the peer says that it is on this host or in a network
    /// with jumbo frames, the wait for a direct path, a second at most. `None` for all others, without a wait.
    ///
    /// The peer accepts it beside the first one, which the caller then closes. Only the side that dialled can do this.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn enlarged(&self, connection: &Connection) -> Option<Connection> {
        if !connection.is_dialler()
            || connection.quic().max_datagram_size()? >= usize::from(LARGE_DATAGRAM)
        {
            return None;
        }
        let peer = connection.remote();
        if !may_be_near(peer).await {
            return None;
        }
        let path = timeout(DIRECT_TIMEOUT, connection.settled()).await.ok()?;
        if !path.is_direct() || peer.link.longest() < LARGE_DATAGRAM {
            return None;
        }
        self.connect(connection.peer(), connection.alpn())
            .await
            .ok()
    }
}

impl Connection {
    /// Waits until the path under it carries its datagrams no longer, which only happens to an
    /// [enlarged](Endpoint::enlarged) one. QUIC finds that out, too, but takes some probe timeouts for it:
    /// what can be resumed goes on sooner over a connection made anew.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn outgrown(&self) {
        let mut path = self.path_changes();
        loop {
            if self.quic().stats().path.current_mtu > self.remote().link.longest() {
                return;
            }
            if path.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// Whether the peer has named an address that long datagrams reach.
async fn may_be_near(peer: &Peer) -> bool {
    let mut phase = peer.phase.subscribe();
    let introduced = phase.wait_for(|phase| *phase != Phase::Introducing);
    let introduced = timeout(INTRODUCTION_TIMEOUT, introduced).await;
    matches!(introduced, Ok(Ok(_))) && peer.facts.borrow().near
}
