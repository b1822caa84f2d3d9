//! The side that sends: an offer, served to any number of receivers.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gimlet::{CloseReason, Connection, RecvStream, SendStream, bulk};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::interval;

use super::hash::{self, Digest};
use super::reader::{BLOCKS, Block, Job, Reader, Sent};
use super::report::{Event, FileReport, Reporter, Summary};
use super::session::{self, ALIVE_INTERVAL, GreetError, Role, Watch};
use super::walk::{Scan, ScanError};
use super::wire::{self, FromReceiver, FromSender};
use super::{BULK, MISBEHAVED, UNREADABLE};
use crate::NOT_SERVED;

/// Requests that wait for the reading thread.
const JOBS: usize = 64;

/// How often a file may be asked for in a session: once, and once more where it turned out to differ.
const MAX_REQUESTS: u8 = 2;

/// Files and folders to be sent. Looked at anew for each receiver, so what changes meanwhile goes as
/// it is then.
#[derive(Debug, Clone)]
pub struct Offer {
    paths: Arc<[PathBuf]>,
}

/// Why a transfer ended before the receiver had everything. [`is_interruption`](Self::is_interruption)
/// tells whether it can go on where it was.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// What is offered can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The connection ended.
    #[error("lost the receiver: {0}")]
    Lost(CloseReason),
    /// Nothing came for ten seconds.
    #[error("lost the receiver: it has gone silent")]
    Silent,
    /// The receiver does not want it, or can't take it.
    #[error("the receiver ended it: {reason}")]
    Refused {
        /// One of the codes of `docs/protocol.md`.
        code: u64,
        /// In its words.
        reason: String,
    },
    /// Both sides send.
    #[error("the other side sends, too; one has to receive (`gimlet recv`)")]
    BothSend,
    /// The receiver did what no receiver does.
    #[error("the receiver does not keep to the protocol; are both of the same version?")]
    Misbehaved,
}

impl SendError {
    /// Whether the same again may go on where this ended.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Silent => true,
            Self::Scan(_) | Self::Refused { .. } | Self::BothSend | Self::Misbehaved => false,
        }
    }

    /// What the connection is closed with.
    fn goodbye(&self) -> Option<(u32, &'static [u8])> {
        match self {
            Self::Scan(_) => Some((UNREADABLE, b"the sender can't read what it offers")),
            Self::BothSend => Some((NOT_SERVED, b"both sides send")),
            Self::Misbehaved => Some((MISBEHAVED, b"protocol violation")),
            Self::Silent => Some((super::GONE, b"silent")),
            Self::Lost(_) | Self::Refused { .. } => None,
        }
    }
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
        let (blocks_by, blocks) = mpsc::channel(BLOCKS);
        let (spare_by, spare) = mpsc::channel(BLOCKS);
        // As many as happen to be between two looks: no more than there are files.
        let (sent_by, sent) = mpsc::unbounded_channel();
        for _ in 0..BLOCKS {
            let _ = spare_by.try_send(Block::new());
        }
        let reader = Reader::new(scan.clone(), blocks_by, spare, sent_by);
        tokio::task::spawn_blocking(move || reader.run(wanted));
        let watch = Watch::new();
        let mut control = Control {
            requests: vec![0; scan.manifest.len() as usize],
            scan: &scan,
            reporter,
            jobs,
            sent,
            known: HashMap::new(),
            summary: Summary::default(),
            began: false,
        };
        tokio::select! {
            done = control.run(connection, recv, &watch) => done,
            error = speak(connection, send, &scan) => Err(error),
            error = pump(connection, blocks, spare_by) => Err(error),
            () = watch.silence() => Err(SendError::Silent),
        }
    }
}

async fn scan(paths: Arc<[PathBuf]>) -> Result<Scan, ScanError> {
    let scanned = tokio::task::spawn_blocking(move || Scan::of(&paths)).await;
    scanned.expect("a scan does not panic, and nobody cancels it")
}

/// Writes the manifest, and then a sign of life now and then. Ends only with the connection.
async fn speak(connection: &Connection, mut send: SendStream, scan: &Scan) -> SendError {
    let spoken = async {
        let mut frames = Vec::new();
        // Piece by piece: a long manifest need not be in memory twice.
        for entries in scan.manifest.entries().chunks(1000) {
            frames.clear();
            wire::entries(entries, &mut frames);
            session::write(&mut send, &frames).await?;
        }
        frames.clear();
        FromSender::End.encode(&mut frames);
        session::write(&mut send, &frames).await?;
        let mut alive = Vec::new();
        FromSender::Alive.encode(&mut alive);
        let mut ticks = interval(ALIVE_INTERVAL);
        loop {
            ticks.tick().await;
            session::write(&mut send, &alive).await?;
        }
    };
    match spoken.await {
        Ok::<std::convert::Infallible, io::Error>(never) => match never {},
        Err(_) => over(connection).await,
    }
}

/// Sends what is read. Ends only with the connection.
async fn pump(
    connection: &Connection,
    mut blocks: mpsc::Receiver<Block>,
    spare: mpsc::Sender<Block>,
) -> SendError {
    let mut bulk = match bulk::open(connection, BULK, bulk::DEFAULT_STRIPES).await {
        Ok(bulk) => bulk,
        Err(_) => return over(connection).await,
    };
    while let Some(block) = blocks.recv().await {
        if bulk.write_all(block.bytes()).await.is_err() {
            return over(connection).await;
        }
        // The reader has gone, with nothing left to read.
        let _ = spare.try_send(block);
    }
    std::future::pending().await
}

