//! Packets that wait to be sent through a tunnel: bounded, and the oldest are dropped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use gimlet_proto::tunnel::Batch;

use tokio::time::Instant;

use super::pool::Pool;

/// What waits longer is dropped, where more waits than the limit. On a fast line the limit is full in a
/// moment in which a task did not run, and dropping then would slow down what has no queue at all.
const MAX_AGE: Duration = Duration::from_millis(40);

/// So many times the limit is dropped at any age: 8 MiB at a server leave in 40 ms at 1.7 Gbit/s. With a
/// quarter of it, processes that share two cores lost packets whenever one had to wait for its turn.
const MAX_GROWTH: usize = 16;

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

    /// So many times its limit an outbox may hold. The first half is for whoever comes; the other is
    /// kept for the limits of all, so that a few that stop reading do not take it from them.
    fn growth(&self) -> usize {
        match self.used.load(Ordering::Relaxed) < self.limit / 2 {
            true => MAX_GROWTH,
            false => 1,
        }
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
    messages: VecDeque<Aging>,
    bytes: usize,
}

#[derive(Debug)]
struct Aging {
    /// When its first packet came.
    since: Instant,
    batch: Batch,
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
    /// Holds `limit` bytes, more while they are young, and less where `budget` is used up.
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
        let now = Instant::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.bytes;
        for packet in contents.chunks(segment) {
            if !self.budget.has_room() || !waiting.push(packet, now, &self.pool) {
                self.count(1);
            }
        }
        let growth = self.budget.growth();
        while waiting.is_too_much(self.limit, growth, now) {
            let oldest = waiting.pop().unwrap_or_default();
            self.count(oldest.packets() as u64);
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

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner).bytes
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
    fn push(&mut self, packet: &[u8], now: Instant, pool: &Pool) -> bool {
        if let Some(last) = self.messages.back_mut() {
            let before = last.batch.len();
            if last.batch.push(packet) {
                self.bytes += last.batch.len() - before;
                return true;
            }
        }
        let mut batch = Batch::within(pool.get());
        let added = batch.push(packet);
        if added {
            self.bytes += batch.len();
            self.messages.push_back(Aging { since: now, batch });
        }
        added
    }

    fn is_too_much(&self, limit: usize, growth: usize, now: Instant) -> bool {
        let oldest = self.messages.front();
        let is_old = oldest.is_some_and(|oldest| now > oldest.since + MAX_AGE);
        self.bytes > limit && (is_old || self.bytes > growth * limit)
    }

    fn pop(&mut self) -> Option<Batch> {
        let oldest = self.messages.pop_front()?;
        self.bytes -= oldest.batch.len();
        Some(oldest.batch)
    }
}
