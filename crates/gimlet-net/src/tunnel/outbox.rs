//! Packets that wait to be sent through a tunnel: bounded, and the oldest are dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gimlet_proto::tunnel::{LENGTH_LEN, MAX_MESSAGE, MAX_PACKET, push, split_first};
use tokio::sync::Notify;

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
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// See the top of this file. Packets are kept as the messages they will be sent in, so a packet
/// costs one copy and no memory of its own; what is dropped is the oldest message, 64 KiB at most.
#[derive(Debug)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    ready: Notify,
    limit: usize,
    budget: Budget,
    dropped: AtomicU64,
}

impl Outbox {
    /// Holds `limit` bytes at most, and less where `budget` is used up.
    pub fn new(limit: usize, budget: Budget) -> Self {
        Self {
            waiting: Mutex::default(),
            ready: Notify::new(),
            limit,
            budget,
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
            match packet.len() <= MAX_PACKET && self.budget.has_room() {
                true => waiting.push(packet),
                false => self.count(1),
            }
        }
        while waiting.bytes > self.limit {
            let oldest = waiting.pop().unwrap_or_default();
            self.count(packets(&oldest));
        }
        let after = waiting.bytes;
        drop(waiting);
        match after.checked_sub(before) {
            Some(more) => self.budget.take(more),
            None => self.budget.give(before - after),
        }
        if after > 0 {
            self.ready.notify_one();
        }
    }

    /// The next message, once there is one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn next(&self) -> Bytes {
        loop {
            if let Some(message) = self.take() {
                return Bytes::from(message);
            }
            self.ready.notified().await;
        }
    }

    /// Packets dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self) -> Option<Vec<u8>> {
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
    fn push(&mut self, packet: &[u8]) {
        let length = |message: Option<&Vec<u8>>| message.map_or(0, Vec::len);
        let before = length(self.messages.back());
        if before == 0 || before + LENGTH_LEN + packet.len() > MAX_MESSAGE {
            self.messages.push_back(Vec::new());
        }
        let Some(last) = self.messages.back_mut() else {
            return;
        };
        let before = last.len();
        if push(last, packet) {
            self.bytes += last.len() - before;
        }
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
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
