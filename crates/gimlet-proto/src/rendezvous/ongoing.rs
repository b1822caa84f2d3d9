//! Sessions under way: what their sides tell each other through the server, and how they end.

use super::connections::canonical;
use super::delivery::End;
use super::sessions::{ACCEPTOR, DIALER, State};
use super::{ConnId, Deadline, Event, Rendezvous};
use crate::candidate::{Candidate, MAX_CANDIDATES, is_sendable};
use crate::id::PeerId;
use crate::message::{
    Candidates, CloseSession, Coordinate, Coordinated, PathKind, PathReport, RefuseReason,
    Throttled,
};
use crate::relay;
use crate::secret::SessionId;

/// Candidates one side may add to a session after the first ones: a roaming phone changes networks
/// some dozens of times; more is a way to make the other side send.
const MAX_TRICKLED: u16 = 1024;

/// Hints one side may have passed on in a session: a search takes some six, and a roaming host does a
/// few dozen.
const MAX_HINTS: u16 = 512;

impl Rendezvous {
    pub(super) fn candidates(&mut self, conn: ConnId, peer: PeerId, more: Candidates) {
        let id = more.session;
        let Some(side) = self.speaks_for(conn, peer, id) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        // The accepting side shows nothing of itself by accident before it has accepted.
        if side == ACCEPTOR && matches!(session.state, State::Pending { .. }) {
            return;
        }
        let (from, to) = (session.ends[side], session.ends[1 - side]);
        session.passed_on[side] += more.candidates.len().min(MAX_CANDIDATES) as u16;
        if session.passed_on[side] > MAX_TRICKLED {
            session.passed_on[side] = MAX_TRICKLED;
            return;
        }
        let candidates = self.sendable(more.candidates, from, to);
        if !candidates.is_empty() {
            let session = id;
            self.send_to_end(
                to,
                Candidates {
                    session,
                    candidates,
                },
            );
        }
    }

    pub(super) fn coordinate(&mut self, conn: ConnId, peer: PeerId, said: Coordinate) {
        let Coordinate { session: id, hint } = said;
        let Some(side) = self.speaks_for(conn, peer, id) else {
            return;
        };
        let observed = self.connections.get(&conn).map(|from| from.observed);
        let (Some(session), Some(observed)) = (self.sessions.get_mut(id), observed) else {
            return;
        };
        // Nobody searches before both have agreed to meet.
        let open = matches!(session.state, State::Open { .. });
        if !open || session.hints[side] >= MAX_HINTS {
            return;
        }
        session.hints[side] += 1;
        let to = session.ends[1 - side];
        let said = Coordinated {
            session: id,
            hint,
            observed: canonical(observed).ip(),
        };
        self.send_to_end(to, said);
    }

    pub(super) fn close_session(&mut self, conn: ConnId, peer: PeerId, id: SessionId) {
        let Some(side) = self.speaks_for(conn, peer, id) else {
            return;
        };
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let (other, state) = (session.ends[1 - side], session.state);
        if side == ACCEPTOR && matches!(state, State::Pending { .. }) {
            return self.end_pending(id, RefuseReason::Declined);
        }
        self.send_to_end(other, CloseSession { session: id });
        self.relay(relay::Command::Close { session: id });
        self.ended(id, Some(peer));
    }

    pub(super) fn path_report(&mut self, conn: ConnId, peer: PeerId, report: PathReport) {
        let Some(DIALER) = self.speaks_for(conn, peer, report.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(report.session) else {
            return;
        };
        match &mut session.state {
            State::Open { path } if *path != report.path => *path = report.path,
            State::Open { .. } | State::Pending { .. } => return,
        }
        let [dialer, acceptor] = session.ends;
        let event = Event::PathReported {
            session: report.session,
            dialer: self.who_at(dialer),
            acceptor: self.who_at(acceptor),
            path: report.path,
        };
        self.events.push_back(event);
    }

    /// The relay heard nothing of a session for long. Nobody is told: if the peers still have a
    /// direct path it goes on, and if not there is nobody to tell.
    pub(super) fn session_idle(&mut self, id: SessionId) {
        match self.sessions.get(id).map(|session| session.state) {
            Some(State::Open { .. }) => self.ended(id, None),
            Some(State::Pending { .. }) => self.end_pending(id, RefuseReason::Unanswered),
            None => (),
        }
    }

    /// Tells a side that the relay drops what it sends.
    pub(super) fn throttled(&mut self, peer: PeerId, said: Throttled) {
        let session = self.sessions.get(said.session);
        let end = session.and_then(|session| Some(session.ends[session.side(peer)?]));
        if let Some(end) = end {
            self.send_to_end(end, said);
            self.events.push_back(Event::Throttled {
                session: said.session,
                who: self.who_at(end),
                reason: said.reason,
                dropped_bytes: said.dropped_bytes,
            });
        }
    }

    pub(super) fn session_without_relay(&mut self, id: SessionId) {
        match self.sessions.get(id) {
            Some(session) if matches!(session.state, State::Pending { .. }) => {
                self.end_pending(id, RefuseReason::Busy);
            }
            Some(_) => self.ended(id, None),
            None => (),
        }
    }

    pub(super) fn ended(&mut self, id: SessionId, closed_by: Option<PeerId>) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        let path = match session.state {
            State::Open { path } => path,
            State::Pending { answer_by } => {
                self.deadlines.remove(&(answer_by, Deadline::Answer(id)));
                PathKind::Relay
            }
        };
        let event = Event::SessionEnded {
            session: id,
            dialer: self.who_at(session.dialer()),
            acceptor: self.who_at(session.acceptor()),
            path,
            closed_by,
        };
        self.events.push_back(event);
    }

    /// The candidates of `from` that `to` may be told: as many as one side may have, and only where
    /// somebody may be sent to.
    pub(super) fn sendable(
        &self,
        candidates: Vec<Candidate>,
        from: End,
        to: End,
    ) -> Vec<Candidate> {
        let here = |end| self.observed_ip_is_loopback(end);
        let allow_loopback = self.config.allow_loopback || (here(from) && here(to));
        let mut kept: Vec<_> = candidates
            .into_iter()
            .filter(|candidate| is_sendable(candidate.addr, allow_loopback))
            .collect();
        kept.truncate(MAX_CANDIDATES);
        kept
    }

    fn observed_ip_is_loopback(&self, end: End) -> bool {
        let conn = self.reach(end);
        let connection = conn.and_then(|conn| self.connections.get(&conn));
        connection.is_some_and(|connection| canonical(connection.observed).ip().is_loopback())
    }
}
