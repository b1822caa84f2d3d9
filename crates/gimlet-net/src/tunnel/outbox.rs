//! Packets that wait to be sent through a tunnel: bounded, and the oldest are dropped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use gimlet_proto::tunnel::{Batch, split_first};

use super::pool::Pool;

/// Bytes that the outboxes of many tunnels hold together.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Budget {
    /// At most this many bytes.
    pub fn new(limit: usize) -> Self {
        let used = Arc::new(AtomicUsize::new(0));
        Self { used, limit }
    }

    /// Bounded by each outbox alone.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.limit
    }

    fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Waiting {
    /// As they will be sent; packets are added to the last one while it has room.
    messages: VecDeque<Batch>,
    bytes: usize,
}

/// See the top of this file. Packets are kept as the messages they will be sent in, so a packet
/// costs one copy and no memory of its own; what is dropped is the oldest message, 64 KiB at most.
#[derive(Debug)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    /// Who sends them; woken once for all that is added before it comes to it.
    ready: AtomicWaker,
    limit: usize,
    budget: Budget,
    pool: Pool,
    dropped: AtomicU64,
}

impl Outbox {
    /// Holds `limit` bytes at most, and less where `budget` is used up.
    pub fn new(limit: usize, budget: Budget, pool: Pool) -> Self {
        Self {
            waiting: Mutex::default(),
            ready: AtomicWaker::new(),
            limit,
            budget,
            pool,
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds the datagrams of one send: `contents` is one, or several of `segment` bytes each but the
    /// last.
    pub fn push(&self, contents: &[u8], segment: Option<usize>) {
        let segment = segment.unwrap_or(contents.len()).max(1);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.bytes;
        for packet in contents.chunks(segment) {
            if !self.budget.has_room() || !waiting.push(packet, &self.pool) {
                self.count(1);
            }
        }
        while waiting.bytes > self.limit {
            let oldest = waiting.pop().unwrap_or_default();
            self.count(packets(oldest.message()));
        }
        let after = waiting.bytes;
        drop(waiting);
        match after.checked_sub(before) {
            Some(more) => self.budget.take(more),
            None => self.budget.give(before - after),
        }
        if after > 0 {
            self.ready.wake();
        }
    }

    /// The next message, once there is one. One task at a time may wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn next(&self) -> Batch {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Batch> {
        if let Some(message) = self.take() {
            return Poll::Ready(message);
        }
        self.ready.register(cx.waker());
        // One may have come before the waker did.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Packets dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let message = waiting.pop()?;
        self.budget.give(message.len());
        Some(message)
    }

    fn count(&self, packets: u64) {
        self.dropped.fetch_add(packets, Ordering::Relaxed);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let waiting = self.waiting.get_mut();
        self.budget
            .give(waiting.unwrap_or_else(PoisonError::into_inner).bytes);
    }
}

impl Waiting {
    /// Whether the packet is one, and was added.
    fn push(&mut self, packet: &[u8], pool: &Pool) -> bool {
        let before = self.messages.back().map_or(0, Batch::len);
        if self
            .messages
            .back_mut()
            .is_some_and(|last| last.push(packet))
        {
            let after = self.messages.back().map_or(0, Batch::len);
            self.bytes += after - before;
            return true;
        }
        let mut message = Batch::within(pool.get());
        let added = message.push(packet);
        if added {
            self.bytes += message.len();
            self.messages.push_back(message);
        }
        added
    }

    fn pop(&mut self) -> Option<Batch> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

fn packets(mut message: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((_, rest)) = split_first(message) {
        message = rest;
        count += 1;
    }
    count
}
