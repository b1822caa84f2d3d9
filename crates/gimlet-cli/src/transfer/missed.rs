//! Notices that a peer was started anew, and that nobody is at the other end of a connection since.
//!
//! A process that was killed says nothing. Its session would be given up after ten seconds of silence;
//! but the server tells that the peer has signed in again, mostly a second after the kill.

use std::future::pending;
use std::time::Duration;

use gimlet::{Connection, Endpoint, PeerId, Presence, Watching};

/// How long a peer that has come anew may take to send something on a connection from before, besides
/// three round trips: both sides say something every second, and each acknowledges that. Who is given up
/// by mistake is dialled again at once.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1200);

/// What servers tell of a peer.
pub(super) struct Tidings(Option<Watching>);

impl Tidings {
    /// Follows a peer. Where that can't be done there are none.
    pub(super) async fn of(endpoint: &Endpoint, peer: PeerId) -> Self {
        Self(endpoint.watch(peer).await.ok())
    }

    /// Waits for the next.
    pub(super) async fn next(&mut self) -> Presence {
        if let Some(watching) = &mut self.0
            && let Some(presence) = watching.changed().await
        {
            return presence;
        }
        pending().await
    }

    /// Ends once the peer has come or gone, and this connection has been silent ever since; says which. One
    /// that only signed in again is still heard.
    pub(super) async fn missed(&mut self, connection: &Connection) -> Presence {
        loop {
            let presence = self.next().await;
            let heard = packets(connection);
            tokio::time::sleep(ANSWER_TIMEOUT + 3 * connection.rtt()).await;
            if packets(connection) == heard {
                return presence;
            }
        }
    }
}

/// Packets that came over a connection.
fn packets(connection: &Connection) -> u64 {
    connection.quic().stats().udp_rx.datagrams
}
