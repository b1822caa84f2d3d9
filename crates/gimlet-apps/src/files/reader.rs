//! The sender's thread: reads and hashes what is asked for, and packs it into blocks.
//!
//! Files of one chunk go in batches, larger ones a chunk at a time, [`LARGE_AT_ONCE`] of them in
//! turn; so no file waits for a large one. Nothing is read before it is asked for, and nothing twice.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::hash::{self, CHUNK, ChunkHasher, Digest};
use super::manifest::{Kind, Stamp};
use super::record::{Failure, HEADER, Record};
use super::walk::{self, Scan};

/// Files of more than a chunk that are read in turn.
const LARGE_AT_ONCE: usize = 3;

/// Requests that wait in a queue. Further ones wait in the stream, which holds up who asks.
const MAX_QUEUE: usize = 1024;

/// Bytes of a block: a batch is closed at a chunk, so a file of a chunk still fits.
const BLOCK: usize = 2 * CHUNK as usize + HEADER;

/// Bytes read at once: hashed while they are still in the processor's cache.
const PART: usize = 128 << 10;

/// Blocks under way: one is filled while one is sent.
pub(super) const BLOCKS: usize = 2;

/// Something to be sent.
#[derive(Debug, Clone)]
pub(super) enum Job {
    /// All files with these numbers.
    Whole { first: u32, last: u32 },
    /// These chunks of a file, checked and ascending, and its hash.
    Parts { entry: u32, ranges: Vec<(u32, u32)> },
}

/// Records, to be sent as they are.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    filled: usize,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BLOCK],
            filled: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn record(&mut self, record: Record) {
        self.bytes[self.filled..self.filled + HEADER].copy_from_slice(&record.encode());
        self.filled += HEADER;
    }

    /// Room for `len` bytes behind a header that is to come.
    fn room(&mut self, len: u32) -> &mut [u8] {
        let from = self.filled + HEADER;
        &mut self.bytes[from..from + len as usize]
    }

    /// Puts the header before what is in that room.
    fn chunk(&mut self, entry: u32, chunk: u32, len: u32, digest: Digest) {
        self.record(Record::Chunk {
            entry,
            chunk,
            len,
            digest,
        });
        self.filled += len as usize;
    }
}

/// A file has been sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) entry: u32,
    pub(super) hash: Digest,
    pub(super) began_at: Instant,
}

/// Whoever sends the blocks is gone.
struct Gone;

pub(super) struct Reader {
    scan: Arc<Scan>,
    small: VecDeque<(u32, u32)>,
    large: VecDeque<Job>,
    /// Files of one chunk of which only the hash is wanted.
    checks: VecDeque<u32>,
    active: VecDeque<Large>,
    blocks: mpsc::Sender<Block>,
    spare: mpsc::Receiver<Block>,
    sent: mpsc::UnboundedSender<Sent>,
}

/// A file of several chunks that is being read.
struct Large {
    entry: u32,
    file: File,
    size: u64,
    modified: Stamp,
    next: u32,
    /// What of it is to be sent; the rest is only hashed.
    ranges: VecDeque<(u32, u32)>,
    digests: Vec<Digest>,
    began_at: Instant,
}

impl Reader {
    pub(super) fn new(
        scan: Arc<Scan>,
        blocks: mpsc::Sender<Block>,
        spare: mpsc::Receiver<Block>,
        sent: mpsc::UnboundedSender<Sent>,
    ) -> Self {
        Self {
            scan,
            small: VecDeque::new(),
            large: VecDeque::new(),
            checks: VecDeque::new(),
            active: VecDeque::new(),
            blocks,
            spare,
            sent,
        }
    }

