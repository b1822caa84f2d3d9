//! What the receiver says, and what is made of it.

use std::collections::HashMap;
use std::io;

use gimlet::{Connection, RecvStream};
use tokio::sync::mpsc;

use super::SendError;
use super::lost;
use crate::files::hash::{self, Digest};
use crate::files::reader::{Job, Sent};
use crate::files::report::{Event, FileReport, Reporter, Summary};
use crate::files::session::Watch;
use crate::files::walk::Scan;
use crate::files::wire::{self, FromReceiver};

/// How often a file may be asked for in a session: once, and once more where it turned out to differ.
const MAX_REQUESTS: u8 = 2;

/// Where the transfer is, as the receiver says.
pub(super) struct Control<'a> {
    scan: &'a Scan,
    reporter: &'a Reporter,
    requests: Vec<u8>,
    jobs: mpsc::Sender<Job>,
    sent: mpsc::UnboundedReceiver<Sent>,
    known: HashMap<u32, Sent>,
    summary: Summary,
    began: bool,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        scan: &'a Scan,
        reporter: &'a Reporter,
        jobs: mpsc::Sender<Job>,
        sent: mpsc::UnboundedReceiver<Sent>,
    ) -> Self {
        Self {
            requests: vec![0; scan.manifest.len() as usize],
            scan,
            reporter,
            jobs,
            sent,
            known: HashMap::new(),
            summary: Summary::default(),
            began: false,
        }
    }

    /// Does as it is told, until the receiver has everything.
    pub(super) async fn run(
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

/// Why a stream failed: the connection is over, or the receiver has done something to it.
fn or_lost(connection: &Connection, error: io::Error) -> SendError {
    match error.kind() {
        io::ErrorKind::InvalidData => SendError::Misbehaved,
        _ => lost(connection),
    }
}
