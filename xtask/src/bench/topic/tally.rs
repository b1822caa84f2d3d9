//! What has arrived, and how long it took: shared by all subscribers of one side.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::MESSAGE;

/// Counts until as many have arrived as were asked for.
#[derive(Debug)]
pub(super) struct Tally {
    /// From when times in messages count.
    epoch: Instant,
    heard: Mutex<Heard>,
    complete: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    wanted: usize,
    /// Milliseconds each.
    times: Vec<f64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            heard: Mutex::default(),
            complete: Notify::new(),
        }
    }

    /// A message that says when it was made.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = vec![0; MESSAGE];
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        message[..8].copy_from_slice(&now.to_be_bytes());
        message
    }

    /// One has arrived.
    pub(super) fn arrived(&self, message: &[u8]) {
        let Some(&made_at) = message.first_chunk::<8>() else {
            return;
        };
        let now = self.epoch.elapsed().as_nanos() as f64;
        let mut heard = self.heard();
        heard
            .times
            .push((now - u64::from_be_bytes(made_at) as f64) / 1e6);
        if heard.times.len() == heard.wanted {
            self.complete.notify_one();
        }
    }

    /// Begins to count anew.
    pub(super) fn expect(&self, wanted: usize) {
        *self.heard() = Heard {
            wanted,
            times: Vec::with_capacity(wanted),
        };
    }

    /// Waits until all have arrived; the milliseconds each took, shortest first.
    pub(super) async fn all(&self) -> Vec<f64> {
        self.complete.notified().await;
        let mut times = std::mem::take(&mut self.heard().times);
        times.sort_by(f64::total_cmp);
        times
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
