//! Room for streams whose data may lie unread, so that they don't hold up the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gimlet::{Connection, ConnectionError};

/// Counts the streams of one connection.
#[derive(Debug)]
pub(crate) struct Unread {
    connection: Connection,
    streams: AtomicUsize,
}

/// Streams that count until this is dropped.
#[derive(Debug)]
#[must_use = "they count as long as this is there"]
pub(crate) struct Counted {
    unread: Arc<Unread>,
    streams: usize,
}

impl Unread {
    pub(crate) fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self {
            connection,
            streams: AtomicUsize::new(0),
        })
    }

    /// Makes room for so many more.
    pub(crate) fn count(self: &Arc<Self>, streams: usize) -> Counted {
        let all = self.streams.fetch_add(streams, Ordering::Relaxed) + streams;
        self.connection.expect_unread(all);
        Counted {
            unread: self.clone(),
            streams,
        }
    }

    /// Why the connection is over, where it is.
    pub(super) fn lost(&self) -> ConnectionError {
        let reason = self.connection.quic().close_reason();
        reason.unwrap_or(ConnectionError::LocallyClosed)
    }

    /// How many there are.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { unread, streams } = self;
        let left = unread.streams.fetch_sub(*streams, Ordering::Relaxed) - *streams;
        unread.connection.expect_unread(left);
    }
}
