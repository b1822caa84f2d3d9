//! Introductions: from one peer's wish to the other's answer.

use std::time::Instant;

use super::sessions::{ACCEPTOR, Session, State};
use super::{ConnId, Deadline, Event, Rendezvous, Who};
use crate::candidate::MAX_CANDIDATES;
use crate::id::PeerId;
use crate::message::{
    Accept, Accepted, CloseSession, Introduce, Introduction, PathKind, RefuseReason, Refused,
};
use crate::relay;
use crate::secret::SessionId;

impl Rendezvous {
    pub(super) fn introduce(
        &mut self,
        conn: ConnId,
        peer: PeerId,
        request: Introduce,
        now: Instant,
    ) {
        let (session, dialer) = (request.session, self.end(conn, peer));
        let asked = match self.may_introduce(peer, &request) {
            Ok(asked) => asked,
            Err(reason) => {
                self.table.asked();
                self.send(conn, Refused { session, reason });
                let (dialer, acceptor) = (self.who_at(dialer), self.who(request.peer));
                self.refused(session, dialer, acceptor, reason);
                return;
            }
        };
        let acceptor = self.end(asked, request.peer);
        let answer_by = now + self.config.answer_timeout;
        self.deadlines
            .insert((answer_by, Deadline::Answer(session)));
        self.sessions.insert(
            session,
            Session {
                ends: [dialer, acceptor],
                state: State::Pending { answer_by },
                passed_on: [0; 2],
                hints: [0; 2],
                reports: 0,
            },
        );
        let introduction = Introduction {
            session,
            peer,
            name: self.name_at(conn),
            credentials: request.credentials,
            candidates: self.sendable(request.candidates, dialer, acceptor),
            nat: request.nat,
        };
        self.send(asked, introduction);
        // After the message: from now on the relay passes the dialer's datagrams on.
        self.relay(relay::Command::Open {
            session,
            dialer: dialer.control(),
            secret: request.secret,
            acceptor: acceptor.control(),
        });
        let (dialer, acceptor) = (self.who_at(dialer), self.who_at(acceptor));
        self.table.asked();
        self.events.push_back(Event::Asked {
            session,
            dialer,
            acceptor,
        });
    }

    /// The connection to ask, if this may be asked at all.
    fn may_introduce(&self, dialer: PeerId, request: &Introduce) -> Result<ConnId, RefuseReason> {
        let acceptor = request.peer;
        if self.sessions.get(request.session).is_some()
            || acceptor == dialer
            || request.candidates.len() > MAX_CANDIDATES
        {
            return Err(RefuseReason::BadRequest);
        }
        let Some(&asked) = self.online.get(&acceptor) else {
            return Err(RefuseReason::Offline);
        };
        let pending = |session: &Session| matches!(session.state, State::Pending { .. });
        let out = self.sessions.dialed_by(dialer);
        let out = out.filter(|(_, session)| pending(session)).count();
        let into = self.sessions.taken_by(acceptor);
        let into = into.filter(|(_, session)| pending(session)).count();
        if self.draining
            || self.sessions.len() >= self.config.max_sessions
            || out >= self.config.max_pending_out
            || into >= self.config.max_pending_in
            || self.sessions_of(dialer) >= self.config.max_sessions_per_peer
            || self.sessions_of(acceptor) >= self.config.max_sessions_per_peer
        {
            return Err(RefuseReason::Busy);
        }
        Ok(asked)
    }

    fn sessions_of(&self, peer: PeerId) -> usize {
        self.sessions.dialed_by(peer).count() + self.sessions.taken_by(peer).count()
    }

    pub(super) fn accept(&mut self, conn: ConnId, peer: PeerId, accept: Accept) {
        let id = accept.session;
        let acceptor = self.end(conn, peer);
        let Some(session) = self.sessions.get_mut(id) else {
            // Too late, or never asked: tell, so that nothing is kept for it.
            return self.send(conn, CloseSession { session: id });
        };
        let State::Pending { answer_by } = session.state else {
            return;
        };
        if session.acceptor().peer != peer {
            return;
        }
        let path = PathKind::Relay;
        session.state = State::Open { path };
        session.ends[ACCEPTOR] = acceptor;
        let dialer = session.dialer();
        self.deadlines.remove(&(answer_by, Deadline::Answer(id)));
        self.relay(relay::Command::Accept {
            session: id,
            secret: accept.secret,
        });
        let accepted = Accepted {
            session: id,
            credentials: accept.credentials,
            candidates: self.sendable(accept.candidates, acceptor, dialer),
            nat: accept.nat,
        };
        self.send_to_end(dialer, accepted);
        let (dialer, acceptor) = (self.who_at(dialer), self.who_at(acceptor));
        self.table.accepted();
        self.events.push_back(Event::Introduced {
            session: id,
            dialer,
            acceptor,
        });
    }

    pub(super) fn refuse(&mut self, peer: PeerId, refused: Refused) {
        let Some(session) = self.sessions.get(refused.session) else {
            return;
        };
        let pending = matches!(session.state, State::Pending { .. });
        if session.acceptor().peer != peer || !pending {
            return;
        }
        let reason = match refused.reason {
            RefuseReason::Superseded | RefuseReason::Busy => refused.reason,
            // The rest is the server's to say.
            RefuseReason::Declined
            | RefuseReason::Offline
            | RefuseReason::Unanswered
            | RefuseReason::BadRequest => RefuseReason::Declined,
        };
        self.end_pending(refused.session, reason);
    }

    pub(super) fn unanswered(&mut self, id: SessionId) {
        self.end_pending(id, RefuseReason::Unanswered);
    }

    /// A control session ended: what waits for an answer from or to it can't be answered.
    pub(super) fn drop_pending(&mut self, conn: ConnId, peer: PeerId) {
        let pending = |session: &Session| matches!(session.state, State::Pending { .. });
        let asked = self.sessions.taken_by(peer);
        let asked =
            asked.filter(|(_, session)| session.acceptor().conn == conn && pending(session));
        let asking = self.sessions.dialed_by(peer);
        let asking =
            asking.filter(|(_, session)| session.dialer().conn == conn && pending(session));
        let ended: Vec<_> = asked.chain(asking).map(|(id, _)| id).collect();
        for id in ended {
            self.end_pending(id, RefuseReason::Offline);
        }
    }

    /// Ends an introduction that was not accepted, and tells both sides.
    pub(super) fn end_pending(&mut self, id: SessionId, reason: RefuseReason) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if let State::Pending { answer_by } = session.state {
            self.deadlines.remove(&(answer_by, Deadline::Answer(id)));
        }
        let refused = Refused {
            session: id,
            reason,
        };
        let [dialer, acceptor] = session.ends;
        self.send_to_end(dialer, refused);
        self.send_to_end(acceptor, CloseSession { session: id });
        self.relay(relay::Command::Close { session: id });
        self.refused(id, self.who_at(dialer), self.who_at(acceptor), reason);
    }

    fn refused(&mut self, session: SessionId, dialer: Who, acceptor: Who, reason: RefuseReason) {
        self.table.refused(reason);
        self.events.push_back(Event::Refused {
            session,
            dialer,
            acceptor,
            reason,
        });
    }
}
