//! What was asked for and is not read yet.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::files::hash;
use crate::files::walk::Scan;

/// Requests that wait in a queue. Further ones wait in the stream, which holds up who asks.
const MAX_QUEUE: usize = 1024;

/// Something to be sent.
#[derive(Debug, Clone)]
pub(in crate::files) enum Job {
    /// All files with these numbers.
    Whole { first: u32, last: u32 },
    /// These chunks of a file, checked and ascending, and its hash.
    Parts { entry: u32, ranges: Vec<(u32, u32)> },
}

/// Jobs, and which file is next.
pub(super) struct Queue {
    scan: Arc<Scan>,
    small: VecDeque<(u32, u32)>,
    large: VecDeque<Job>,
    /// Files of one chunk of which only the hash is wanted.
    checks: VecDeque<u32>,
}

impl Queue {
    pub(super) fn new(scan: Arc<Scan>) -> Self {
        Self {
            scan,
            small: VecDeque::new(),
            large: VecDeque::new(),
            checks: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.has_small() && self.large.is_empty()
    }

    /// Whether there may be files of one chunk.
    pub(super) fn has_small(&self) -> bool {
        !self.small.is_empty() || !self.checks.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        let longest = self.small.len().max(self.large.len());
        longest.max(self.checks.len()) < MAX_QUEUE
    }

    pub(super) fn push(&mut self, job: Job) {
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

    /// A file of one chunk, and whether its bytes are wanted, besides the hash.
    pub(super) fn next_small(&mut self) -> Option<(u32, bool)> {
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

    /// A file of several chunks, and which of them are wanted.
    pub(super) fn next_large(&mut self) -> Option<(u32, Vec<(u32, u32)>)> {
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
}
