//! The side that receives.

mod intake;
mod listen;
mod speak;

use std::path::PathBuf;
use std::sync::Arc;

use gimlet::{CloseReason, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::buffer::Buffer;
use super::error::ReceiveError;
use super::manifest::Manifest;
use super::plan::Plan;
use super::report::{Event, Reporter, Summary};
use super::session::{self, GOODBYE_TIMEOUT, GreetError, Role, Watch};
use super::wire::FromReceiver;
use super::writer::Writer;
use intake::BUFFERS;

/// Where to, and what may happen there.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// The folder that what comes is put into. Made where it is not there.
    pub(super) target: PathBuf,
    pub(super) overwrite: bool,
}

impl ReceiveOptions {
    /// Into this folder; what is there stays as it is.
    pub fn into_folder(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            overwrite: false,
        }
    }

    /// Whether files take the place of others of the same name, and folders are joined. Default: no,
    /// the transfer is refused then.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }
}

/// Receives what the other side of a connection offers, until all of it is in the target folder, and
/// closes the connection. Whoever dialled: one side calls this, the other
/// [`Offer::serve`](super::Offer::serve).
///
/// Unfinished transfers are kept in `.gimlet-partial` in the target folder. The same offer by the same
/// peer goes on where it was, also after both sides were restarted.
///
/// # Errors
///
/// [`ReceiveError`].
///
/// # Cancel safety
///
/// Dropping the future ends the transfer, which can be resumed. Close the connection then.
pub async fn receive(
    connection: &Connection,
    options: &ReceiveOptions,
    reporter: &Reporter,
) -> Result<Summary, ReceiveError> {
    let done = session(connection, options, reporter).await;
    match &done {
        Ok(_) => connection.close(0, b""),
        Err(error) => {
            if let Some((code, reason)) = error.goodbye() {
                connection.close(code, reason.as_bytes());
            }
        }
    }
    done
}

async fn session(
    connection: &Connection,
    options: &ReceiveOptions,
    reporter: &Reporter,
) -> Result<Summary, ReceiveError> {
    let (send, recv) =
        session::greet(connection, Role::Receiver)
            .await
            .map_err(|error| match error {
                GreetError::Lost => lost(connection),
                GreetError::SameRole => ReceiveError::BothReceive,
                GreetError::Version => ReceiveError::Misbehaved,
            })?;
    // What waits unread is lost with a process that is killed.
    connection.hold_little();
    let watch = Watch::new();
    // A few messages for each entry of the manifest at most.
    let (out_by, out) = mpsc::unbounded_channel();
    let (manifest_by, manifest) = oneshot::channel();
    let work = async {
        let manifest = tokio::select! {
            manifest = manifest => manifest.map_err(|_| lost(connection))?,
            closed = connection.closed() => return Err(lost_with(closed)),
        };
        work(connection, options, reporter, manifest, out_by, &watch).await
    };
    let speaking = speak::run(connection, send, out);
    tokio::pin!(work, speaking);
    let first = tokio::select! {
        done = &mut work => Ok(done),
        error = &mut speaking => Err(error),
        error = listen::run(connection, recv, manifest_by, &watch) => Err(error),
        () = watch.silence() => Err(ReceiveError::Silent),
    };
    let summary = match first {
        Ok(done) => done?,
        // The sender may have heard the last word before we knew that it was said. Else what has come
        // is written down first.
        Err(ReceiveError::Lost(_) | ReceiveError::Refused { .. })
            if session::closed(connection).is_some() =>
        {
            return work.await;
        }
        Err(error) => return Err(error),
    };
    // The last words are on their way; the sender closes when it has them.
    let goodbye = async {
        tokio::select! {
            _ = &mut speaking => (),
            _ = connection.closed() => (),
        }
    };
    let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
    Ok(summary)
}

/// Looks at what is there, and hands what comes to the writing thread, to the end.
async fn work(
    connection: &Connection,
    options: &ReceiveOptions,
    reporter: &Reporter,
    manifest: Manifest,
    out: mpsc::UnboundedSender<FromReceiver>,
    watch: &Watch,
) -> Result<Summary, ReceiveError> {
    let (files, bytes) = (manifest.files(), manifest.bytes());
    reporter.tell(Event::Offered { files, bytes });
    reporter.progress(|progress| (progress.total_files, progress.total) = (files, bytes));
    let (parcels_by, parcels) = mpsc::channel(1);
    let (spare_by, spare) = mpsc::channel(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = spare_by.try_send(Buffer::new());
    }
    let writing = {
        let (options, reporter, peer) = (options.clone(), reporter.clone(), connection.peer());
        tokio::task::spawn_blocking(move || {
            let plan = Plan::of(Arc::new(manifest), &options, peer, &reporter)?;
            Writer::new(plan, reporter, out).run(parcels, spare_by)
        })
    };
    tokio::pin!(writing);
    let error = tokio::select! {
        written = &mut writing => return finished(connection, written),
        // Dropped when it is over, so that the thread writes what it has, and ends.
        error = intake::run(connection, parcels_by, spare, watch) => error,
    };
    match (&mut writing).await {
        Ok(Err(disk)) => Err(disk),
        Ok(Ok(Some(summary))) => Ok(summary),
        Ok(Ok(None)) | Err(_) => Err(error),
    }
}

fn finished(
    connection: &Connection,
    written: Result<Result<Option<Summary>, ReceiveError>, tokio::task::JoinError>,
) -> Result<Summary, ReceiveError> {
    match written {
        Ok(Ok(Some(summary))) => Ok(summary),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) | Err(_) => Err(lost(connection)),
    }
}

/// Why the connection is over.
fn lost(connection: &Connection) -> ReceiveError {
    lost_with(session::closed(connection).unwrap_or(CloseReason::Reset))
}

fn lost_with(reason: CloseReason) -> ReceiveError {
    match reason {
        CloseReason::Peer { code, reason } if code != 0 && code != u64::from(super::GONE) => {
            ReceiveError::Refused { code, reason }
        }
        reason => ReceiveError::Lost(reason),
    }
}
