//! Whose turn it is: the queue that all senders share, or the queue of one that has its own.
//!
//! Deficit round robin, with the shared queue going first. After each turn of it every other queue is owed what an
//! average sender in it got, and is served as soon as anything is owed. When the shared queue is empty, the others are
//! served one after the other: nothing is left idle. So who sends little waits for nobody but others
//! that send little, and who sends much gets an equal part at least and what is left over at most.
//!
//! Empty queues don't always mean that something is left over: a process that waits for a processor finds
//! its queue full, empties it at once, and loses what comes while it waits again. So turns can be *held*
//! for a while: then the others get what they are owed and no more. What they had of the shared queue, before they
//! were taken out of it, is taken off; what was left over is not.

use std::collections::VecDeque;
use std::time::Instant;

/// Most that a queue is owed: it has had nothing to send, or would have been served.
const MAX_OWED: i64 = 512 * 1024;

/// Most that a queue is charged: what the system's buffer holds, all of which may be its.
const MAX_CHARGED: i64 = 8 << 20;

/// One queue besides the shared one.
pub type QueueId = u64;

/// The turns of one shard.
#[derive(Debug, Default)]
pub struct Turns {
    /// As many as the shard has opened. The one whose turn it is next comes first.
    queues: VecDeque<Queue>,
    held_until: Option<Instant>,
}

#[derive(Debug)]
struct Queue {
    id: QueueId,
    owed: i64,
}

impl Turns {
    /// There is a queue of this name now.
    pub fn open(&mut self, id: QueueId) {
        self.queues.push_back(Queue { id, owed: 0 });
    }

    /// Its sender has used so much of the shared queue.
    pub fn charge(&mut self, id: QueueId, cost: u64) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.id == id) {
            let cost = i64::try_from(cost).unwrap_or(MAX_CHARGED);
            queue.owed = queue.owed.saturating_sub(cost).max(-MAX_CHARGED);
        }
    }

    /// It is gone.
    pub fn close(&mut self, id: QueueId) {
        self.queues.retain(|queue| queue.id != id);
    }

    /// Which queue is to be looked at before the shared one.
    pub fn owed(&self) -> Option<QueueId> {
        let owed = self.queues.iter().find(|queue| queue.owed > 0);
        owed.map(|queue| queue.id)
    }

    /// Which queues are to be looked at once the shared one is found empty, in this order. None while held.
    pub fn rest(&self, now: Instant) -> impl Iterator<Item = QueueId> {
        let count = match self.held(now) {
            Some(_) => 0,
            None => self.queues.len(),
        };
        self.queues.iter().take(count).map(|queue| queue.id)
    }

    /// What is left over is nobody's until then.
    pub fn hold(&mut self, until: Instant) {
        self.held_until = self.held_until.max(Some(until));
    }

    /// When to look again at queues that are held now.
    pub fn held(&self, now: Instant) -> Option<Instant> {
        self.held_until
            .filter(|until| *until > now && !self.queues.is_empty())
    }

    /// The shared queue, into which [so many](super::Lane::senders) send, had a turn.
    pub fn shared(&mut self, cost: u64, senders: u64) {
        let part = i64::try_from(cost / senders.max(1)).unwrap_or(MAX_OWED);
        for queue in &mut self.queues {
            queue.owed = queue.owed.saturating_add(part).min(MAX_OWED);
        }
    }

    /// This queue had a turn. It goes to the end.
    pub fn own(&mut self, id: QueueId, cost: u64) {
        let Some(at) = self.queues.iter().position(|queue| queue.id == id) else {
            return;
        };
        if let Some(mut queue) = self.queues.remove(at) {
            let cost = i64::try_from(cost).unwrap_or(MAX_OWED);
            // What it got because nobody else wanted it costs nothing.
            if queue.owed > 0 {
                queue.owed = queue.owed.saturating_sub(cost);
            }
            self.queues.push_back(queue);
        }
    }

    /// This queue was found empty: it has missed nothing.
    pub fn empty(&mut self, id: QueueId) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.id == id) {
            queue.owed = queue.owed.min(0);
        }
    }
}

#[cfg(test)]
mod tests;
