//! One subscriber's place in the log, and how much may be under way to it.
//!
//! What was sent and not said to be taken is bounded by a window. So a slow subscriber holds a window of
//! messages and no more; the log goes on without it, and when it comes back to reading it is told how
//! many it has missed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Topic;
use super::keep::{Found, Keep};
use super::wire::{Start, ToSubscriber};
use crate::records::{HEADER, Violation};

/// Messages under way to one subscriber: as many small ones as fill a long round trip.
const WINDOW: usize = 1024;

/// Bytes under way to one subscriber; one message goes always. Held for it even where the log has
/// dropped them, so it must not be much.
const WINDOW_BYTES: usize = 4 << 20;

/// How long a subscriber may take for one message. Who reads nothing for so long has hung, and comes
/// back to the same place.
const STALLED: Duration = Duration::from_secs(60);

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Reader {
    topic: Topic,
    place: Place,
    /// Number and size of what is under way.
    under_way: VecDeque<(u64, usize)>,
    bytes: usize,
    /// Since when nothing was taken, while something is under way.
    waiting_since: Option<Instant>,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not told yet where it begins.
    Start(Start),
    /// There was no such topic; everything of it will be new.
    Before,
    /// Here: the number of the next message, in this epoch.
    At { epoch: u64, next: u64 },
}

impl Reader {
    pub(super) fn new(topic: Topic, start: Start) -> Self {
        Self {
            topic,
            place: Place::Start(start),
            under_way: VecDeque::new(),
            bytes: 0,
            waiting_since: None,
        }
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The next record to send, if there is one and room for it.
    pub(super) fn next(&mut self, keep: &Keep, now: Instant) -> Option<Bytes> {
        let line = keep.line(&self.topic);
        let (epoch, next) = match (self.place, line) {
            (Place::At { epoch, next }, Some((current, ..))) if epoch == current => (epoch, next),
            (Place::Before, None) => return None,
            (Place::Start(_), None) => {
                self.place = Place::Before;
                return Some(ToSubscriber::Line { epoch: 0, next: 1 }.encode());
            }
            // Numberings never go while their publisher runs.
            (Place::At { .. }, None) => return None,
            (place, Some((epoch, first, end))) => {
                let next = begin(place, epoch, first, end);
                self.place = Place::At { epoch, next };
                return Some(ToSubscriber::Line { epoch, next }.encode());
            }
        };
        let (record, passed) = match keep.find(&self.topic, next)? {
            Found::UpToDate => return None,
            // Only where the message behind it goes out as well: while there is no room, more may go, and
            // each would be told of.
            Found::Gone { .. } if !self.has_room(HEADER + ToSubscriber::MAX_BODY) => return None,
            Found::Gone { count } => (ToSubscriber::Missed { count }.encode(), count),
            Found::Message(kept) => {
                if !self.has_room(kept.record.len()) {
                    return None;
                }
                self.under_way.push_back((next, kept.record.len()));
                self.bytes += kept.record.len();
                self.waiting_since.get_or_insert(now);
                (kept.record.clone(), 1)
            }
        };
        let next = next + passed;
        self.place = Place::At { epoch, next };
        Some(record)
    }

    /// The subscriber has everything up to this number.
    pub(super) fn handle_taken(&mut self, seq: u64, now: Instant) -> Result<(), Violation> {
        match self.place {
            Place::At { next, .. } if seq < next => (),
            Place::At { .. } | Place::Start(_) | Place::Before => return Err(Violation),
        }
        while let Some(&(sent, size)) = self.under_way.front().filter(|(sent, _)| *sent <= seq) {
            debug_assert!(sent <= seq);
            self.under_way.pop_front();
            self.bytes -= size;
        }
        self.waiting_since = (!self.under_way.is_empty()).then_some(now);
        Ok(())
    }

    /// Whether it has everything that there is.
    pub(super) fn is_up_to_date(&self, keep: &Keep) -> bool {
        let behind = match (self.place, keep.line(&self.topic)) {
            (_, None) => false,
            (Place::At { epoch, next }, Some((current, _, end))) => epoch != current || next < end,
            (Place::Start(_) | Place::Before, Some(_)) => true,
        };
        self.under_way.is_empty() && !behind
    }

    /// Whether it has taken nothing for too long.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        let waits = |since| now.saturating_duration_since(since) >= STALLED;
        self.waiting_since.is_some_and(waits)
    }

    fn has_room(&self, size: usize) -> bool {
        self.under_way.is_empty()
            || (self.under_way.len() < WINDOW && self.bytes + size <= WINDOW_BYTES)
    }
}

/// The number of the first message for a reader that knows no numbering, or another one.
fn begin(place: Place, epoch: u64, first: u64, end: u64) -> u64 {
    match place {
        Place::Start(Start::Kept) => first,
        Place::Start(Start::New) => end,
        // What a publisher has lost of its own numbers is published again under them.
        Place::Start(Start::After(position)) if position.epoch == epoch => {
            position.seq.saturating_add(1).clamp(1, end)
        }
        // All of it is new to it, and what is gone was missed.
        Place::Start(Start::After(_)) | Place::Before | Place::At { .. } => 1,
    }
}

#[cfg(test)]
mod tests;
