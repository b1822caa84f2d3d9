//! The receiver's thread: takes the data apart, verifies it, and writes it.
//!
//! A chunk is hashed and written as it comes, and counts once it has the digest announced: then the
//! journal has it. Of what has come only the chunk under way can be lost, and what waits for this
//! thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use tokio::sync::mpsc;

use super::error::ReceiveError;
use super::hash::{self, ChunkHasher, Digest};
use super::install;
use super::journal::{self, Note};
use super::manifest::Kind;
use super::plan::{self, Plan, State};
use super::receive::Buffer;
use super::record::{Decoder, Failure, Piece, Record};
use super::report::{Event, Fault, FileReport, Reporter, Restart, Summary};
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
    decoder: Decoder,
    current: Current,
    open: Vec<Open>,
    /// The bytes of the small file under way.
    small: Vec<u8>,
    writeback: Writeback,
    summary: Summary,
    verified: u64,
    /// What the sender knows of that.
    said: u64,
    /// Files that have begun anew because their hash was another one; that is done once.
    restarted: Vec<u32>,
}

/// The chunk under way.
enum Current {
    None,
    Small {
        entry: u32,
        len: u32,
        digest: Digest,
        began_at: Instant,
    },
    Large {
        entry: u32,
        chunk: u32,
        filled: u32,
        len: u32,
        hasher: Box<ChunkHasher>,
        digest: Digest,
    },
}

