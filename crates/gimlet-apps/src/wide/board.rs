//! Leads the bulks that come in over a connection to the streams that they go on with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gimlet::Connection;
use gimlet::bulk::{self, AcceptError, Acceptor};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Counted, ReadError, Unread};

/// Code of a connection whose peer opens what is no stripe of a bulk.
const NO_STRIPE: u32 = 3;

/// Of one connection, as long as this is there.
#[derive(Debug)]
pub(crate) struct Board {
    claims: Arc<Claims>,
    unread: Arc<Unread>,
    task: JoinHandle<()>,
}

/// Streams that may go on over a bulk, by number; `None` once no bulk can come any more. A bulk that
/// nobody has claimed, or a second of the same number, is dropped, which stops it.
#[derive(Debug)]
struct Claims(Mutex<Option<HashMap<u64, oneshot::Sender<bulk::Receiver>>>>);

/// A stream's claim to a bulk; given up when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    number: u64,
    coming: oneshot::Receiver<bulk::Receiver>,
    claims: Arc<Claims>,
    unread: Arc<Unread>,
    /// Room for its stripes.
    counted: Option<Counted>,
}

impl Board {
    /// Takes all unidirectional streams of the connection. Bulks may lie unread; `unread` counts them.
    pub(crate) fn start(connection: Connection, unread: Arc<Unread>) -> Self {
        let claims = Arc::new(Claims(Mutex::new(Some(HashMap::new()))));
        let task = tokio::spawn(serve(connection, claims.clone()));
        Self {
            claims,
            unread,
            task,
        }
    }

    /// Lays claim to the bulk of this number, before the peer can send it.
    pub(crate) fn claim(&self, number: u64) -> Claim {
        let (sender, coming) = oneshot::channel();
        if let Some(claims) = &mut *self.claims.lock() {
            claims.insert(number, sender);
        }
        Claim {
            number,
            coming,
            claims: self.claims.clone(),
            unread: self.unread.clone(),
            counted: None,
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Claim {
    /// Waits for the bulk. Cancel safe.
    pub(super) async fn bulk(&mut self) -> Result<bulk::Receiver, ReadError> {
        let Ok(bulk) = (&mut self.coming).await else {
            return Err(gimlet::ReadError::from(self.unread.lost()).into());
        };
        self.counted = Some(self.unread.count(bulk.stripes()));
        Ok(bulk)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(claims) = &mut *self.claims.lock() {
            claims.remove(&self.number);
        }
    }
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<bulk::Receiver>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(connection: Connection, claims: Arc<Claims>) {
    let mut acceptor = Acceptor::new(connection.clone());
    let ended = loop {
        let bulk = match acceptor.accept().await {
            Ok(bulk) => bulk,
            Err(error) => break error,
        };
        let claim = claims.lock().as_mut().and_then(|c| c.remove(&bulk.id()));
        if let Some(claim) = claim {
            // Fails where the stream is gone meanwhile.
            let _ = claim.send(bulk);
        }
    };
    match ended {
        AcceptError::NoStripe => connection.close(NO_STRIPE, b"no stripe of a bulk"),
        AcceptError::Connection(_) => (),
    }
    *claims.lock() = None;
}
