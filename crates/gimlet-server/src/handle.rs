//! A look at a running server.

use std::sync::Arc;

use gimlet_proto::rendezvous::Event;
use gimlet_proto::stats::Summary;
use tokio::sync::{broadcast, watch};

use crate::counters::{Counters, Snapshot};

/// Counters and events of a server, before, while and after it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stats: watch::Sender<Summary>,
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

    /// What happens from now on. A receiver that is slow by 1,024 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
