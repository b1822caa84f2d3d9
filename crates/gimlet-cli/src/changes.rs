//! What an endpoint that stays signed in has to tell: sign-ins, sign-outs, and who its guests are.

use std::collections::{HashMap, VecDeque};
use std::future::pending;

use gimlet::{Connection, Endpoint, EndpointEvent, Name, PeerId, SignInError};
use gimlet_apps::contacts::Contacts;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::describe;
use crate::event::{Event, Who};
use crate::people;
use crate::session::Found;

/// Names remembered. When a server sends more strangers than this, the older ones are shown by id.
const MAX_NAMES: usize = 1024;

/// The news of an endpoint that has signed in.
pub(crate) struct Changes {
    events: broadcast::Receiver<EndpointEvent>,
    signed_in: bool,
    names: HashMap<PeerId, Name>,
    contacts: Contacts,
    /// News found while looking for a name.
    waiting: VecDeque<Event>,
}

impl Changes {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        Self {
            events: endpoint.events(),
            signed_in: true,
            names: HashMap::new(),
            contacts: Contacts::default(),
            waiting: VecDeque::new(),
        }
    }

    /// Calls peers what this user calls them, and takes servers' names for what they are.
    pub(crate) fn knowing(mut self, contacts: Contacts) -> Self {
        self.contacts = contacts;
        self
    }

    fn label(&self, peer: PeerId) -> String {
        people::label(&self.contacts, peer, self.names.get(&peer))
    }

    /// The next news. Cancel safe. Pending while there is none.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            match self.events.recv().await {
                Ok(event) => self.take(event),
                Err(RecvError::Lagged(_)) => (),
                Err(RecvError::Closed) => pending().await,
            }
        }
    }

    /// Who a connection is with. The introduction, with the name in it, came before it.
    pub(crate) fn who(&mut self, connection: &Connection) -> Found {
        self.known(connection.peer())
    }

    /// Who a peer is that was introduced.
    pub(crate) fn known(&mut self, peer: PeerId) -> Found {
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
        Found {
            peer,
            label: self.label(peer),
        }
    }

    /// Attempts that fail one after the other are no news, only the first is.
    fn take(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::SignedIn(signed_in) if !self.signed_in => {
                self.signed_in = true;
                self.waiting.push_back(Event::SignedIn {
                    observed: describe::observed(&signed_in),
                    transport: describe::transport(signed_in.transport),
                });
            }
            EndpointEvent::SignedOut { reason } if self.signed_in => {
                self.signed_in = false;
                // Signing out was the person's own wish, who has been told.
                if reason != SignInError::SignedOut {
                    self.waiting.push_back(Event::SignedOut {
                        // Two programs with one key would only drive each other out.
                        retrying: reason != SignInError::Replaced,
                        reason: reason.to_string(),
                    });
                }
            }
            EndpointEvent::Introduced { peer, name } => {
                if self.names.len() >= MAX_NAMES {
                    self.names.clear();
                }
                match name {
                    Some(name) => self.names.insert(peer, name),
                    None => self.names.remove(&peer),
                };
            }
            EndpointEvent::Declined { peer } => {
                let label = self.label(peer);
                let who = Who::new(&Found { peer, label });
                self.waiting.push_back(Event::Declined { who });
            }
            EndpointEvent::Throttled {
                peer,
                reason,
                dropped_bytes,
            } => {
                let label = self.label(peer);
                self.waiting.push_back(Event::Throttled {
                    who: Who::new(&Found { peer, label }),
                    reason: reason.to_string(),
                    dropped_bytes,
                });
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use gimlet::ThrottleReason;

    use super::*;

    #[tokio::test]
    async fn what_the_relay_drops_is_said_by_name_with_its_reason() {
        let (events, receiver) = broadcast::channel(4);
        let mut changes = Changes {
            events: receiver,
            signed_in: true,
            names: HashMap::new(),
            contacts: Contacts::default(),
            waiting: VecDeque::new(),
        };
        let peer = PeerId::from_bytes([0; 32]);
        let name = Some("bob".parse().unwrap());
        let sent = [
            EndpointEvent::Introduced { peer, name },
            EndpointEvent::Throttled {
                peer,
                reason: ThrottleReason::SessionRate,
                dropped_bytes: 1500,
            },
        ];
        for event in sent {
            events.send(event).unwrap();
        }
        let event = changes.next().await;
        let said = serde_json::to_value(&event).unwrap();
        assert_eq!(said["event"], "throttled");
        assert_eq!(said["peer"], "y".repeat(52));
        assert_eq!(said["dropped_bytes"], 1500);
        assert_eq!(said["reason"], ThrottleReason::SessionRate.to_string());
        assert!(
            event
                .to_string()
                .starts_with("The relay dropped 1500 bytes to bob: ")
        );
    }
}