/// A file of several chunks that is being written.
struct Open {
    entry: u32,
    file: File,
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
            decoder: Decoder::new(),
            current: Current::None,
            open: Vec::new(),
            small: Vec::new(),
            writeback: Writeback::default(),
            summary: Summary::default(),
            said: 0,
            restarted: Vec::new(),
        }
    }

    /// Works until everything is here; `None` where no more comes before that.
    pub(super) fn run(
        mut self,
        mut input: mpsc::Receiver<Buffer>,
        spare: mpsc::Sender<Buffer>,
    ) -> Result<Option<Summary>, ReceiveError> {
        let done = self.work(&mut input, &spare);
        // Also after an error: what was verified before it counts.
        let flushed = self.plan.journal.flush();
        match (done, flushed) {
            (Ok(done), Err(source)) if done.is_none() => Err(self.disk(0, source)),
            (done, _) => done,
        }
    }

    fn work(
        &mut self,
        input: &mut mpsc::Receiver<Buffer>,
        spare: &mpsc::Sender<Buffer>,
    ) -> Result<Option<Summary>, ReceiveError> {
        self.begin()?;
        while self.plan.roots.values().any(|root| root.left > 0) {
            let Some(buffer) = input.blocking_recv() else {
                return Ok(None);
            };
            self.take(buffer.bytes())?;
            self.plan
                .journal
                .flush()
                .map_err(|source| self.disk(0, source))?;
            self.show();
            // Nobody fills buffers any more.
            let _ = spare.try_send(buffer);
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

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        loop {
            let piece = self.decoder.next(&mut bytes);
            match piece.map_err(|_| ReceiveError::Misbehaved)? {
                None => return Ok(()),
                Some(Piece::Data(data)) => self.data(data)?,
                Some(Piece::Record(Record::Chunk {
                    entry,
                    chunk,
                    len,
                    digest,
                })) => self.chunk(entry, chunk, len, digest)?,
                Some(Piece::Record(Record::End { entry, hash })) => self.end(entry, hash)?,
                Some(Piece::Record(Record::Failed { entry, why })) => self.failed(entry, why)?,
            }
        }
    }

    fn chunk(
        &mut self,
        entry: u32,
        chunk: u32,
        len: u32,
        digest: Digest,
    ) -> Result<(), ReceiveError> {
        let size = self
            .plan
            .manifest
            .size(entry)
            .ok_or(ReceiveError::Misbehaved)?;
        if chunk >= hash::chunks(size) || len != hash::chunk_len(size, chunk) {
            return Err(ReceiveError::Misbehaved);
        }
        if hash::chunks(size) == 1 {
            if !matches!(self.plan.states[entry as usize], State::Wanted) {
                return Err(ReceiveError::Misbehaved);
            }
            self.small.clear();
            self.current = Current::Small {
                entry,
                len,
                digest,
                began_at: Instant::now(),
            };
            return match len {
                0 => self.data(&[]),
                _ => Ok(()),
            };
        }
        let open = self.open(entry, size)?;
        if chunk < open.next {
            return Err(ReceiveError::Misbehaved);
        }
        open.next = chunk + 1;
        self.current = Current::Large {
            entry,
            chunk,
            filled: 0,
            len,
            hasher: Box::new(ChunkHasher::new(size, chunk)),
            digest,
        };
        Ok(())
    }

    fn open(&mut self, entry: u32, size: u64) -> Result<&mut Open, ReceiveError> {
        if let Some(at) = self.open.iter().position(|open| open.entry == entry) {
            return Ok(&mut self.open[at]);
        }
        let state = &mut self.plan.states[entry as usize];
        let kept = match state {
            State::Wanted => None,
            State::Kept(kept) if !kept.standing => Some(std::mem::take(&mut kept.digests)),
            State::Nothing | State::Kept(_) | State::Done(_) | State::Failed => {
                return Err(ReceiveError::Misbehaved);
            }
        };
        if self.open.len() == MAX_OPEN {
            return Err(ReceiveError::Misbehaved);
        }
        let is_new = kept.is_none();
        let file = install::stage_file(&mut self.plan, entry, is_new)
            .map_err(|source| self.disk(entry, source))?;
        let digests = kept.unwrap_or_default();
        let resumed = digests
            .keys()
            .map(|c| u64::from(hash::chunk_len(size, *c)))
            .sum();
        self.open.push(Open {
            entry,
            file,
            digests,
            next: 0,
            resumed,
            began_at: Instant::now(),
        });
        let last = self.open.len() - 1;
        Ok(&mut self.open[last])
    }

    /// Bytes of the chunk under way.
    fn data(&mut self, data: &[u8]) -> Result<(), ReceiveError> {
        match &mut self.current {
            Current::None => Err(ReceiveError::Misbehaved),
            Current::Small {
                entry,
                len,
                digest,
                began_at,
            } => {
                let (entry, digest, began_at) = (*entry, *digest, *began_at);
                let whole = match (self.small.len() + data.len()).cmp(&(*len as usize)) {
                    std::cmp::Ordering::Less => {
                        self.small.extend_from_slice(data);
                        return Ok(());
                    }
                    // Mostly it comes in one piece.
                    _ if self.small.is_empty() => data,
                    _ => {
                        self.small.extend_from_slice(data);
                        &self.small
                    }
                };
                if *blake3::hash(whole).as_bytes() != digest {
                    return Err(ReceiveError::Corrupt);
                }
                install::small_file(&mut self.plan, entry, whole)
                    .map_err(|source| self.plan.stage.error(&self.plan.manifest, entry, source))?;
                let size = whole.len() as u64;
                self.current = Current::None;
                self.verified += size;
                let (place, version) = journal::identify(&self.plan.manifest, entry);
                let note = Note::Chunk { chunk: 0, digest };
                self.plan.journal.note(place, version, note);
                self.plan.states[entry as usize] = State::Done(Box::new(digest));
                self.arrived(entry, digest, 0, began_at)
            }
            Current::Large {
                entry,
                chunk,
                filled,
                len,
                hasher,
                digest,
            } => {
                let Some(open) = self.open.iter_mut().find(|open| open.entry == *entry) else {
                    return Err(ReceiveError::Misbehaved);
                };
                hasher.update(data);
                let at = hash::offset(*chunk) + u64::from(*filled);
                let written = open.file.write_all_at(data, at);
                let number = open.entry;
                written.map_err(|e| self.plan.stage.error(&self.plan.manifest, number, e))?;
                *filled += u32::try_from(data.len()).map_err(|_| ReceiveError::Misbehaved)?;
                if *filled < *len {
                    return Ok(());
                }
                if hasher.finish() != *digest {
                    return Err(ReceiveError::Corrupt);
                }
                let (chunk, digest, len) = (*chunk, *digest, *len);
                if open.digests.insert(chunk, digest).is_none() {
                    self.verified += u64::from(len);
                }
                self.writeback.written(&open.file, len);
                self.current = Current::None;
                let (place, version) = journal::identify(&self.plan.manifest, number);
                self.plan
                    .journal
                    .note(place, version, Note::Chunk { chunk, digest });
                Ok(())
            }
        }
    }

    /// All that was asked of a file has come, and its hash is this.
    fn end(&mut self, entry: u32, hash: Digest) -> Result<(), ReceiveError> {
        let size = self
            .plan
            .manifest
            .size(entry)
            .ok_or(ReceiveError::Misbehaved)?;
        let at = self.open.iter().position(|open| open.entry == entry);
        let (digests, open) = match at {
            Some(at) => {
                let mut open = self.open.swap_remove(at);
                (std::mem::take(&mut open.digests), Some(open))
            }
            None => match &mut self.plan.states[entry as usize] {
                State::Kept(kept) => (std::mem::take(&mut kept.digests), None),
                State::Nothing | State::Wanted | State::Done(_) | State::Failed => {
                    return Err(ReceiveError::Misbehaved);
                }
            },
        };
        let standing = matches!(
            &self.plan.states[entry as usize],
            State::Kept(kept) if kept.standing
        );
        let merged = plan::complete(size, &digests).ok_or(ReceiveError::Misbehaved)?;
        if merged != hash {
            return self.differs(entry, &digests, standing);
        }
        let (resumed, began_at) = match &open {
            Some(open) => (open.resumed, open.began_at),
            None => (size, Instant::now()),
        };
        if !standing {
            install::finish_file(&mut self.plan, entry, open.map(|open| open.file))
                .map_err(|source| self.disk(entry, source))?;
            let (place, version) = journal::identify(&self.plan.manifest, entry);
            self.plan.journal.note(place, version, Note::Done { hash });
        }
        self.plan.states[entry as usize] = State::Done(Box::new(hash));
        self.arrived(entry, hash, resumed, began_at)
    }

    /// What was kept is of another content with the same size and time.
    fn differs(
        &mut self,
        entry: u32,
        digests: &BTreeMap<u32, Digest>,
        standing: bool,
    ) -> Result<(), ReceiveError> {
        if self.restarted.contains(&entry) {
            return Err(ReceiveError::Corrupt);
        }
        let root = self.plan.manifest.root(entry);
        if standing {
            if !self.plan.overwrite {
                return Err(self.plan.exists(root));
            }
            self.plan
                .unstand(root)
                .map_err(|source| self.disk(root, source))?;
        }
        let size = self.size(entry);
        self.restarted.push(entry);
        let lost: u64 = digests
            .keys()
            .map(|c| u64::from(hash::chunk_len(size, *c)))
            .sum();
        self.verified -= lost;
        self.reporter.tell(Event::Restarted {
            name: self.name(entry),
            why: Restart::Differs,
        });
        let (place, version) = journal::identify(&self.plan.manifest, entry);
        self.plan.journal.note(place, version, Note::Anew);
        install::discard(&mut self.plan, entry).map_err(|source| self.disk(entry, source))?;
        self.plan.states[entry as usize] = State::Wanted;
        self.say(FromReceiver::Verified(self.verified));
        self.say(FromReceiver::Whole {
            first: entry,
            last: entry,
        });
        Ok(())
    }

    fn failed(&mut self, entry: u32, why: Failure) -> Result<(), ReceiveError> {
        let is_due = matches!(
            self.plan.states.get(entry as usize),
            Some(State::Wanted | State::Kept(_))
        );
        if !is_due {
            return Err(ReceiveError::Misbehaved);
        }
        self.open.retain(|open| open.entry != entry);
        self.plan.states[entry as usize] = State::Failed;
        self.summary.failed += 1;
        let why = match why {
            Failure::Changed => Fault::Changed,
            Failure::Unreadable => Fault::Unreadable,
        };
        let name = self.name(entry);
        self.reporter.tell(Event::Failed { name, why });
        let root = self.plan.manifest.root(entry);
        if let Some(root) = self.plan.roots.get_mut(&root) {
            root.incomplete |= why == Fault::Changed || root.standing;
        }
        self.one_less(root)
    }

    /// A file is here, in the stage or where it belongs.
    fn arrived(
        &mut self,
        entry: u32,
        hash: Digest,
        resumed: u64,
        began_at: Instant,
    ) -> Result<(), ReceiveError> {
        let bytes = self.size(entry);
        self.summary.files += 1;
        self.summary.bytes += bytes;
        self.summary.resumed += resumed;
        // First its place, so that who reads of it finds it.
        self.one_less(self.plan.manifest.root(entry))?;
        let files = self.summary.files;
        self.reporter.progress(|progress| progress.files = files);
        self.reporter.tell(Event::Finished(FileReport {
            name: self.name(entry),
            bytes,
            hash,
            elapsed: began_at.elapsed(),
            resumed,
        }));
        self.say(FromReceiver::Confirmed {
            entry,
            hash,
            resumed,
        });
        Ok(())
    }

    fn one_less(&mut self, root: u32) -> Result<(), ReceiveError> {
        let Some(state) = self.plan.roots.get_mut(&root) else {
            return Err(ReceiveError::Misbehaved);
        };
        state.left -= 1;
        match state.left {
            0 => self.install(root),
            _ => Ok(()),
        }
    }

    fn install(&mut self, root: u32) -> Result<(), ReceiveError> {
        self.plan
            .journal
            .flush()
            .map_err(|source| self.disk(root, source))?;
        if self.plan.install(root)? {
            let name = self.name(root);
            self.reporter.tell(Event::Installed { name });
        }
        Ok(())
    }

    fn size(&self, entry: u32) -> u64 {
        self.plan.manifest.size(entry).unwrap_or(0)
    }

    fn name(&self, entry: u32) -> String {
        self.plan
            .manifest
            .path(entry)
            .to_string_lossy()
            .into_owned()
    }

    fn disk(&self, entry: u32, source: io::Error) -> ReceiveError {
        self.plan.stage.error(&self.plan.manifest, entry, source)
    }

    fn say(&self, message: FromReceiver) {
        // The session is over, which is noticed elsewhere.
        let _ = self.out.send(message);
    }
}
