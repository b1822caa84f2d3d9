//! The control task's end of a connection: a bounded queue of what is to be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gimlet_proto::message::ToPeer;
use gimlet_proto::rendezvous::CloseReason;
use gimlet_proto::wire;
use quinn::VarInt;
use tokio::sync::mpsc;

use crate::rounds::{Look, Watch};

/// Bytes that may wait for a peer to read: several pages of the list and a burst of introductions.
/// Whoever reads more slowly is cut off, so a peer that never reads costs this much at most.
const MAX_QUEUED: usize = 128 * 1024;

/// What a connection's task does next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Write a record.
    Record(Vec<u8>),
    /// Close, once what was written has arrived.
    Close(CloseReason),
}

/// Puts messages into a connection's queue.
#[derive(Debug)]
pub(crate) struct Link {
    connection: quinn::Connection,
    watch: Watch,
    queue: mpsc::UnboundedSender<Outgoing>,
    queued: Arc<AtomicUsize>,
}

/// Takes them out.
#[derive(Debug)]
pub(crate) struct Queue {
    queue: mpsc::UnboundedReceiver<Outgoing>,
    queued: Arc<AtomicUsize>,
}

/// The peer does not read what it is sent.
#[derive(Debug)]
pub(crate) struct TooSlow;

impl Link {
    pub(crate) fn new(connection: quinn::Connection) -> (Self, Queue) {
        // Bounded by `queued`, in bytes: a bound in messages would be too tight or too wide.
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let link = Self {
            watch: Watch::new(connection.remote_address(), received(&connection)),
            connection,
            queue: sender,
            queued: queued.clone(),
        };
        let queue = Queue {
            queue: receiver,
            queued,
        };
        (link, queue)
    }

    /// Queues a message.
    pub(crate) fn send(&self, message: &ToPeer) -> Result<(), TooSlow> {
        let record = wire::encode(message);
        let length = record.len();
        if self.queued.fetch_add(length, Ordering::Relaxed) + length > MAX_QUEUED {
            return Err(TooSlow);
        }
        // The receiver is gone when the connection is: its task says so in a moment.
        let _ = self.queue.send(Outgoing::Record(record));
        Ok(())
    }

    /// Looks whether the connection lives, and where it is.
    pub(crate) fn look(&mut self) -> Look {
        let (address, received) = (self.connection.remote_address(), received(&self.connection));
        self.watch.look(address, received)
    }

    /// Closes after what is queued.
    pub(crate) fn close(&self, reason: CloseReason) {
        let _ = self.queue.send(Outgoing::Close(reason));
    }

    /// Closes now, whatever is queued.
    pub(crate) fn cut(&self, reason: CloseReason) {
        close(&self.connection, reason);
    }
}

impl Queue {
    /// The next thing to do; `None` when the control task is gone. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        self.queue.recv().await
    }

    /// A record of this length was written.
    pub(crate) fn written(&self, length: usize) {
        self.queued.fetch_sub(length, Ordering::Relaxed);
    }
}

fn received(connection: &quinn::Connection) -> u64 {
    connection.stats().udp_rx.datagrams
}

/// Closes a connection with the code and the words of a reason.
pub(crate) fn close(connection: &quinn::Connection, reason: CloseReason) {
    let code = VarInt::from_u32(reason.code());
    connection.close(code, reason.to_string().as_bytes());
}
