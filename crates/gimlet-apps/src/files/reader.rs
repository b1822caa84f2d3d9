//! The sender's thread: reads and hashes what is asked for, and packs it into blocks.
//!
//! Files of one chunk go in batches, larger ones a chunk at a time, [`LARGE_AT_ONCE`] of them in
//! turn; so no file waits for a large one. Nothing is read before it is asked for, and nothing twice. What
//! the receiver has of a file is hashed, too, while what it wants is on its way.

mod block;
mod large;
mod queue;
mod source;

use std::collections::VecDeque;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::hash::{self, CHUNK, Digest};
use super::record::{Failure, Record};
use super::walk::Scan;
use block::{Block, Blocks, Lifeline};
use large::Large;
use queue::Queue;
use source::{Source, broken};

pub(super) use queue::Job;

/// Files of more than a chunk that are read in turn.
const LARGE_AT_ONCE: usize = 3;

/// A file has been sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) entry: u32,
    pub(super) hash: Digest,
    pub(super) began_at: Instant,
}

/// Whoever sends the blocks is gone.
struct Gone;

/// The thread's state.
pub(super) struct Reader {
    scan: Arc<Scan>,
    queue: Queue,
    active: VecDeque<Large>,
    blocks: Blocks,
    filled: mpsc::Sender<Bytes>,
    sent: mpsc::UnboundedSender<Sent>,
}

impl Reader {
    pub(super) fn new(
        scan: Arc<Scan>,
        filled: mpsc::Sender<Bytes>,
        sent: mpsc::UnboundedSender<Sent>,
    ) -> Self {
        Self {
            queue: Queue::new(scan.clone()),
            scan,
            active: VecDeque::new(),
            blocks: Blocks::new(),
            filled,
            sent,
        }
    }

    /// What keeps the thread going: drop it when nothing is sent any more.
    pub(super) fn lifeline(&self) -> Lifeline {
        self.blocks.lifeline()
    }

