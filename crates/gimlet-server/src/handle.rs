//! A look at a running server.

use std::sync::Arc;

use gimlet_proto::rendezvous::Event;
use tokio::sync::broadcast;

use crate::counters::{Counters, Snapshot};

/// Counters and events of a server, before, while and after it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: broadcast::Sender<Event>,
}

impl ServerHandle {
    /// The counters now.
    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// What happens from now on. A receiver that is slow by 1,024 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
