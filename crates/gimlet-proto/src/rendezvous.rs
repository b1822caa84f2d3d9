//! The rendezvous, server side: who is signed in, what they are called, and who meets whom.
//!
//! # Life-cycle
//!
//! A connection is *new* until its peer signs in (or [`Config::sign_in_timeout`] ends it), then
//! *signed in* for as long as its lease is refreshed; any message, and any sign of life the shell
//! sees, refreshes it. A key has one *reachable* session at a time: a newer one replaces the older.
//! Besides it there may be [some](Config::max_dialing_per_key) that only dial: others neither see
//! them nor are introduced to them. Sessions between peers are *pending* from [`Introduce`](crate::message::Introduce) until the accepting
//! side answers or [`Config::answer_timeout`] passes, then *open* until a side closes them or the
//! relay saw nothing of them for its idle timeout. An open session outlives the control sessions.
//!
//! # Driving it
//!
//! After **every** call that takes `&mut self`, drain [`poll_output`](Rendezvous::poll_output) in
//! order, then [`poll_event`](Rendezvous::poll_event), then sleep until
//! [`poll_timeout`](Rendezvous::poll_timeout).
//!
//! **Invariants:** no message costs more than the logarithm of the peers (a page of the list: one
//! page), except telling at most [`MAX_WATCHERS`](directory::MAX_WATCHERS) watchers; only the two sides of a session can
//! speak about it, each over any of its connections; a connection that was closed gets no further output.

pub mod close;
pub mod config;
mod connections;
mod delivery;
pub mod directory;
pub mod event;
mod introduce;
pub mod names;
pub mod numbers;
mod ongoing;
mod reports;
mod sessions;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use crate::id::ConnId;
use crate::id::PeerId;
use crate::message::{
    Draining, FailReason, Failed, RefuseReason, Refused, Throttled, ToPeer, ToServer,
};
use crate::relay;
use crate::secret::SessionId;
use crate::stats;

pub use close::CloseReason;
pub use config::{Access, Config, SessionLimits};
use connections::Connection;
pub use event::{Event, Who};
use names::Names;
pub use names::{NameChange, NameRecord};
use numbers::Numbers;
use reports::Reporters;
use sessions::Sessions;

/// Something for the shell to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a message.
    Send(ConnId, ToPeer),
    /// Close a connection after what was sent to it before.
    Close(ConnId, CloseReason),
    /// Tell the relay.
    Relay(relay::Command),
    /// Write a name down, or strike it out.
    Store(NameChange),
}

/// The rendezvous of one server. See the [module docs](self) for the driving contract.
#[derive(Debug)]
pub struct Rendezvous {
    config: Config,
    calendar: Calendar,
    connections: BTreeMap<ConnId, Connection>,
    /// The reachable session of each key.
    online: BTreeMap<PeerId, ConnId>,
    /// Sessions that only dial.
    dialing: BTreeSet<(PeerId, ConnId)>,
    /// Reachable sessions by the address they are seen at, to resolve what the list shows.
    observed: BTreeMap<SocketAddr, ConnId>,
    watchers: BTreeMap<PeerId, BTreeSet<ConnId>>,
    names: Names,
    numbers: Numbers,
    sessions: Sessions,
    table: stats::Table,
    reporters: Reporters,
    deadlines: BTreeSet<(Instant, Deadline)>,
    draining: bool,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    /// A sign-in or a lease may have run out.
    Connection(ConnId),
    /// An introduction was not answered.
    Answer(SessionId),
    /// Names that nobody uses are struck out.
    Names,
}

/// How often unused names are looked for; they live for weeks.
const NAMES_INTERVAL: Duration = Duration::from_secs(3600);

/// Reads the calendar off the monotonic clock: names outlive the process, so their last use is
/// stored in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Calendar {
    started_at: Instant,
    started_unix_s: u64,
}

impl Calendar {
    fn unix_s(&self, now: Instant) -> u64 {
        self.started_unix_s + now.saturating_duration_since(self.started_at).as_secs()
    }
}

