//! Connections and their leases.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{CloseReason, ConnId, Deadline, Event, Output, Rendezvous, Who};
use crate::candidate::NatClass;
use crate::id::PeerId;
use crate::limit::Bucket;
use crate::message::Presence;
use crate::name::Name;
use crate::relay::{self, Control};

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: PeerId,
    /// As the socket shows it: an IPv4 address may be mapped into IPv6.
    pub(super) observed: SocketAddr,
    pub(super) requests: Bucket,
    /// Requests that came too fast.
    pub(super) excess: u32,
    pub(super) state: State,
    /// When its entry in the deadlines is. The lease may end later, never earlier.
    armed_at: Instant,
}

#[derive(Debug)]
pub(super) enum State {
    /// Not signed in.
    New { until: Instant },
    /// Signed in: the reachable session of its key, or one that only dials.
    SignedIn(SignedIn),
}

#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) name: Option<Name>,
    pub(super) lease: Duration,
    pub(super) until: Instant,
    pub(super) nat: NatClass,
    pub(super) watching: BTreeSet<PeerId>,
}

impl Connection {
    pub(super) fn new(peer: PeerId, observed: SocketAddr, until: Instant) -> Self {
        Self {
            peer,
            observed,
            requests: Bucket::default(),
            excess: 0,
            state: State::New { until },
            armed_at: until,
        }
    }

    /// Refreshes the lease; `false` if there is none.
    pub(super) fn refresh(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::New { .. } => false,
            State::SignedIn(state) => {
                state.until = now + state.lease;
                true
            }
        }
    }

    fn until(&self) -> Instant {
        match &self.state {
            State::New { until } => *until,
            State::SignedIn(state) => state.until,
        }
    }
}

impl Rendezvous {
    /// Closes a connection after what was sent to it, and forgets it.
    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        if self.connections.contains_key(&conn) {
            self.outputs.push_back(Output::Close(conn, reason));
            self.forget(conn, reason);
        }
    }

    /// Forgets a connection and what hangs on it.
    pub(super) fn forget(&mut self, conn: ConnId, reason: CloseReason) {
        let name = self.name_at(conn);
        let Some(connection) = self.connections.remove(&conn) else {
            return;
        };
        self.deadlines
            .remove(&(connection.armed_at, Deadline::Connection(conn)));
        let State::SignedIn(state) = connection.state else {
            return;
        };
        for watched in state.watching {
            self.unwatch(conn, watched);
        }
        let peer = connection.peer;
        self.unlist_address(connection.observed, conn);
        self.dialing.remove(&(peer, conn));
        self.go_offline(conn, peer);
        let control = Control { peer, conn };
        self.relay(relay::Command::ControlGone { control });
        self.drop_pending(conn, peer);
        let who = Who { peer, name };
        self.events.push_back(Event::SignedOut { who, reason });
    }

    /// A connection's deadline passed; its lease may have been refreshed meanwhile.
    pub(super) fn connection_due(&mut self, conn: ConnId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let until = connection.until();
        if until > now {
            return self.arm(conn, until);
        }
        let reason = match connection.state {
            State::New { .. } => CloseReason::SignInTimedOut,
            State::SignedIn(_) => CloseReason::LeaseExpired,
        };
        self.close(conn, reason);
    }

    /// Moves a connection's entry in the deadlines.
    pub(super) fn arm(&mut self, conn: ConnId, at: Instant) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            let before = std::mem::replace(&mut connection.armed_at, at);
            self.deadlines.remove(&(before, Deadline::Connection(conn)));
            self.deadlines.insert((at, Deadline::Connection(conn)));
        }
    }

    /// If this was the reachable session of its key, the key has none now.
    pub(super) fn go_offline(&mut self, conn: ConnId, peer: PeerId) {
        if self.online.get(&peer) == Some(&conn) {
            self.online.remove(&peer);
            self.tell_watchers(Presence {
                peer,
                online: false,
            });
        }
    }

    pub(super) fn tell_relay_where(&mut self, conn: ConnId, peer: PeerId, address: SocketAddr) {
        let control = Control { peer, conn };
        self.relay(relay::Command::ControlAt { control, address });
    }

    /// Where a reachable session is seen, for those who resolve an address.
    pub(super) fn list_address(&mut self, observed: SocketAddr, conn: ConnId) {
        self.observed.insert(canonical(observed), conn);
    }

    pub(super) fn unlist_address(&mut self, observed: SocketAddr, conn: ConnId) {
        let address = canonical(observed);
        if self.observed.get(&address) == Some(&conn) {
            self.observed.remove(&address);
        }
    }
}

/// An address as peers know it: IPv4 is IPv4, whatever socket it came through.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
