//! Signing in: access, name, lease; and what becomes of names afterwards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connections::{State, canonical};
use super::names::ClaimError;
use super::{Access, CloseReason, ConnId, Deadline, Event, NAMES_INTERVAL, Rendezvous, Who};
use crate::candidate::NatClass;
use crate::id::PeerId;
use crate::message::{FailReason, Failed, Presence, SignIn, SignedIn};
use crate::name::Name;

impl Rendezvous {
    /// Signs a connection in, or renews its lease and changes its name.
    pub(super) fn sign_in(&mut self, conn: ConnId, request: SignIn, now: Instant) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let (peer, observed) = (connection.peer, connection.observed);
        let name = match self.admit(conn, peer, &request, now) {
            Ok(name) => name,
            Err(reason) => return self.refuse_sign_in(conn, request.id, reason),
        };
        let wanted = Duration::from_secs(request.lease_s.into());
        let lease = wanted.max(self.config.min_lease).min(self.config.max_lease);
        if self.signed_in(conn).is_none() {
            self.tell_relay_where(conn, peer, observed);
        }
        match request.reachable {
            true => self.become_reachable(conn, peer, observed),
            false => self.become_dialing(conn, peer, observed),
        }
        self.hold_lease(conn, name.clone(), lease, now);
        self.send(
            conn,
            SignedIn {
                id: request.id,
                lease_s: lease.as_secs() as u32,
                name: name.clone(),
                observed: canonical(observed),
                stun_ports: self.config.stun_ports.clone(),
                time_s: self.calendar.unix_s(now),
            },
        );
        self.events.push_back(Event::SignedIn {
            who: Who { peer, name },
            observed: canonical(observed),
            lease,
            reachable: request.reachable,
            software: printable(&request.software),
        });
    }

    /// Whether this peer may sign in like that, and the name it then has.
    fn admit(
        &mut self,
        conn: ConnId,
        peer: PeerId,
        request: &SignIn,
        now: Instant,
    ) -> Result<Option<Name>, FailReason> {
        if self.draining {
            return Err(FailReason::ShuttingDown);
        }
        let token = request.token.as_deref();
        if request.software.len() > SignIn::MAX_SOFTWARE
            || token.is_some_and(|token| token.len() > SignIn::MAX_TOKEN)
        {
            return Err(FailReason::BadRequest);
        }
        match &self.config.access {
            Access::Open => (),
            Access::Keys(keys) if keys.contains(&peer) => (),
            Access::Keys(_) => return Err(FailReason::NotAllowed),
            Access::Tokens(tokens) => {
                let token = token.unwrap_or_default().as_bytes();
                // Looks at every token, whichever fits, so that time tells nothing.
                let fits = tokens
                    .iter()
                    .fold(false, |fits, known| fits | same(token, known.as_bytes()));
                if !fits {
                    return Err(FailReason::BadToken);
                }
            }
        }
        if !self.has_room(conn, peer, request.reachable) {
            return Err(FailReason::Busy);
        }
        self.name_for(peer, request, self.calendar.unix_s(now))
    }

    fn has_room(&self, conn: ConnId, peer: PeerId, reachable: bool) -> bool {
        let dialing = self.dialing.contains(&(peer, conn));
        if !reachable
            && !dialing
            && self.dialing_of(peer).count() >= self.config.max_dialing_per_key
        {
            return false;
        }
        let counted = self.signed_in(conn).is_some();
        let replaces = reachable && self.online.contains_key(&peer);
        let all = self.online.len() + self.dialing.len();
        counted || replaces || all < self.config.max_peers
    }

    /// The name a session gets. One that only dials changes nothing about the names its key has.
    fn name_for(
        &mut self,
        peer: PeerId,
        request: &SignIn,
        unix_s: u64,
    ) -> Result<Option<Name>, FailReason> {
        let Some(wanted) = &request.name else {
            let held = self.names.latest_of(peer).cloned();
            if let Some(name) = held.as_ref().filter(|_| request.reachable) {
                self.names.touch(name, unix_s);
            }
            return Ok(held);
        };
        // A name that reads like somebody's id would be taken for it by people.
        if wanted.as_str().parse::<PeerId>().is_ok() {
            return Err(FailReason::BadRequest);
        }
        // A key without a name gets its first one, for people to read when it dials.
        if !request.reachable
            && self.names.holder(wanted).is_none()
            && let Some(held) = self.names.latest_of(peer)
        {
            return Ok(Some(held.clone()));
        }
        match self.names.claim(wanted, peer, unix_s) {
            Ok(()) => Ok(Some(wanted.clone())),
            Err(ClaimError::Taken) => Err(FailReason::NameTaken),
            Err(ClaimError::Full) => Err(FailReason::Busy),
        }
    }

    fn refuse_sign_in(&mut self, conn: ConnId, id: u32, reason: FailReason) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        self.events.push_back(Event::SignInRefused {
            peer: connection.peer,
            observed: canonical(connection.observed),
            reason,
        });
        let signed_in = matches!(connection.state, State::SignedIn(_));
        self.send(conn, Failed { id, reason });
        // Another name may do better at once, and a session that stands keeps standing.
        if reason != FailReason::NameTaken && !signed_in {
            self.close(conn, CloseReason::SignInFailed);
        }
    }

    /// Makes this the one session of its key that others are introduced to.
    fn become_reachable(&mut self, conn: ConnId, peer: PeerId, observed: SocketAddr) {
        self.dialing.remove(&(peer, conn));
        match self.online.insert(peer, conn) {
            Some(same) if same == conn => return,
            Some(older) => {
                self.hand_over(older, self.end(conn, peer));
                self.close(older, CloseReason::Replaced);
            }
            None => (),
        }
        // Also where it never left: who was restarted is there anew, and those who talk to what it
        // was before want to know.
        self.tell_watchers(Presence { peer, online: true });
        self.list_address(observed, conn);
    }

    fn become_dialing(&mut self, conn: ConnId, peer: PeerId, observed: SocketAddr) {
        self.unlist_address(observed, conn);
        self.go_offline(conn, peer);
        self.dialing.insert((peer, conn));
    }

    fn hold_lease(&mut self, conn: ConnId, name: Option<Name>, lease: Duration, now: Instant) {
        let until = now + lease;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        match &mut connection.state {
            State::SignedIn(state) => {
                (state.name, state.lease, state.until) = (name, lease, until);
            }
            State::New { .. } => {
                connection.state = State::SignedIn(super::connections::SignedIn {
                    name,
                    lease,
                    until,
                    nat: NatClass::default(),
                    watching: BTreeSet::new(),
                });
            }
        }
        self.arm(conn, until);
    }

    pub(super) fn release_name(&mut self, peer: PeerId, name: Name) {
        // Whether this key held it or not, it doesn't now: that is what it asked for.
        let _ = self.names.release(&name, peer);
    }

    /// Strikes out unused names; those of peers that can be reached are in use.
    pub(super) fn names_due(&mut self, now: Instant) {
        let unix_s = self.calendar.unix_s(now);
        for &conn in self.online.values() {
            if let Some(name) = self.name_at(conn) {
                self.names.touch(&name, unix_s);
            }
        }
        self.names.expire(unix_s);
        self.deadlines
            .insert((now + NAMES_INTERVAL, Deadline::Names));
    }
}

/// Compares without stopping at the first difference.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y));
    a.len() == b.len() && difference == 0
}

/// What may stand in a log line: no control characters, no other alphabets.
fn printable(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    text.chars().filter(plain).collect()
}