impl Rendezvous {
    /// A server with nobody on it. `names` is what was stored, `unix_s` the calendar time at `now`
    /// in seconds since 1970.
    pub fn new(
        config: Config,
        names: impl IntoIterator<Item = NameRecord>,
        unix_s: u64,
        now: Instant,
    ) -> Self {
        Self {
            calendar: Calendar {
                started_at: now,
                started_unix_s: unix_s,
            },
            names: Names::new(config.names, names),
            config,
            connections: BTreeMap::new(),
            online: BTreeMap::new(),
            dialing: BTreeSet::new(),
            observed: BTreeMap::new(),
            watchers: BTreeMap::new(),
            numbers: Numbers::default(),
            sessions: Sessions::default(),
            table: stats::Table::default(),
            reporters: Reporters::default(),
            deadlines: BTreeSet::from([(now + NAMES_INTERVAL, Deadline::Names)]),
            draining: false,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A connection came up whose TLS shows this peer, seen at this address.
    pub fn connected(&mut self, conn: ConnId, peer: PeerId, observed: SocketAddr, now: Instant) {
        let until = now + self.config.sign_in_timeout;
        let connection = Connection::new(peer, observed, until);
        self.deadlines.insert((until, Deadline::Connection(conn)));
        self.connections.insert(conn, connection);
    }

    /// A connection went down, or the shell closed it for this reason.
    pub fn disconnected(&mut self, conn: ConnId, reason: CloseReason) {
        self.forget(conn, reason);
    }

    /// The peer sent a message.
    pub fn handle_message(&mut self, conn: ConnId, message: ToServer, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        if !connection
            .requests
            .take(cost(&message), &self.config.requests, now)
        {
            connection.excess += 1;
            if connection.excess > self.config.max_excess {
                return self.close(conn, CloseReason::TooManyRequests);
            }
            return self.reject(conn, &message, FailReason::Busy, RefuseReason::Busy);
        }
        if let ToServer::SignIn(sign_in) = message {
            return self.sign_in(conn, sign_in, now);
        }
        if !connection.refresh(now) {
            let (fail, refuse) = (FailReason::BadRequest, RefuseReason::BadRequest);
            return self.reject(conn, &message, fail, refuse);
        }
        let peer = connection.peer;
        match message {
            ToServer::SignIn(_) => (),
            ToServer::SignOut(_) => self.close(conn, CloseReason::SignedOut),
            ToServer::List(list) => self.list(conn, list, now),
            ToServer::Resolve(resolve) => self.resolve(conn, resolve, now),
            ToServer::Introduce(introduce) => self.introduce(conn, peer, introduce, now),
            ToServer::Accept(accept) => self.accept(conn, peer, accept),
            ToServer::Refuse(refused) => self.refuse(peer, refused),
            ToServer::Candidates(more) => self.candidates(conn, peer, more),
            ToServer::Coordinate(hint) => self.coordinate(conn, peer, hint),
            ToServer::CloseSession(close) => self.close_session(conn, peer, close.session),
            ToServer::PathReport(report) => self.path_report(conn, peer, report),
            ToServer::NatReport(report) => self.nat_report(conn, report.nat),
            ToServer::ReleaseName(release) => self.release_name(peer, release.name),
            ToServer::Watch(watch) => self.watch(conn, watch.peer),
            ToServer::Unwatch(unwatch) => self.stop_watching(conn, unwatch.peer),
            ToServer::Outcome(report) => self.outcome(conn, peer, report, now),
            ToServer::AskStats(request) => self.ask_stats(conn, request, now),
            ToServer::HoldNumber(request) => self.hold_number(conn, peer, request, now),
            ToServer::DropNumber(request) => self.drop_number(peer, request, now),
        }
    }

    /// The connection shows signs of life: refreshes the lease as a message does.
    pub fn handle_alive(&mut self, conn: ConnId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.refresh(now);
        }
    }

    /// The connection has moved to another address, which QUIC has validated.
    pub fn handle_moved(&mut self, conn: ConnId, observed: SocketAddr) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let before = std::mem::replace(&mut connection.observed, observed);
        let peer = connection.peer;
        if before == observed || self.signed_in(conn).is_none() {
            return;
        }
        self.tell_relay_where(conn, peer, observed);
        if self.online.get(&peer) == Some(&conn) {
            self.unlist_address(before, conn);
            self.list_address(observed, conn);
        }
    }