    /// Works until no more is asked for, or nobody sends what is read.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            if self.is_idle() {
                let Some(job) = jobs.blocking_recv() else {
                    return;
                };
                self.take(job);
            }
            while self
                .small
                .len()
                .max(self.large.len())
                .max(self.checks.len())
                < MAX_QUEUE
            {
                let Ok(job) = jobs.try_recv() else { break };
                self.take(job);
            }
            let done = self.small_turn().and_then(|()| self.large_turn());
            if done.is_err() {
                return;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.small.is_empty()
            && self.large.is_empty()
            && self.checks.is_empty()
            && self.active.is_empty()
    }

    fn take(&mut self, job: Job) {
        match &job {
            Job::Whole { first, last } => {
                self.small.push_back((*first, *last));
                self.large.push_back(job);
            }
            Job::Parts { entry, .. } => match self.is_large(*entry) {
                true => self.large.push_back(job),
                false => self.checks.push_back(*entry),
            },
        }
    }

    fn is_large(&self, entry: u32) -> bool {
        self.scan
            .manifest
            .size(entry)
            .is_some_and(|size| hash::chunks(size) > 1)
    }

    /// A batch of files of one chunk.
    fn small_turn(&mut self) -> Result<(), Gone> {
        if self.small.is_empty() && self.checks.is_empty() {
            return Ok(());
        }
        let mut block = self.block()?;
        while block.filled < CHUNK as usize {
            let Some((entry, whole)) = self.next_small() else {
                break;
            };
            let began_at = Instant::now();
            match self.read_small(entry, &mut block) {
                Ok((len, digest)) => {
                    match whole {
                        true => block.chunk(entry, 0, len, digest),
                        false => block.record(Record::End {
                            entry,
                            hash: digest,
                        }),
                    }
                    self.sent(entry, digest, began_at);
                }
                Err(why) => block.record(Record::Failed { entry, why }),
            }
        }
        self.send(block)
    }

    /// And whether its bytes are wanted, besides the hash.
    fn next_small(&mut self) -> Option<(u32, bool)> {
        if let Some(entry) = self.checks.pop_front() {
            return Some((entry, false));
        }
        while let Some((first, last)) = self.small.pop_front() {
            if first < last {
                self.small.push_front((first + 1, last));
            }
            if self.scan.manifest.size(first).is_some() && !self.is_large(first) {
                return Some((first, true));
            }
        }
        None
    }

    fn read_small(&self, entry: u32, block: &mut Block) -> Result<(u32, Digest), Failure> {
        let (file, size, _) = self.open(entry)?;
        let len = hash::chunk_len(size, 0);
        let room = block.room(len);
        file.read_exact_at(room, 0).map_err(broken)?;
        Ok((len, hash::digest(size, 0, room)))
    }

    /// A chunk of each of the large files that have their turn.
    fn large_turn(&mut self) -> Result<(), Gone> {
        while self.active.len() < LARGE_AT_ONCE {
            let Some((entry, ranges)) = self.next_large() else {
                break;
            };
            let began_at = Instant::now();
            match self.open(entry) {
                Ok((file, size, modified)) => self.active.push_back(Large {
                    entry,
                    file,
                    size,
                    modified,
                    next: 0,
                    ranges: ranges.into(),
                    digests: Vec::new(),
                    began_at,
                }),
                Err(why) => self.failed(entry, why)?,
            }
        }
        for _ in 0..self.active.len() {
            let Some(mut large) = self.active.pop_front() else {
                break;
            };
            let mut block = self.block()?;
            match large.read_chunk(&mut block) {
                Err(why) => block.record(Record::Failed {
                    entry: large.entry,
                    why,
                }),
                Ok(()) if large.next < hash::chunks(large.size) => self.active.push_back(large),
                Ok(()) => match large.finish() {
                    Ok(hash) => {
                        let entry = large.entry;
                        block.record(Record::End { entry, hash });
                        self.sent(entry, hash, large.began_at);
                    }
                    Err(why) => block.record(Record::Failed {
                        entry: large.entry,
                        why,
                    }),
                },
            }
            self.send(block)?;
        }
        Ok(())
    }

    fn next_large(&mut self) -> Option<(u32, Vec<(u32, u32)>)> {
        loop {
            match self.large.pop_front()? {
                Job::Parts { entry, ranges } => return Some((entry, ranges)),
                Job::Whole { first, last } => {
                    let Some(entry) = (first..=last).find(|entry| self.is_large(*entry)) else {
                        continue;
                    };
                    if entry < last {
                        let first = entry + 1;
                        self.large.push_front(Job::Whole { first, last });
                    }
                    return Some((entry, vec![(0, u32::MAX)]));
                }
            }
        }
    }

    /// Opens a file that is still what the manifest says.
    fn open(&self, entry: u32) -> Result<(File, u64, Stamp), Failure> {
        let Some(Kind::File { size, modified, .. }) =
            self.scan.manifest.get(entry).map(|entry| &entry.kind)
        else {
            return Err(Failure::Unreadable);
        };
        let mut options = File::options();
        options.read(true);
        let mut flags = rustix::fs::OFlags::NONBLOCK;
        if !self.scan.is_root(entry) {
            // It was no link when it was offered.
            flags |= rustix::fs::OFlags::NOFOLLOW;
        }
        options.custom_flags(flags.bits() as i32);
        let opened = options.open(self.scan.source(entry));
        let file = opened.map_err(|error| {
            let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
            match is_link || error.kind() == io::ErrorKind::NotFound {
                true => Failure::Changed,
                false => Failure::Unreadable,
            }
        })?;
        match is_as(&file, *size, *modified) {
            true => Ok((file, *size, *modified)),
            false => Err(Failure::Changed),
        }
    }

    fn failed(&mut self, entry: u32, why: Failure) -> Result<(), Gone> {
        let mut block = self.block()?;
        block.record(Record::Failed { entry, why });
        self.send(block)
    }

    /// An empty block, once one has come back.
    fn block(&mut self) -> Result<Block, Gone> {
        let mut block = self.spare.blocking_recv().ok_or(Gone)?;
        block.filled = 0;
        Ok(block)
    }

    fn send(&self, block: Block) -> Result<(), Gone> {
        self.blocks.blocking_send(block).map_err(|_| Gone)
    }

    fn sent(&self, entry: u32, hash: Digest, began_at: Instant) {
        // Nobody asks once the transfer is over.
        let _ = self.sent.send(Sent {
            entry,
            hash,
            began_at,
        });
    }
}

