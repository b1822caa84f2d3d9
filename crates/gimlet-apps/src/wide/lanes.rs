//! The streams that the senders of one connection take besides their own.

use std::sync::Arc;

use gimlet::{Connection, WriteError, bulk};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// Streams that all senders of a connection take: a third of what a peer lets us have open, and with a
/// full window each two thirds of what it holds for streams that nobody reads. Four senders beside each
/// other have eight.
const MAX_LANES: usize = 32;

/// Of one connection.
#[derive(Debug)]
pub(crate) struct Lanes {
    connection: Connection,
    free: Arc<Semaphore>,
    /// One bulk is opened after the other, so that their stripes come in order.
    opening: Mutex<()>,
}

/// A bulk, and the streams that it has taken.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) bulk: bulk::Sender,
    _taken: OwnedSemaphorePermit,
}

impl Lanes {
    pub(crate) fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self {
            connection,
            free: Arc::new(Semaphore::new(MAX_LANES)),
            opening: Mutex::default(),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Opens a bulk of `stripes` streams for the stream with this number; `None` where so many are not free.
    pub(super) async fn open(&self, number: u64, stripes: u8) -> Result<Option<Lane>, WriteError> {
        let free = self.free.clone();
        let Ok(taken) = free.try_acquire_many_owned(stripes.into()) else {
            return Ok(None);
        };
        let _opening = self.opening.lock().await;
        Ok(Some(Lane {
            bulk: bulk::open(&self.connection, number, stripes).await?,
            _taken: taken,
        }))
    }
}