    /// The relay ended a session by itself, or dropped some of it.
    pub fn handle_relay(&mut self, event: relay::Event) {
        match event {
            relay::Event::Ended {
                session,
                reason,
                relayed,
            } => {
                match reason {
                    relay::EndReason::Closed => (),
                    relay::EndReason::Idle => self.session_idle(session),
                    relay::EndReason::Full => self.session_without_relay(session),
                }
                let relayed_bytes = relayed[0].bytes + relayed[1].bytes;
                self.events.push_back(Event::RelayEnded {
                    session,
                    relayed_bytes,
                });
            }
            relay::Event::Throttled {
                session,
                peer,
                reason,
                dropped_bytes,
            } => self.throttled(
                peer,
                Throttled {
                    session,
                    reason,
                    dropped_bytes,
                },
            ),
        }
    }

    /// Changes the limits on sessions.
    pub fn set_session_limits(&mut self, limits: SessionLimits) {
        let config = &mut self.config;
        config.max_sessions = limits.max_sessions;
        config.max_sessions_per_peer = limits.max_sessions_per_peer;
        config.max_pending_in = limits.max_pending_in;
        config.max_pending_out = limits.max_pending_out;
    }

    /// Tells everybody that the server goes down `within` this time, and takes nothing new.
    pub fn drain(&mut self, within: Duration) {
        self.draining = true;
        let in_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let peers = u32::try_from(self.online.len() + self.dialing.len()).unwrap_or(u32::MAX);
        let return_over_ms = peers.saturating_mul(1000) / self.config.returns_per_s.max(1);
        let notice = Draining {
            in_ms,
            return_over_ms,
        };
        let dialing = self.dialing.iter().map(|(_, conn)| conn);
        for &conn in self.online.values().chain(dialing) {
            self.outputs.push_back(Output::Send(conn, notice.into()));
        }
    }

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, deadline)) = self.deadlines.first() {
            if at > now {
                return;
            }
            self.deadlines.pop_first();
            match deadline {
                Deadline::Connection(conn) => self.connection_due(conn, now),
                Deadline::Answer(session) => self.unanswered(session),
                Deadline::Names => self.names_due(now),
            }
        }
    }

    /// Returns the next thing to do, if any.
    pub fn poll_output(&mut self) -> Option<Output> {
        let changed = self.names.poll_change().map(Output::Store);
        changed.or_else(|| self.outputs.pop_front())
    }

    /// Returns the next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) must next be called. Never `None`:
    /// names are always looked after.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Peers that can be reached now.
    pub fn online(&self) -> usize {
        self.online.len()
    }

    /// Control sessions now that only dial.
    pub fn dialing(&self) -> usize {
        self.dialing.len()
    }

    /// Sessions between peers now, pending ones included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Answers what has an answer with a refusal, and drops what has none.
    fn reject(&mut self, conn: ConnId, to: &ToServer, fail: FailReason, refuse: RefuseReason) {
        let id = match to {
            ToServer::SignIn(request) => request.id,
            ToServer::List(request) => request.id,
            ToServer::Resolve(request) => request.id,
            ToServer::AskStats(request) => request.id,
            ToServer::HoldNumber(request) => request.id,
            ToServer::Introduce(request) => {
                let session = request.session;
                let reason = refuse;
                return self.send(conn, Refused { session, reason });
            }
            ToServer::SignOut(_)
            | ToServer::Accept(_)
            | ToServer::Refuse(_)
            | ToServer::Candidates(_)
            | ToServer::CloseSession(_)
            | ToServer::PathReport(_)
            | ToServer::NatReport(_)
            | ToServer::ReleaseName(_)
            | ToServer::Watch(_)
            | ToServer::Unwatch(_)
            | ToServer::Coordinate(_)
            | ToServer::DropNumber(_)
            | ToServer::Outcome(_) => return,
        };
        self.send(conn, Failed { id, reason: fail });
    }
}

/// Units of the request rate that a message costs, by the work it makes.
fn cost(message: &ToServer) -> u32 {
    match message {
        ToServer::Introduce(_) | ToServer::AskStats(_) => 4,
        ToServer::SignIn(_) | ToServer::List(_) | ToServer::HoldNumber(_) => 2,
        ToServer::SignOut(_)
        | ToServer::Resolve(_)
        | ToServer::Accept(_)
        | ToServer::Refuse(_)
        | ToServer::Candidates(_)
        | ToServer::CloseSession(_)
        | ToServer::PathReport(_)
        | ToServer::NatReport(_)
        | ToServer::ReleaseName(_)
        | ToServer::Watch(_)
        | ToServer::Unwatch(_)
        | ToServer::Coordinate(_)
        | ToServer::DropNumber(_)
        | ToServer::Outcome(_) => 1,
    }
}

#[cfg(test)]
mod tests;