impl Large {
    /// Reads and hashes the next chunk, and packs it where it is wanted.
    fn read_chunk(&mut self, block: &mut Block) -> Result<(), Failure> {
        let chunk = self.next;
        let len = hash::chunk_len(self.size, chunk);
        let room = block.room(len);
        let mut hasher = ChunkHasher::new(self.size, chunk);
        let mut at = hash::offset(chunk);
        for part in room.chunks_mut(PART) {
            self.file.read_exact_at(part, at).map_err(broken)?;
            hasher.update(part);
            at += part.len() as u64;
        }
        let digest = hasher.finish();
        self.digests.push(digest);
        self.next += 1;
        while self
            .ranges
            .front()
            .is_some_and(|(from, count)| from.saturating_add(*count) <= chunk)
        {
            self.ranges.pop_front();
        }
        if self.ranges.front().is_some_and(|(from, _)| *from <= chunk) {
            block.chunk(self.entry, chunk, len, digest);
        }
        Ok(())
    }

    fn finish(&self) -> Result<Digest, Failure> {
        match is_as(&self.file, self.size, self.modified) {
            true => Ok(hash::merge(&self.digests)),
            false => Err(Failure::Changed),
        }
    }
}

fn is_as(file: &File, size: u64, modified: Stamp) -> bool {
    file.metadata().is_ok_and(|metadata| {
        metadata.is_file() && metadata.len() == size && walk::modified(&metadata) == modified
    })
}

fn broken(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Changed,
        _ => Failure::Unreadable,
    }
}
