//! The control task: owns the rendezvous, and does what it says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gimlet_proto::id::PeerId;
use gimlet_proto::message::ToServer;
use gimlet_proto::relay;
use gimlet_proto::rendezvous::{CloseReason, ConnId, Event, NameChange, Output, Rendezvous};
use gimlet_proto::stats::Summary;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time;

use crate::counters::Counters;
use crate::limits::Limits;
use crate::link::Link;
use crate::log;
use crate::rounds::Rounds;

/// Inputs that may wait. Senders wait too, so a busy control task slows the peers that keep it busy.
pub(crate) const QUEUE: usize = 1024;

/// What the control task is told.
#[derive(Debug)]
pub(crate) enum Input {
    /// A control stream is open.
    Connected {
        conn: ConnId,
        peer: PeerId,
        observed: SocketAddr,
        link: Link,
    },
    /// A message came.
    Message { conn: ConnId, message: ToServer },
    /// The connection is over.
    Disconnected { conn: ConnId, reason: CloseReason },
    /// The server goes down within this time.
    Drain(Duration),
}

/// What the control task works with.
pub(crate) struct Control {
    pub(crate) rendezvous: Rendezvous,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) relay: mpsc::Sender<relay::Command>,
    pub(crate) relay_events: mpsc::Receiver<relay::Event>,
    pub(crate) names: Option<mpsc::Sender<NameChange>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stats: watch::Sender<Summary>,
    pub(crate) limits: watch::Receiver<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) links: BTreeMap<ConnId, Link>,
    pub(crate) rounds: Rounds,
}

impl Control {
    /// Runs until nobody is left to tell it anything.
    pub(crate) async fn run(mut self) {
        loop {
            let look_at = (!self.links.is_empty()).then(|| self.rounds.poll_timeout());
            let due_at = self.rendezvous.poll_timeout().into_iter().chain(look_at);
            let due_at = due_at.min().map(time::Instant::from_std);
            let due = async {
                match due_at {
                    Some(due_at) => time::sleep_until(due_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                input = self.inputs.recv() => match input {
                    Some(input) => self.take(input, now()),
                    None => return,
                },
                Some(event) = self.relay_events.recv() => self.rendezvous.handle_relay(event),
                Ok(()) = self.limits.changed() => self.limit().await,
                () = due => {
                    self.rendezvous.handle_timeout(now());
                    self.look(now());
                }
            }
            self.drain().await;
        }
    }

    fn take(&mut self, input: Input, now: Instant) {
        match input {
            Input::Connected {
                conn,
                peer,
                observed,
                link,
            } => {
                self.links.insert(conn, link);
                self.rendezvous.connected(conn, peer, observed, now);
            }
            Input::Message { conn, message } => self.rendezvous.handle_message(conn, message, now),
            Input::Disconnected { conn, reason } => {
                self.links.remove(&conn);
                self.rendezvous.disconnected(conn, reason);
            }
            Input::Drain(within) => {
                self.rendezvous.drain(within);
                log::totals(&self.rendezvous.stats());
            }
        }
    }

    /// Looks at the connections whose turn it is.
    fn look(&mut self, now: Instant) {
        for conn in self.rounds.due(&self.links, now) {
            let Some(look) = self.links.get_mut(&conn).map(Link::look) else {
                continue;
            };
            if look.is_alive {
                self.rendezvous.handle_alive(conn, now);
            }
            if let Some(observed) = look.moved {
                self.rendezvous.handle_moved(conn, observed);
            }
        }
    }

    async fn limit(&mut self) {
        let limits = *self.limits.borrow_and_update();
        tracing::info!(?limits, "limits changed");
        self.rendezvous.set_session_limits(limits.of_sessions());
        let command = relay::Command::Limit(limits.of_relay());
        let _ = self.relay.send(command).await;
    }

    async fn drain(&mut self) {
        while let Some(output) = self.rendezvous.poll_output() {
            match output {
                Output::Send(conn, message) => {
                    let sent = self.links.get(&conn).map(|link| link.send(&message));
                    if let Some(Err(_)) = sent {
                        self.cut(conn, CloseReason::SlowReader);
                    }
                }
                Output::Close(conn, reason) => {
                    if let Some(link) = self.links.remove(&conn) {
                        link.close(reason);
                    }
                }
                // The pump always takes commands before datagrams, so this waits for a batch at most.
                Output::Relay(command) => {
                    let _ = self.relay.send(command).await;
                }
                Output::Store(change) => {
                    if let Some(names) = &self.names {
                        let _ = names.send(change).await;
                    }
                }
            }
        }
        let mut reported = false;
        while let Some(event) = self.rendezvous.poll_event() {
            log::event(&event);
            reported |= matches!(event, Event::AttemptReported { .. });
            // Nobody listening is fine.
            let _ = self.events.send(event);
        }
        if reported {
            self.stats.send_replace(self.rendezvous.stats());
        }
        self.counters.peers.set(self.rendezvous.online());
        self.counters.dialing.set(self.rendezvous.dialing());
        self.counters.sessions.set(self.rendezvous.sessions());
    }

    fn cut(&mut self, conn: ConnId, reason: CloseReason) {
        if let Some(link) = self.links.remove(&conn) {
            link.cut(reason);
        }
        self.rendezvous.disconnected(conn, reason);
    }
}

fn now() -> Instant {
    time::Instant::now().into_std()
}
