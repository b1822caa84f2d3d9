//! The side that sends: an offer, served to any number of receivers.

mod control;
mod error;
mod speak;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use gimlet::{CloseReason, Connection, bulk};
use tokio::sync::mpsc;

use super::BULK;
use super::reader::Reader;
use super::report::{Event, Reporter, Summary};
use super::session::{self, GreetError, Role, Watch};
use super::walk::{Scan, ScanError};
use control::Control;

pub use error::SendError;

/// Blocks that wait to be sent: one, while the next is filled.
const FILLED: usize = 1;

/// Requests that wait for the reading thread.
const JOBS: usize = 64;

/// Files and folders to be sent. Looked at anew for each receiver, so what changes meanwhile goes as
/// it is then.
#[derive(Debug, Clone)]
pub struct Offer {
    paths: Arc<[PathBuf]>,
}

impl Offer {
    /// Of these files and folders, each under its own name. Links that are named are followed, those
    /// in folders are not.
    ///
    /// # Errors
    ///
    /// [`ScanError`]: one of them can't be sent.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn of(paths: Vec<PathBuf>) -> Result<Self, ScanError> {
        let paths: Arc<[PathBuf]> = paths.into();
        scan(paths.clone()).await?;
        Ok(Self { paths })
    }

    /// Serves a receiver until it has everything, and closes the connection. Whoever dialled: one
    /// side serves, the other calls [`receive`](super::receive).
    ///
    /// # Errors
    ///
    /// [`SendError`]. What the receiver has then it keeps, for the next attempt.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the transfer, which can be resumed. Close the connection then.
    pub async fn serve(
        &self,
        connection: &Connection,
        reporter: &Reporter,
    ) -> Result<Summary, SendError> {
        let done = self.session(connection, reporter).await;
        match &done {
            Ok(_) => connection.close(0, b""),
            Err(error) => {
                if let Some((code, reason)) = error.goodbye() {
                    connection.close(code, reason);
                }
            }
        }
        done
    }

    async fn session(
        &self,
        connection: &Connection,
        reporter: &Reporter,
    ) -> Result<Summary, SendError> {
        let (send, recv) = session::greet(connection, Role::Sender)
            .await
            .map_err(|error| match error {
                GreetError::Lost => lost(connection),
                GreetError::SameRole => SendError::BothSend,
                GreetError::Version => SendError::Misbehaved,
            })?;
        let scan = Arc::new(scan(self.paths.clone()).await?);
        for (path, why) in &scan.skipped {
            reporter.tell(Event::Skipped {
                name: path.to_string_lossy().into_owned(),
                why: *why,
            });
        }
        let (files, bytes) = (scan.manifest.files(), scan.manifest.bytes());
        reporter.tell(Event::Offered { files, bytes });
        reporter.progress(|progress| (progress.total_files, progress.total) = (files, bytes));
        let (jobs, wanted) = mpsc::channel(JOBS);
        let (filled_by, filled) = mpsc::channel(FILLED);
        // As many as happen to be between two looks: no more than there are files.
        let (sent_by, sent) = mpsc::unbounded_channel();
        let reader = Reader::new(scan.clone(), filled_by, sent_by);
        let _lifeline = reader.lifeline();
        tokio::task::spawn_blocking(move || reader.run(wanted));
        let watch = Watch::new();
        let mut control = Control::new(&scan, reporter, jobs, sent);
        tokio::select! {
            done = control.run(connection, recv, &watch) => done,
            error = speak::run(connection, send, &scan) => Err(error),
            error = pump(connection, filled) => Err(error),
            () = watch.silence() => Err(SendError::Silent),
        }
    }
}

async fn scan(paths: Arc<[PathBuf]>) -> Result<Scan, ScanError> {
    let scanned = tokio::task::spawn_blocking(move || Scan::of(&paths)).await;
    scanned.expect("a scan does not panic, and nobody cancels it")
}

/// Sends what is read. Ends only with the connection.
async fn pump(connection: &Connection, mut filled: mpsc::Receiver<Bytes>) -> SendError {
    let mut bulk = match bulk::open(connection, BULK, bulk::DEFAULT_STRIPES).await {
        Ok(bulk) => bulk,
        Err(_) => return over(connection).await,
    };
    while let Some(block) = filled.recv().await {
        if bulk.write_bytes(block).await.is_err() {
            return over(connection).await;
        }
    }
    std::future::pending().await
}

/// Waits for the end of the connection after a stream has failed: a receiver that needs no more stops
/// the streams, and then says that it has everything.
async fn over(connection: &Connection) -> SendError {
    connection.closed().await;
    lost(connection)
}

/// Why the connection is over.
fn lost(connection: &Connection) -> SendError {
    match session::closed(connection) {
        Some(CloseReason::Peer { code, reason }) if code != 0 && code != u64::from(super::GONE) => {
            SendError::Refused { code, reason }
        }
        Some(reason) => SendError::Lost(reason),
        None => SendError::Lost(CloseReason::Reset),
    }
}
