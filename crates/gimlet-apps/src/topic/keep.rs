//! The messages kept for subscribers who are slow or away: one log, numbered by topic, bounded in time
//! and size.
//!
//! A message is staged (it gets its number), perhaps written to disk, and then added, which makes it
//! visible. Of all messages the oldest goes first, whatever its topic. A topic's numbering has an
//! *epoch*, drawn when its first message is published: a publisher that has lost its numbers draws
//! another one, so that nobody takes new messages for old ones.
//!
//! Invariants: numbers of a topic only grow; a number names one message for ever, or none.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::wire::{MESSAGE_PREFIX, ToSubscriber};
use super::{MAX_MESSAGE, PublishError, Topic};
use crate::records::HEADER;

/// Topics of one publisher. Each is remembered with its numbering, also when nothing of it is kept.
const MAX_TOPICS: usize = 4096;

/// What a message costs beside its payload, counted with it: or millions of empty ones would be free.
const OVERHEAD: usize = 128;

/// For how long, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages older than this are dropped. Default 10 minutes: a subscriber that was restarted, or
    /// moved to another network, misses nothing.
    pub keep: Duration,
    /// Bytes kept, of all topics together. Default 64 MiB.
    pub keep_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(600),
            keep_bytes: 64 << 20,
        }
    }
}

/// A message with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) topic: Topic,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) published_at: SystemTime,
    /// As it goes on the wire, encoded once for all subscribers.
    pub(super) record: Bytes,
}

impl Kept {
    pub(super) fn new(
        topic: Topic,
        epoch: u64,
        seq: u64,
        published_at: SystemTime,
        payload: Bytes,
    ) -> Self {
        let message = ToSubscriber::Message {
            seq,
            published_at,
            payload,
        };
        Self {
            topic,
            epoch,
            seq,
            published_at,
            record: message.encode(),
        }
    }

    pub(super) fn payload(&self) -> Bytes {
        self.record.slice(HEADER + MESSAGE_PREFIX..)
    }

    fn cost(&self) -> usize {
        self.record.len() + OVERHEAD
    }
}

/// What stands at a number, or behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// That message.
    Message(&'a Kept),
    /// It and so many in all are gone; the next is kept, or not published yet.
    Gone { count: u64 },
    /// Nothing yet.
    UpToDate,
}

/// A topic's numbering.
#[derive(Debug)]
struct Line {
    epoch: u64,
    /// The number of the next message added, or of one that is staged.
    staged: u64,
    /// All below are added or lost.
    next: u64,
    kept: VecDeque<Kept>,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Keep {
    limits: Limits,
    lines: BTreeMap<Topic, Line>,
    /// The topic of every message kept, oldest first.
    order: VecDeque<Topic>,
    bytes: usize,
    /// Where epochs come from.
    seed: u64,
}

impl Keep {
    /// Empty. `seed` must be drawn at random: epochs follow from it.
    pub(super) fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            lines: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            seed,
        }
    }

    /// Gives a message its number. It is [`add`](Self::add)ed in the order of the numbers, or lost.
    pub(super) fn stage(
        &mut self,
        topic: &Topic,
        payload: Bytes,
        now: SystemTime,
    ) -> Result<Kept, PublishError> {
        if payload.len() > MAX_MESSAGE {
            return Err(PublishError::TooLong);
        }
        if !self.lines.contains_key(topic) {
            if self.lines.len() >= MAX_TOPICS {
                return Err(PublishError::TooManyTopics);
            }
            let epoch = self.draw_epoch();
            self.lines.insert(topic.clone(), Line::new(epoch));
        }
        let line = self.lines.get_mut(topic).expect("inserted above");
        let seq = line.staged;
        line.staged += 1;
        Ok(Kept::new(topic.clone(), line.epoch, seq, now, payload))
    }

    /// Makes a message visible. [`handle_timeout`](Self::handle_timeout) drops what there is no room
    /// for any more, once readers have had their chance.
    pub(super) fn add(&mut self, kept: Kept) {
        let line = (self.lines.entry(kept.topic.clone())).or_insert_with(|| Line::new(kept.epoch));
        // What a file says may be nonsense: numbers grow within an epoch, and epochs don't come back.
        if line.epoch != kept.epoch || kept.seq < line.next || kept.seq == u64::MAX {
            return;
        }
        line.next = kept.seq + 1;
        line.staged = line.staged.max(line.next);
        self.bytes += kept.cost();
        self.order.push_back(kept.topic.clone());
        line.kept.push_back(kept);
    }

    /// What stands at this number of this epoch; `None` where there is no such numbering.
    pub(super) fn find(&self, topic: &Topic, seq: u64) -> Option<Found<'_>> {
        let line = self.lines.get(topic)?;
        let index = line.kept.partition_point(|kept| kept.seq < seq);
        Some(match line.kept.get(index) {
            Some(kept) if kept.seq == seq => Found::Message(kept),
            Some(kept) => Found::Gone {
                count: kept.seq - seq,
            },
            None if seq < line.next => Found::Gone {
                count: line.next - seq,
            },
            None => Found::UpToDate,
        })
    }

    /// A topic's epoch, the first number kept, and the next one to come.
    pub(super) fn line(&self, topic: &Topic) -> Option<(u64, u64, u64)> {
        let line = self.lines.get(topic)?;
        let first = line.kept.front().map_or(line.next, |kept| kept.seq);
        Some((line.epoch, first, line.next))
    }

    /// Drops what is too old or too much.
    pub(super) fn handle_timeout(&mut self, now: SystemTime) {
        while self.bytes > self.limits.keep_bytes || self.poll_timeout().is_some_and(|at| at <= now)
        {
            let Some(line) = self
                .order
                .pop_front()
                .map(|topic| self.lines.get_mut(&topic))
            else {
                return;
            };
            let gone = line.and_then(|line| line.kept.pop_front());
            self.bytes -= gone.map_or(0, |gone| gone.cost());
        }
    }

    /// When the oldest message is too old.
    pub(super) fn poll_timeout(&self) -> Option<SystemTime> {
        let line = self.lines.get(self.order.front()?)?;
        let oldest = line.kept.front()?;
        oldest.published_at.checked_add(self.limits.keep)
    }

    /// Never 0, which stands for no numbering at all.
    fn draw_epoch(&mut self) -> u64 {
        // SplitMix64: distinct for every topic, and not to be guessed to be another publisher's.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

impl Line {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            staged: 1,
            next: 1,
            kept: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests;
