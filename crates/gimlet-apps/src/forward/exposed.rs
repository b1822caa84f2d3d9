//! The side of the services: which there are, and who may use them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use gimlet::{Connection, PeerId};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::MAX_FLOWS;
use super::census::Census;
use super::event::{Event, Events};
use super::exit::Exit;
use super::failure::FlowError;
use super::far;
use super::link::Session;
use super::place::Place;
use super::service::ServiceName;
use super::splice::Stream;

/// Who may use a service, of those whom the endpoint's own policy lets in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Allow {
    /// All of them. The default.
    #[default]
    Everyone,
    /// These keys.
    Only(HashSet<PeerId>),
}

impl Allow {
    pub(super) fn allows(&self, peer: PeerId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Only(peers) => peers.contains(&peer),
        }
    }
}

/// Services that peers may use by name, and the way out if there is one.
#[derive(Debug)]
pub struct Exposed {
    services: BTreeMap<ServiceName, (Place, Allow)>,
    exit: Option<Exit>,
    census: Census,
    events: Events,
}

impl Exposed {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            services: BTreeMap::new(),
            exit: None,
            census: Census::default(),
            events: Events::new(),
        }
    }

    /// Exposes a service. A second one of the same name replaces the first.
    pub fn service(mut self, name: ServiceName, place: Place, allow: Allow) -> Self {
        self.services.insert(name, (place, allow));
        self
    }

    /// Lets peers reach destinations of their own choice, within the exit's rules. Default: none.
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = Some(exit);
        self
    }

    /// The services and where they are.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &Place)> {
        self.services.iter().map(|(name, (place, _))| (name, place))
    }

    /// What happens to flows. A receiver that falls behind by 4,096 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Serves a connection of [`ALPN`](super::ALPN) to its end. A peer has 1,024 flows at most.
    pub async fn serve(self: Arc<Self>, connection: Connection) {
        let session = Session::new(connection.clone());
        let mut flows = JoinSet::new();
        connection.limit_streams(MAX_FLOWS as u32);
        loop {
            tokio::select! {
                stream = connection.accept_bi() => {
                    let Ok((send, recv)) = stream else { return };
                    let stream = Stream { send, recv };
                    self.begin(&session, stream, &mut flows);
                }
                Some(_) = flows.join_next() => (),
            }
        }
    }

    fn begin(self: &Arc<Self>, session: &Session, mut stream: Stream, flows: &mut JoinSet<()>) {
        let Some(seat) = self.census.enter(session.connection.peer()) else {
            return stream.abort(&FlowError::Busy);
        };
        let (exposed, session) = (self.clone(), session.clone());
        flows.spawn(async move {
            far::answer(&exposed, session, stream).await;
            drop(seat);
        });
    }

    /// Where a service is, as far as this peer may know.
    pub(super) fn place(&self, peer: PeerId, service: &ServiceName) -> Result<&Place, FlowError> {
        match self.services.get(service) {
            Some((place, allow)) if allow.allows(peer) => Ok(place),
            // Who may not use it does not learn that it is there.
            Some(_) | None => Err(FlowError::NotServed),
        }
    }

    /// The way out, if this peer may use it.
    pub(super) fn exit_of(&self, peer: PeerId) -> Result<&Exit, FlowError> {
        let exit = self.exit.as_ref().filter(|exit| exit.allow.allows(peer));
        exit.ok_or(FlowError::NotServed)
    }

    pub(super) fn announcer(&self) -> &Events {
        &self.events
    }
}

impl Default for Exposed {
    fn default() -> Self {
        Self::new()
    }
}
