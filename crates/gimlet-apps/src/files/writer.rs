//! The receiver's thread: verifies the data, and writes it.
//!
//! A chunk is hashed when all of it is here, written where it has the digest announced, and counts from
//! then on: the journal has it. Of what has come only what waits for this thread can be lost, and the
//! chunk before it.

mod arriving;
mod chunk;
mod ending;

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::mpsc;

use super::buffer::Buffer;
use super::error::ReceiveError;
use super::hash::Digest;
use super::manifest::Kind;
use super::packer::Parcel;
use super::plan::{Plan, State};
use super::record::{self, Record};
use super::report::{Event, Reporter, Summary};
use super::staged::Staged;
use super::wire::FromReceiver;
use super::writeback::Writeback;

/// Files of several chunks that are open at once. A sender reads fewer in turn.
const MAX_OPEN: usize = 8;

/// Bytes after which the sender hears how far it is.
const SAY: u64 = 4 << 20;

pub(super) struct Writer {
    plan: Plan,
    reporter: Reporter,
    /// What goes to the sender. A few messages for each entry at most.
    out: mpsc::UnboundedSender<FromReceiver>,
    open: Vec<Open>,
    writeback: Writeback,
    summary: Summary,
    verified: u64,
    /// What the sender knows of that.
    said: u64,
    /// Files that have begun anew because their hash was another one; that is done once.
    restarted: Vec<u32>,
}

/// A file of several chunks that is being written.
struct Open {
    entry: u32,
    file: Staged,
    digests: BTreeMap<u32, Digest>,
    next: u32,
    resumed: u64,
    began_at: Instant,
}

impl Writer {
    pub(super) fn new(
        plan: Plan,
        reporter: Reporter,
        out: mpsc::UnboundedSender<FromReceiver>,
    ) -> Self {
        Self {
            verified: plan.resumed,
            plan,
            reporter,
            out,
            open: Vec::new(),
            writeback: Writeback::default(),
            summary: Summary::default(),
            said: 0,
            restarted: Vec::new(),
        }
    }

    /// Works until everything is here; `None` where no more comes before that.
    pub(super) fn run(
        mut self,
        mut parcels: mpsc::Receiver<Parcel>,
        spare: mpsc::Sender<Buffer>,
    ) -> Result<Option<Summary>, ReceiveError> {
        let done = self.work(&mut parcels, &spare);
        // Also after an error: what was verified before it counts.
        let flushed = self.plan.journal.flush();
        match (done, flushed) {
            (Ok(done), Err(source)) if done.is_none() => Err(self.disk(0, source)),
            (done, _) => done,
        }
    }

    fn work(
        &mut self,
        parcels: &mut mpsc::Receiver<Parcel>,
        spare: &mpsc::Sender<Buffer>,
    ) -> Result<Option<Summary>, ReceiveError> {
        self.begin()?;
        while self.plan.roots.values().any(|root| root.left > 0) {
            let Some(parcel) = parcels.blocking_recv() else {
                return Ok(None);
            };
            self.take(&parcel)?;
            self.plan
                .journal
                .flush()
                .map_err(|source| self.disk(0, source))?;
            self.show();
            // Nobody fills buffers any more.
            let _ = spare.try_send(parcel.buffer);
        }
        self.plan.finish()?;
        self.say(FromReceiver::Complete {
            failed: self.summary.failed,
        });
        Ok(Some(self.summary))
    }

    /// Tells how far it is.
    fn show(&mut self) {
        let verified = self.verified;
        self.reporter.progress(|progress| progress.bytes = verified);
        if verified.abs_diff(self.said) >= SAY {
            self.said = verified;
            self.say(FromReceiver::Verified(verified));
        }
    }

    /// Says what is wanted, and what is there already.
    fn begin(&mut self) -> Result<(), ReceiveError> {
        let resumed = self.plan.resumed;
        self.reporter.progress(|progress| {
            progress.bytes = resumed;
            progress.resumed = resumed;
        });
        self.reporter.tell(Event::Began { resumed });
        self.say(FromReceiver::Verified(resumed));
        for want in std::mem::take(&mut self.plan.wants) {
            self.say(want);
        }
        // Folders without files.
        let empty: Vec<u32> = (self.plan.manifest.iter())
            .filter(|(number, entry)| {
                let root = self.plan.roots.get(number);
                entry.parent.is_none()
                    && !matches!(entry.kind, Kind::File { .. })
                    && root.is_some_and(|root| root.left == 0)
            })
            .map(|(number, _)| number)
            .collect();
        for number in 0..self.plan.manifest.len() {
            if let State::Done(hash) = &self.plan.states[number as usize] {
                let (hash, size) = (**hash, self.size(number));
                self.arrived(number, hash, size, Instant::now())?;
            }
        }
        for root in empty {
            self.install(root)?;
        }
        Ok(())
    }

    fn take(&mut self, parcel: &Parcel) -> Result<(), ReceiveError> {
        let (mut bytes, began_at) = (parcel.buffer.filled(), parcel.began_at);
        if let Some(chunk) = parcel.chunk {
            return self.chunk(chunk, bytes, began_at);
        }
        let malformed = |_| ReceiveError::Misbehaved;
        while let Some((record, data)) = record::next(&mut bytes).map_err(malformed)? {
            match record {
                Record::Chunk(chunk) => self.chunk(chunk, data, began_at)?,
                Record::End { entry, hash } => self.end(entry, hash)?,
                Record::Failed { entry, why } => self.failed(entry, why)?,
            }
        }
        Ok(())
    }
}