    /// Works until no more is asked for, or nobody sends what is read.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            if self.queue.is_empty() && self.active.is_empty() {
                let Some(job) = jobs.blocking_recv() else {
                    return;
                };
                self.queue.push(job);
            }
            while self.queue.has_room() {
                let Ok(job) = jobs.try_recv() else { break };
                self.queue.push(job);
            }
            let done = self.small_turn().and_then(|()| self.large_turn());
            if done.is_err() {
                return;
            }
        }
    }

    /// A batch of files of one chunk.
    fn small_turn(&mut self) -> Result<(), Gone> {
        if !self.queue.has_small() {
            return Ok(());
        }
        let mut block = self.block()?;
        while block.len() < CHUNK as usize {
            let Some((entry, whole)) = self.queue.next_small() else {
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

    fn read_small(&self, entry: u32, block: &mut Block) -> Result<(u32, Digest), Failure> {
        let source = Source::open(&self.scan, entry)?;
        let len = hash::chunk_len(source.size, 0);
        let room = block.room(len);
        source.file.read_exact_at(room, 0).map_err(broken)?;
        Ok((len, hash::digest(source.size, 0, room)))
    }

    /// A chunk of each of the large files that have their turn, to be sent if it can be.
    fn large_turn(&mut self) -> Result<(), Gone> {
        while self.active.len() < LARGE_AT_ONCE {
            let Some((entry, ranges)) = self.queue.next_large() else {
                break;
            };
            let began_at = Instant::now();
            match Source::open(&self.scan, entry) {
                Ok(source) => {
                    let large = Large::new(entry, source, ranges, began_at);
                    self.active.push_back(large);
                }
                Err(why) => self.failed(entry, why)?,
            }
        }
        for _ in 0..self.active.len() {
            let Some(mut large) = self.active.pop_front() else {
                break;
            };
            if self.filled.is_closed() {
                return Err(Gone);
            }
            let waits = self.filled.capacity() == 0;
            if large.has_rest() && (waits || !large.has_wanted()) {
                let hashed = large.hash_chunk();
                self.after_chunk(large, hashed, None)?;
            } else {
                let mut block = self.block()?;
                let read = large.read_chunk(&mut block);
                self.after_chunk(large, read, Some(block))?;
            }
        }
        Ok(())
    }

    /// A chunk of the file was read, perhaps its last, perhaps into a block.
    fn after_chunk(
        &mut self,
        large: Large,
        read: Result<(), Failure>,
        block: Option<Block>,
    ) -> Result<(), Gone> {
        let (entry, began_at) = (large.entry, large.began_at);
        let ended = match read {
            Ok(()) if !large.is_read() => {
                self.active.push_back(large);
                return block.map_or(Ok(()), |block| self.send(block));
            }
            Ok(()) => large.finish(),
            Err(why) => Err(why),
        };
        let mut block = match block {
            Some(block) => block,
            None => self.block()?,
        };
        match ended {
            Ok(hash) => {
                block.record(Record::End { entry, hash });
                self.sent(entry, hash, began_at);
            }
            Err(why) => block.record(Record::Failed { entry, why }),
        }
        self.send(block)
    }

    fn failed(&mut self, entry: u32, why: Failure) -> Result<(), Gone> {
        let mut block = self.block()?;
        block.record(Record::Failed { entry, why });
        self.send(block)
    }

    /// An empty block, once there is one.
    fn block(&mut self) -> Result<Block, Gone> {
        self.blocks.take().ok_or(Gone)
    }

    fn send(&self, block: Block) -> Result<(), Gone> {
        let sent = self.filled.blocking_send(block.into_bytes());
        sent.map_err(|_| Gone)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::record;

    /// What comes of a file of five chunks of which these are wanted.
    fn read(ranges: Vec<(u32, u32)>) -> Vec<Record> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..5 * CHUNK).map(|n| (n >> 4) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let scan = Arc::new(Scan::of(&[path]).unwrap());
        let (jobs, wanted) = mpsc::channel(1);
        let (filled_by, mut filled) = mpsc::channel(1);
        let (sent_by, _sent) = mpsc::unbounded_channel();
        let reader = Reader::new(scan, filled_by, sent_by);
        let thread = std::thread::spawn(move || reader.run(wanted));
        jobs.blocking_send(Job::Parts { entry: 0, ranges }).unwrap();
        drop(jobs);
        let mut records = Vec::new();
        while let Some(block) = filled.blocking_recv() {
            assert!(!block.is_empty(), "what is only hashed needs no block");
            let mut rest = &block[..];
            while let Some((record, data)) = record::next(&mut rest).unwrap() {
                if let Record::Chunk(chunk) = record {
                    let from = hash::offset(chunk.chunk) as usize;
                    assert!(*data == content[from..from + data.len()]);
                }
                records.push(record);
            }
        }
        thread.join().unwrap();
        let end = records.pop();
        let hash = *blake3::hash(&content).as_bytes();
        assert_eq!(end, Some(Record::End { entry: 0, hash }));
        records
    }

    #[test]
    fn what_is_wanted_comes_and_the_hash_is_that_of_all() {
        for (ranges, chunks) in [
            (vec![(0, u32::MAX)], vec![0, 1, 2, 3, 4]),
            (vec![(1, 2), (4, 1)], vec![1, 2, 4]),
            (vec![(4, 1)], vec![4]),
            (vec![], vec![]),
        ] {
            let records = read(ranges).into_iter().map(|record| match record {
                Record::Chunk(chunk) => chunk.chunk,
                record => panic!("{record:?}"),
            });
            assert_eq!(Vec::from_iter(records), chunks);
        }
    }

    #[test]
    fn nobody_hashes_for_a_transfer_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![1; 5 * CHUNK as usize]).unwrap();
        let scan = Arc::new(Scan::of(&[path]).unwrap());
        let (filled_by, filled) = mpsc::channel(1);
        let (sent_by, _sent) = mpsc::unbounded_channel();
        let mut reader = Reader::new(scan, filled_by, sent_by);
        let ranges = Vec::new();
        reader.queue.push(Job::Parts { entry: 0, ranges });
        assert!(reader.large_turn().is_ok());
        drop(filled);
        assert!(reader.large_turn().is_err());
    }
}
