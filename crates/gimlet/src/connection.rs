//! A connection with a peer: QUIC streams and datagrams, and the path under them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gimlet_net::tls;
use gimlet_net::transport::LARGE_DATAGRAM;
use gimlet_net::window::ReceiveWindow;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::id::PeerId;
use gimlet_proto::traversal::Outcome;
use quinn::{ConnectionError, RecvStream, SendDatagramError, SendStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::endpoint::Shared;
use crate::error::CloseReason;
use crate::event::EndpointEvent;
use crate::peer::{Path, Peer};

/// When things happened, counted from the call of [`Endpoint::connect`](crate::Endpoint::connect),
/// or on the accepting side from the first packet. Zero where it had happened before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Both sides had agreed to talk.
    pub introduced: Option<Duration>,
    /// Application data could be sent.
    pub connected: Duration,
    /// A direct path was chosen.
    pub direct: Option<Duration>,
    /// QUIC came in over that direct path.
    pub direct_confirmed: Option<Duration>,
}

/// An authenticated, end-to-end encrypted connection with one peer.
///
/// Cheap to clone. Dropping the last clone closes the connection, also for streams still open:
/// keep it as long as they are used, and wait for the peer's answer or close before letting go.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    peer: Arc<Peer>,
    quic: quinn::Connection,
    window: Arc<ReceiveWindow>,
    alpn: Vec<u8>,
    began_at: Instant,
    connected: Duration,
    dialled: bool,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peer: Arc<Peer>,
        quic: quinn::Connection,
        began_at: Instant,
        dialled: bool,
    ) -> Self {
        debug_assert_eq!(
            tls::peer_id_of(&quic),
            Some(peer.id),
            "TLS has pinned the peer's key"
        );
        let alpn = quic
            .handshake_data()
            .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
            .and_then(|data| data.protocol)
            .unwrap_or_default();
        let window = Arc::new(ReceiveWindow::new(quic.clone()));
        peer.add_connection(window.clone());
        peer.facts.send_modify(|facts| {
            let now = Instant::now().into_std();
            facts.moments.connected_at.get_or_insert(now);
        });
        shared.announce(EndpointEvent::Connected {
            peer: peer.id,
            alpn: alpn.clone(),
        });
        tokio::spawn(announce_end(shared, peer.clone(), quic.clone()));
        let connected = began_at.elapsed();
        Self {
            inner: Arc::new(Inner {
                peer,
                quic,
                window,
                alpn,
                began_at,
                connected,
                dialled,
            }),
        }
    }

    /// Who is at the other end; proven by TLS.
    pub fn peer(&self) -> PeerId {
        self.inner.peer.id
    }

    /// The application protocol agreed on.
    pub fn alpn(&self) -> &[u8] {
        &self.inner.alpn
    }

    /// Whether this side dialled.
    pub fn is_dialler(&self) -> bool {
        self.inner.dialled
    }

    /// The path that packets take now.
    pub fn path(&self) -> Path {
        *self.inner.peer.path.borrow()
    }

    /// Follows the path; the value at the time of the call counts as seen.
    pub fn path_changes(&self) -> watch::Receiver<Path> {
        self.inner.peer.path.subscribe()
    }

    /// The smoothed round-trip time that QUIC measures.
    pub fn rtt(&self) -> Duration {
        self.inner.quic.rtt()
    }

    /// When the stages of connecting were reached.
    pub fn timings(&self) -> Timings {
        let moments = self.inner.peer.facts.borrow().moments;
        let began_at = self.inner.began_at.into_std();
        let since = |at: std::time::Instant| at.saturating_duration_since(began_at);
        Timings {
            introduced: moments.introduced_at.map(since),
            connected: self.inner.connected,
            direct: moments.direct_at.map(since),
            direct_confirmed: moments.confirmed_at.map(since),
        }
    }

    /// What came of looking for a direct path, so far.
    pub fn outcome(&self) -> Outcome {
        self.inner.peer.facts.borrow().outcome
    }

    /// Waits until a direct path carries data, or until it is clear that there is none for now.
    /// Returns the path then in use.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn settled(&self) -> Path {
        let mut facts = self.inner.peer.facts.subscribe();
        let done = facts.wait_for(|f| {
            f.moments.confirmed_at.is_some() || (f.settled && f.outcome.failure.is_some())
        });
        tokio::select! {
            _ = done => (),
            _ = self.inner.quic.closed() => (),
        }
        self.path()
    }

    /// The NATs as each side reported its own: ours, the peer's.
    pub fn nats(&self) -> (NatClass, NatClass) {
        let facts = self.inner.peer.facts.borrow();
        (facts.nat_local, facts.nat_remote)
    }

    /// Opens a bidirectional stream. The peer learns of it with the first bytes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]: the connection is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        self.inner.quic.open_bi().await
    }

    /// Opens a unidirectional stream. The peer learns of it with the first bytes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]: the connection is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn open_uni(&self) -> Result<SendStream, ConnectionError> {
        self.inner.quic.open_uni().await
    }

    /// The next bidirectional stream that the peer opened.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]: the connection is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), ConnectionError> {
        self.inner.quic.accept_bi().await
    }

    /// The next unidirectional stream that the peer opened.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]: the connection is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn accept_uni(&self) -> Result<RecvStream, ConnectionError> {
        self.inner.quic.accept_uni().await
    }

    /// Sends an unreliable datagram. Old ones make room for new ones when the buffer is full.
    ///
    /// # Errors
    ///
    /// [`SendDatagramError`]: too large, or the connection is over.
    pub fn send_datagram(&self, data: Bytes) -> Result<(), SendDatagramError> {
        self.inner.quic.send_datagram(data)
    }

    /// The next datagram of the peer.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`]: the connection is over.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn read_datagram(&self) -> Result<Bytes, ConnectionError> {
        self.inner.quic.read_datagram().await
    }

    /// The largest datagram that can be sent now, bytes. Changes with the path.
    pub fn max_datagram_size(&self) -> Option<usize> {
        self.inner.quic.max_datagram_size()
    }

    /// Lets the peer have so many bidirectional streams open at once. Default 100, quinn's.
    pub fn limit_streams(&self, streams: u32) {
        let quic = &self.inner.quic;
        quic.set_max_concurrent_bi_streams(streams.into());
    }

    /// Makes room for so many streams whose data nobody reads for now, so that they don't hold up the
    /// others; 64 MiB at most. Default 0: six full streams hold up all.
    pub fn expect_unread(&self, streams: usize) {
        self.inner.window.expect_unread(streams);
    }

    /// Lets the peer send little ahead of what is read: a quarter of a MiB besides what is under way. For what is
    /// lost with this process if it was not read. Default: 8 MiB, and more on fast paths. What was allowed
    /// before, the first 8 MiB of a connection, stays allowed.
    pub fn hold_little(&self) {
        self.inner.window.hold_little();
    }

    /// Closes at once. What was not acknowledged may be lost; finish streams and wait for the peer
    /// where that matters.
    pub fn close(&self, code: u32, reason: &[u8]) {
        self.inner.quic.close(code.into(), reason);
    }

    /// Waits until the connection is over and says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> CloseReason {
        self.inner.quic.closed().await.into()
    }

    /// What is known of the peer.
    pub(crate) fn remote(&self) -> &Arc<Peer> {
        &self.inner.peer
    }

    /// What lets the peer send more ahead where much is read.
    pub(crate) fn receive_window(&self) -> &Arc<ReceiveWindow> {
        &self.inner.window
    }

    /// The QUIC connection itself, for what is not covered here.
    pub fn quic(&self) -> &quinn::Connection {
        &self.inner.quic
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.inner.peer.id)
            .field("alpn", &String::from_utf8_lossy(&self.inner.alpn))
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.quic.close(0u8.into(), b"");
        self.peer.remove_connection(&self.quic);
    }
}

async fn announce_end(shared: Arc<Shared>, peer: Arc<Peer>, quic: quinn::Connection) {
    let reason = quic.closed().await;
    if reason == ConnectionError::LocallyClosed {
        let path = peer.path.borrow().rtt;
        // QUIC's own estimate still remembers the path before.
        let rtt = quic.rtt();
        let mtu = quic.stats().path.current_mtu;
        shared.farewells.said(match path {
            // quinn paces the goodbye as a whole packet, by its own estimate.
            _ if mtu >= LARGE_DATAGRAM => rtt,
            Some(path) => path.min(rtt),
            None => rtt,
        });
    }
    peer.remove_connection(&quic);
    shared.announce(EndpointEvent::Closed {
        peer: peer.id,
        reason: reason.into(),
    });
}