/// What the receiver says, and what is made of it.
struct Control<'a> {
    scan: &'a Scan,
    reporter: &'a Reporter,
    requests: Vec<u8>,
    jobs: mpsc::Sender<Job>,
    sent: mpsc::UnboundedReceiver<Sent>,
    known: HashMap<u32, Sent>,
    summary: Summary,
    began: bool,
}

impl Control<'_> {
    async fn run(
        &mut self,
        connection: &Connection,
        mut recv: RecvStream,
        watch: &Watch,
    ) -> Result<Summary, SendError> {
        loop {
            let frame = match wire::read(&mut recv).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Err(lost(connection)),
                Err(error) => return Err(or_lost(connection, error)),
            };
            watch.heard();
            let message = FromReceiver::decode(frame).map_err(|_| SendError::Misbehaved)?;
            match message {
                FromReceiver::Whole { first, last } => {
                    self.whole(connection, first, last, watch).await?
                }
                FromReceiver::Parts { entry, ranges } => {
                    self.parts(connection, entry, ranges, watch).await?;
                }
                FromReceiver::Verified(bytes) => self.verified(bytes),
                FromReceiver::Confirmed {
                    entry,
                    hash,
                    resumed,
                } => self.confirmed(entry, hash, resumed)?,
                FromReceiver::Alive => (),
                FromReceiver::Complete { failed } => {
                    self.summary.failed = failed;
                    return Ok(self.summary);
                }
            }
        }
    }

    async fn whole(
        &mut self,
        connection: &Connection,
        first: u32,
        last: u32,
        watch: &Watch,
    ) -> Result<(), SendError> {
        if first > last || last >= self.scan.manifest.len() {
            return Err(SendError::Misbehaved);
        }
        for entry in first..=last {
            self.count(entry)?;
        }
        self.ask(connection, Job::Whole { first, last }, watch)
            .await
    }

    async fn parts(
        &mut self,
        connection: &Connection,
        entry: u32,
        ranges: Vec<(u32, u32)>,
        watch: &Watch,
    ) -> Result<(), SendError> {
        let Some(size) = self.scan.manifest.size(entry) else {
            return Err(SendError::Misbehaved);
        };
        let mut next = 0;
        for (first, count) in &ranges {
            let end = first.checked_add(*count).ok_or(SendError::Misbehaved)?;
            if *first < next || *count == 0 || end > hash::chunks(size) {
                return Err(SendError::Misbehaved);
            }
            next = end;
        }
        self.count(entry)?;
        self.ask(connection, Job::Parts { entry, ranges }, watch)
            .await
    }

    fn count(&mut self, entry: u32) -> Result<(), SendError> {
        let requests = &mut self.requests[entry as usize];
        *requests += 1;
        match *requests <= MAX_REQUESTS {
            true => Ok(()),
            false => Err(SendError::Misbehaved),
        }
    }

    async fn ask(
        &mut self,
        connection: &Connection,
        job: Job,
        watch: &Watch,
    ) -> Result<(), SendError> {
        // The thread ends only with the transfer.
        let asked = self.jobs.send(job).await.map_err(|_| lost(connection));
        // However long that took, it was not the receiver that was silent.
        watch.heard();
        asked
    }

    fn verified(&mut self, bytes: u64) {
        let (bytes, began) = (bytes.min(self.scan.manifest.bytes()), self.began);
        self.began = true;
        self.reporter.progress(|progress| {
            progress.bytes = bytes;
            if !began {
                progress.resumed = bytes;
            }
        });
        if !began {
            self.reporter.tell(Event::Began { resumed: bytes });
        }
    }

    fn confirmed(&mut self, entry: u32, hash: Digest, resumed: u64) -> Result<(), SendError> {
        let Some(bytes) = self.scan.manifest.size(entry) else {
            return Err(SendError::Misbehaved);
        };
        while let Ok(sent) = self.sent.try_recv() {
            self.known.insert(sent.entry, sent);
        }
        let sent = self.known.remove(&entry);
        if sent.as_ref().is_some_and(|sent| sent.hash != hash)
            || self.summary.files >= self.scan.manifest.files()
            || resumed > bytes
        {
            return Err(SendError::Misbehaved);
        }
        self.summary.files += 1;
        self.summary.bytes += bytes;
        self.summary.resumed += resumed;
        let files = self.summary.files;
        self.reporter.progress(|progress| progress.files = files);
        self.reporter.tell(Event::Finished(FileReport {
            name: self
                .scan
                .manifest
                .path(entry)
                .to_string_lossy()
                .into_owned(),
            bytes,
            hash,
            elapsed: sent.map_or_else(Default::default, |sent| sent.began_at.elapsed()),
            resumed,
        }));
        Ok(())
    }
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

/// Why a stream failed: the connection is over, or the receiver has done something to it.
fn or_lost(connection: &Connection, error: io::Error) -> SendError {
    match error.kind() {
        io::ErrorKind::InvalidData => SendError::Misbehaved,
        _ => lost(connection),
    }
}
