//! A look at a running server, and a hand on its limits.

use std::sync::Arc;

use gimlet_proto::rendezvous::Event;
use gimlet_proto::stats::Summary;
use tokio::sync::{broadcast, watch};

use crate::counters::{Counters, Snapshot};
use crate::limits::Limits;

/// Counters, events and limits of a server, before, while and after it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stats: watch::Sender<Summary>,
    pub(crate) limits: watch::Sender<Limits>,
}

impl ServerHandle {
    /// The counters now.
    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// What clients have reported of their attempts, as of the last report.
    pub fn stats(&self) -> Summary {
        self.stats.borrow().clone()
    }

    /// The limits that hold.
    pub fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    /// Changes the limits, at once. What was used so far stays used, and no session ends.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.send_replace(limits);
    }

    /// What happens from now on. A receiver that is slow by 1,024 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
