//! What the system dropped from the sockets of single senders.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Who is watched. The lock is taken when an annex opens and when the system's table was read, never for
/// a packet.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    watched: Mutex<Vec<(SocketAddr, Weak<AtomicU64>)>>,
}

/// What one sender lost.
#[derive(Debug)]
pub(super) struct Loss {
    total: Arc<AtomicU64>,
    seen: u64,
}

impl Losses {
    /// Watches what comes from here, from now on.
    pub(super) fn watch(&self, source: SocketAddr) -> Loss {
        let total = Arc::default();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(_, total)| total.strong_count() > 0);
        watched.push((source, Arc::downgrade(&total)));
        Loss { total, seen: 0 }
    }

    /// The system says that a socket for this sender has dropped so many.
    pub(super) fn note(&self, source: SocketAddr, total: u64) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |at: &SocketAddr| at.ip() == source.ip() && at.port() == source.port();
        let found = watched.iter().filter(|(at, _)| same(at));
        for counter in found.filter_map(|(_, counter)| counter.upgrade()) {
            counter.store(total, Ordering::Relaxed);
        }
    }
}

impl Loss {
    /// What was lost since this was last asked.
    pub(super) fn since(&mut self) -> u64 {
        let total = self.total.load(Ordering::Relaxed);
        total.saturating_sub(std::mem::replace(&mut self.seen, total))
    }
}
