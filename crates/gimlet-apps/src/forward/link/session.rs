//! One session of a link: who uses it, and whether the peer still answers on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gimlet::{Connection, RecvStream};
use tokio::time::sleep;

use crate::forward::exchange::Exchange;
use crate::wide::{Board, Claim, Counted, Lanes, Unread};

/// How often a peer in doubt is asked: one question and its repeat may be lost.
const QUESTIONS: u32 = 3;

/// Least and longest time that it has for each: a busy host answers within the first, and who waits for
/// the verdict should not wait for a second and a half longer than that.
const ANSWER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(600));

/// Silence after which a session that was left is ended. A peer that moved to another network is heard
/// again within that time.
const SILENCE: Duration = Duration::from_secs(2);

/// A session that is up.
#[derive(Debug, Clone)]
pub struct Session {
    pub(in crate::forward) connection: Connection,
    pub(in crate::forward) exchange: Arc<Exchange>,
    unread: Arc<Unread>,
    lanes: Arc<Lanes>,
    board: Arc<Board>,
}

impl Session {
    /// The connection below, with its path.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(in crate::forward) fn new(connection: Connection) -> Self {
        let exchange = Exchange::start(&connection);
        let unread = Unread::new(connection.clone());
        Self {
            exchange,
            lanes: Lanes::new(connection.clone()),
            board: Arc::new(Board::start(connection.clone(), unread.clone())),
            unread,
            connection,
        }
    }

    /// Makes room for one more stream whose data may lie unread.
    pub(in crate::forward) fn count(&self) -> Counted {
        self.unread.count(1)
    }

    /// Lays claim to what a stream's incoming direction may go on over.
    pub(in crate::forward) fn claim(&self, stream: &RecvStream) -> Claim {
        self.board.claim(stream.id().into())
    }

    /// What the outgoing directions of streams may go on over.
    pub(in crate::forward) fn lanes(&self) -> Arc<Lanes> {
        self.lanes.clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.quic().close_reason().is_none()
    }

    /// Packets that have come so far.
    pub(in crate::forward) fn heard(&self) -> u64 {
        self.connection.quic().stats().udp_rx.datagrams
    }

    /// Nobody answered. Where nothing at all has come since then, the peer has vanished without a
    /// word, and dialling it anew is faster than waiting for QUIC to give up.
    pub(in crate::forward) fn doubt(&self, heard: u64) {
        if self.heard() == heard {
            self.connection.close(0, b"silent");
        }
    }

    /// Whether anything comes from the peer when it is asked.
    pub(super) async fn answers(&self) -> bool {
        let heard = self.heard();
        let patience = (2 * self.connection.rtt()).clamp(ANSWER.0, ANSWER.1);
        for _ in 0..QUESTIONS {
            self.ask();
            sleep(patience).await;
            if self.heard() != heard {
                return true;
            }
        }
        false
    }

    /// Lets those who use it go on as long as anything comes: the peer may only be on its way to another
    /// network.
    pub(super) async fn retire(self) {
        while self.unread.streams() > 0 {
            let heard = self.heard();
            self.ask();
            tokio::select! {
                _ = self.connection.closed() => return,
                () = sleep(SILENCE) => (),
            }
            if self.heard() == heard {
                break;
            }
        }
        self.connection.close(0, b"silent");
    }

    /// Sends what no flow gets, and QUIC acknowledges all the same.
    fn ask(&self) {
        // Fails only on a connection that is over.
        let _ = self.connection.send_datagram(Bytes::new());
    }
}
