//! The side that receives.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use gimlet::bulk::{self, Acceptor};
use gimlet::{CloseReason, Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

use super::BULK;
use super::error::ReceiveError;
use super::manifest::Manifest;
use super::plan::Plan;
use super::report::{Event, Reporter, Summary};
use super::session::{self, ALIVE_INTERVAL, GOODBYE_TIMEOUT, GreetError, Role, Watch};
use super::wire::{self, FromReceiver, FromSender};
use super::writer::Writer;

/// Bytes handed to the writing thread at once. Together with the chunk under way these are what an
/// interruption costs at most: less than two chunks.
const BUFFER: usize = 256 << 10;

/// Buffers under way: one is filled while one is written. Where writing is slower, what comes meanwhile
/// waits in the connection, and fills the next one whole.
const BUFFERS: usize = 2;

/// Bytes as they came.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER],
            filled: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

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
    let speaking = speak(connection, send, out);
    tokio::pin!(work, speaking);
    let first = tokio::select! {
        done = &mut work => Ok(done),
        error = &mut speaking => Err(error),
        error = listen(connection, recv, manifest_by, &watch) => Err(error),
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

/// Hears the manifest, and then signs of life. Ends only with an error.
async fn listen(
    connection: &Connection,
    mut recv: RecvStream,
    whole: oneshot::Sender<Manifest>,
    watch: &Watch,
) -> ReceiveError {
    let mut building = Some((Manifest::new(), whole));
    loop {
        let frame = match wire::read(&mut recv).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return lost(connection),
            Err(error) => return or_lost(connection, &error),
        };
        watch.heard();
        match (FromSender::decode(frame), &mut building) {
            (Ok(FromSender::Entries(entries)), Some((manifest, _))) => {
                for entry in entries {
                    if let Err(error) = manifest.push(entry) {
                        return error.into();
                    }
                }
            }
            (Ok(FromSender::End), Some(_)) => {
                if let Some((manifest, whole)) = building.take() {
                    // Nobody waits only where the transfer is over.
                    let _ = whole.send(manifest);
                }
            }
            (Ok(FromSender::Alive), _) => (),
            (Ok(FromSender::Entries(_) | FromSender::End), None) | (Err(_), _) => {
                return ReceiveError::Misbehaved;
            }
        }
    }
}

/// Says what there is to say, and now and then that we are there. After the last word it waits for
/// the connection's end.
async fn speak(
    connection: &Connection,
    mut send: SendStream,
    mut out: mpsc::UnboundedReceiver<FromReceiver>,
) -> ReceiveError {
    let mut ticks = interval(ALIVE_INTERVAL);
    let mut frames = Vec::new();
    loop {
        frames.clear();
        let mut complete = false;
        tokio::select! {
            message = out.recv() => {
                let mut next = message;
                while let Some(message) = next {
                    message.encode(&mut frames);
                    complete |= matches!(message, FromReceiver::Complete { .. });
                    next = match frames.len() < wire::MAX_BODY {
                        true => out.try_recv().ok(),
                        false => None,
                    };
                }
                if frames.is_empty() {
                    // The writer has gone; why, others tell.
                    std::future::pending::<()>().await;
                }
            }
            _ = ticks.tick() => FromReceiver::Alive.encode(&mut frames),
        }
        if session::write(&mut send, &frames).await.is_err() {
            return lost_with(connection.closed().await);
        }
        if complete {
            // Fails only where the connection is over.
            let _ = send.finish();
            return lost_with(connection.closed().await);
        }
    }
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
    let (input_by, input) = mpsc::channel(1);
    let (spare_by, spare) = mpsc::channel(BUFFERS);
    for _ in 0..BUFFERS {
        let _ = spare_by.try_send(Buffer::new());
    }
    let writing = {
        let (options, reporter, peer) = (options.clone(), reporter.clone(), connection.peer());
        tokio::task::spawn_blocking(move || {
            let plan = Plan::of(Arc::new(manifest), &options, peer, &reporter)?;
            Writer::new(plan, reporter, out).run(input, spare_by)
        })
    };
    tokio::pin!(writing);
    let error = tokio::select! {
        written = &mut writing => return finished(connection, written),
        // Dropped when it is over, so that the thread writes what it has, and ends.
        error = pump(connection, input_by, spare, watch) => error,
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

/// Moves the data. Ends only with an error.
async fn pump(
    connection: &Connection,
    input: mpsc::Sender<Buffer>,
    mut spare: mpsc::Receiver<Buffer>,
    watch: &Watch,
) -> ReceiveError {
    let mut acceptor = Acceptor::new(connection.clone());
    let mut bulk = match acceptor.accept().await {
        Ok(bulk) if bulk.id() == BULK => bulk,
        Ok(_) => return ReceiveError::Misbehaved,
        Err(bulk::AcceptError::Connection(error)) => return lost_with(error.into()),
        Err(bulk::AcceptError::NoStripe | bulk::AcceptError::TooMany) => {
            return ReceiveError::Misbehaved;
        }
    };
    loop {
        // While this waits for the disk nothing is read, and the sender may be kept from speaking.
        let Some(mut buffer) = patient(watch, spare.recv()).await else {
            return std::future::pending().await;
        };
        match fill(&mut bulk, &mut buffer).await {
            Ok(0) => return lost(connection),
            Ok(_) => (),
            Err(error) => return or_lost(connection, &error),
        }
        watch.heard();
        if patient(watch, input.send(buffer)).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits for our own side, which is nobody's silence.
async fn patient<T>(watch: &Watch, wait: impl Future<Output = T>) -> T {
    let mut ticks = interval(ALIVE_INTERVAL);
    tokio::pin!(wait);
    loop {
        tokio::select! {
            biased;
            done = &mut wait => return done,
            _ = ticks.tick() => watch.heard(),
        }
    }
}

/// Waits for data, and takes what there is up to a buffer of it; 0 at the end.
async fn fill(bulk: &mut bulk::Receiver, buffer: &mut Buffer) -> io::Result<usize> {
    let mut filled = 0;
    std::future::poll_fn(|cx| {
        while filled < BUFFER {
            let mut part = ReadBuf::new(&mut buffer.bytes[filled..]);
            match Pin::new(&mut *bulk).poll_read(cx, &mut part) {
                std::task::Poll::Ready(Ok(())) if part.filled().is_empty() => break,
                std::task::Poll::Ready(Ok(())) => filled += part.filled().len(),
                std::task::Poll::Ready(Err(error)) if filled == 0 => {
                    return std::task::Poll::Ready(Err(error));
                }
                // Told again by the next call.
                std::task::Poll::Ready(Err(_)) => break,
                std::task::Poll::Pending if filled == 0 => return std::task::Poll::Pending,
                std::task::Poll::Pending => break,
            }
        }
        std::task::Poll::Ready(Ok(()))
    })
    .await?;
    buffer.filled = filled;
    Ok(filled)
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

/// Why a stream failed: the connection is over, or the sender has done something to it.
fn or_lost(connection: &Connection, error: &io::Error) -> ReceiveError {
    match error.kind() {
        io::ErrorKind::InvalidData => ReceiveError::Misbehaved,
        _ => lost(connection),
    }
}
