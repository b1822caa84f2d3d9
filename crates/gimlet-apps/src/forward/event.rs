//! What happens to flows, for whoever wants to show or count it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gimlet::PeerId;
use tokio::sync::broadcast;

use super::destination::Destination;
use super::failure::FlowError;
use super::service::ServiceName;

/// Events that a slow listener may fall behind by: what a thousand connections at once have to tell.
const MAX_EVENTS: usize = 4096;

/// Something happened. Later versions add variants.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A connection was made, or the first datagram of a sender came.
    Opened(Flow),
    /// It is over.
    Closed {
        /// Which one.
        flow: Flow,
        /// What it carried.
        traffic: Traffic,
        /// Why, where it did not end by itself.
        failure: Option<FlowError>,
    },
}

impl Event {
    /// With whom.
    pub fn peer(&self) -> PeerId {
        match self {
            Self::Opened(flow) | Self::Closed { flow, .. } => flow.peer,
        }
    }
}

/// One connection, or the datagrams of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Tells this side's flows apart; counts from 1.
    pub number: u64,
    /// Who is at the other end of the session.
    pub peer: PeerId,
    /// Where it leads.
    pub goal: Goal,
    /// Whether it is datagrams.
    pub is_udp: bool,
    /// The program of this host that it is for; `None` at the side that serves it.
    pub from: Option<String>,
}

/// Where a flow leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// To a service by name.
    Service(ServiceName),
    /// To wherever somebody wanted.
    Destination(Destination),
    /// To many places, a datagram here and one there.
    Destinations,
}

/// Bytes moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To the peer.
    pub sent: u64,
    /// From the peer.
    pub received: u64,
    /// Datagrams that were not sent on, because there was no room or they were not allowed.
    pub dropped: u64,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => service.fmt(f),
            Self::Destination(destination) => destination.fmt(f),
            Self::Destinations => f.write_str("several destinations"),
        }
    }
}

/// Announces what happens.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    last: Arc<AtomicU64>,
}

/// A flow whose end is still to be announced.
#[derive(Debug)]
#[must_use = "its end is to be announced"]
pub(crate) struct Open {
    flow: Flow,
    sender: broadcast::Sender<Event>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(MAX_EVENTS),
            last: Arc::default(),
        }
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    pub(crate) fn opened(
        &self,
        peer: PeerId,
        goal: Goal,
        is_udp: bool,
        from: Option<String>,
    ) -> Open {
        let flow = Flow {
            number: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            goal,
            is_udp,
            from,
        };
        // An error, here and below, means that nobody listens.
        let _ = self.sender.send(Event::Opened(flow.clone()));
        let sender = self.sender.clone();
        Open { flow, sender }
    }
}

impl Open {
    pub(crate) fn closed(self, traffic: Traffic, ended: Result<(), FlowError>) {
        let Self { flow, sender } = self;
        let failure = ended.err();
        if let Some(failure) = &failure {
            tracing::debug!(peer = %flow.peer.short(), goal = %flow.goal, %failure, "flow failed");
        }
        let _ = sender.send(Event::Closed {
            flow,
            traffic,
            failure,
        });
    }
}
