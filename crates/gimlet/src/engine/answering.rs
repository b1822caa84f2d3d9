//! What the server says, and our answers to introductions, also while we ask for one ourselves.

use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{
    Accept, CloseSession, Introduction, RefuseReason, Refused, Throttled, ToPeer, ToServer,
};
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::Role;

use super::session::{Introduction as Stage, Session};
use super::{Command, Engine, now};
use crate::control::ServerId;
use crate::event::EndpointEvent;
use crate::policy::{AcceptPolicy, Request};

/// How long a policy may take to decide; the server gives up at about the same time.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

/// Sessions that one key may have with us at once: a few programs, and what a restarted one left
/// behind. More would only let a peer make us check more addresses.
const MAX_PER_PEER: usize = 8;

impl Engine {
    pub(super) fn handle_message(&mut self, server: ServerId, message: ToPeer, now: Instant) {
        match message {
            ToPeer::Introduction(introduction) => self.introduced(server, introduction),
            ToPeer::Accepted(accepted) => self.accepted(server, accepted, now),
            ToPeer::Refused(refused) => self.refused(server, refused, now),
            ToPeer::Candidates(more) => self.with_session_at(server, more.session, |entry| {
                let bounded = more.candidates.len().min(MAX_CANDIDATES);
                entry
                    .session
                    .agent
                    .handle_candidates(&more.candidates[..bounded], now);
            }),
            ToPeer::SessionClosed(closed) => self.session_closed(server, closed.session, now),
            ToPeer::Draining(_) => self.server_draining(server, now),
            ToPeer::Presence(said) => self.presence(server, said),
            ToPeer::Coordinated(said) => {
                if self.session_at(server, said.session).is_some() {
                    self.coordinated(said, now);
                }
            }
            ToPeer::Throttled(said) => self.throttled(server, &said),
            ToPeer::SignedIn(_)
            | ToPeer::Failed(_)
            | ToPeer::Page(_)
            | ToPeer::Resolved(_)
            | ToPeer::Stats(_)
            | ToPeer::NumberHeld(_) => (),
        }
    }

    fn session_closed(&mut self, server: ServerId, session: SessionId, now: Instant) {
        let Some(addr) = self.session_at(server, session) else {
            return;
        };
        let elsewhere = self.ended_elsewhere(addr, session);
        self.with_entry(addr, |entry| {
            if !elsewhere {
                entry.session.leg.handle_gone();
                entry.session.lost_introduction(now);
            }
        });
    }

    /// The relay drops what we send: congestion control slows down by itself, a person may wonder why.
    fn throttled(&self, server: ServerId, said: &Throttled) {
        let addr = self.session_at(server, said.session);
        let Some(entry) = addr.and_then(|addr| self.entries.get(&addr)) else {
            return;
        };
        let (peer, reason, dropped_bytes) = (entry.peer.id, said.reason, said.dropped_bytes);
        tracing::info!(peer = %peer.short(), %reason, dropped_bytes, "throttled by the relay");
        self.shared.announce(EndpointEvent::Throttled {
            peer,
            reason,
            dropped_bytes,
        });
    }

    fn introduced(&mut self, server: ServerId, introduction: Introduction) {
        let (id, name) = (introduction.peer, introduction.name.clone());
        // The server passes on at most this many; a server that does not is no friend.
        if introduction.candidates.len() > MAX_CANDIDATES || id == self.shared.id {
            return self.refuse(server, introduction.session, RefuseReason::BadRequest);
        }
        if self.resumed(&introduction).is_some() {
            return self.decided(server, introduction, true);
        }
        let newest = self.newest.get(&id).and_then(|addr| self.entries.get(addr));
        if let Some(entry) = newest.filter(|entry| entry.session.is_dialling()) {
            let asked = matches!(entry.session.introduction, Stage::Asked { .. });
            return match asked && self.shared.id < id {
                // Both dial at once: the introduction of the lower id stands, for both.
                true => self.refuse(server, introduction.session, RefuseReason::Superseded),
                // Whom we dial we also let in.
                false => self.decided(server, introduction, true),
            };
        }
        match &self.shared.policy {
            AcceptPolicy::All => self.decided(server, introduction, true),
            AcceptPolicy::Nobody => self.decided(server, introduction, false),
            AcceptPolicy::Known(known) => {
                let accepted = known.contains(&id);
                self.decided(server, introduction, accepted);
            }
            AcceptPolicy::Ask(ask) => {
                let (request, decision) = Request::new(id, name);
                ask(request);
                let commands = self.commands.clone();
                let introduction = Box::new(introduction);
                tokio::spawn(async move {
                    let decision = tokio::time::timeout(DECISION_TIMEOUT, decision).await;
                    let accepted = matches!(decision, Ok(Ok(true)));
                    if let Some(commands) = commands.upgrade() {
                        // Gone with the endpoint.
                        let _ = commands
                            .send(Command::Decided {
                                server,
                                introduction,
                                accepted,
                            })
                            .await;
                    }
                });
            }
        }
    }

    /// Whether a key may have one more session with us. What its programs have ended makes room: a script
    /// that dials again and again leaves as many behind, each kept for a while in case it goes on.
    fn has_room_for(&mut self, id: PeerId) -> bool {
        let of_peer = self.entries.iter().filter(|(_, one)| one.peer.id == id);
        if of_peer.clone().count() < MAX_PER_PEER {
            return true;
        }
        let ended = of_peer.filter(|(_, one)| one.session.leg.is_gone() && !one.peer.is_in_use());
        let oldest = ended.map(|(&addr, _)| addr).min();
        oldest.is_some_and(|addr| {
            self.forget(addr);
            true
        })
    }

    pub(super) fn decided(&mut self, server: ServerId, introduction: Introduction, accepted: bool) {
        let (id, session) = (introduction.peer, introduction.session);
        if !accepted {
            self.shared.announce(EndpointEvent::Declined { peer: id });
            return self.refuse(server, session, RefuseReason::Declined);
        }
        let Some(place) = self.servers.place(server) else {
            return;
        };
        let now = now();
        let Some(addr) = self.adopt(&introduction, server, now) else {
            return self.refuse(server, session, RefuseReason::Busy);
        };
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let held = self.held.take(session);
        let facts = self.search_facts();
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        // On its way to another server, or at home.
        let to = entry.session.relocations.current.as_ref();
        let to = to.filter(|to| to.leg.session() == session);
        let moves = to.is_some();
        let leg = to.map_or(&entry.session.leg, |to| &to.leg);
        let secret = leg.secret().clone();
        if !moves {
            entry.session.home = Some(server);
        }
        entry.session.introduction = Stage::Agreed;
        entry.session.agent.set_local(&candidates, nat);
        entry.session.agent.set_search(facts);
        let accept = Accept {
            session,
            secret,
            credentials: entry.session.credentials.clone(),
            candidates,
            nat,
        };
        self.control.send(server, accept);
        let first = entry.session.remote.is_none();
        entry.session.remote = Some(introduction.credentials.clone());
        entry.session.nat_remote = introduction.nat;
        if first {
            // Our word reaches the dialer no sooner than this; a check that overtakes it would
            // find its router unprepared, and some then give the port away.
            entry
                .session
                .agent
                .hold_checks(now + self.servers.rtt(Some(server)));
            entry.session.agent.handle_remote(
                introduction.credentials,
                &introduction.candidates,
                introduction.nat,
                now,
            );
            let event = EndpointEvent::Introduced {
                peer: id,
                name: introduction.name,
            };
            self.shared.announce(event);
        } else {
            entry
                .session
                .agent
                .handle_candidates(&introduction.candidates, now);
        }
        if !moves {
            self.use_relay(addr, place);
        }
        self.agreed(addr, now);
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        for datagram in held {
            self.shared.socket.inject(&entry.peer.link, datagram);
        }
        self.drive(addr);
    }

    /// A relayed packet of a session that the path socket did not know when it came. The introduction may
    /// have overtaken the report of it: they come by different tasks.
    pub(super) fn unclaimed(&mut self, session: SessionId, datagram: Vec<u8>, now: Instant) {
        let known = self.by_session.get(&session);
        match known.and_then(|addr| self.entries.get(addr)) {
            Some(entry) => self.shared.socket.inject(&entry.peer.link, datagram),
            None => self.held.hold(session, datagram, now),
        }
    }

    /// The entry whose session an introduction continues: the same credentials again, because the
    /// server was restarted or has forgotten us.
    fn resumed(&self, introduction: &Introduction) -> Option<VirtualAddr> {
        let of_peer = self
            .entries
            .values()
            .filter(|entry| entry.peer.id == introduction.peer);
        of_peer
            .filter(|entry| entry.session.role == Role::Controlled)
            .find(|entry| entry.session.remote.as_ref() == Some(&introduction.credentials))
            .map(|entry| entry.peer.link.addr())
    }

    /// The entry for an introduction that is accepted.
    fn adopt(
        &mut self,
        introduction: &Introduction,
        server: ServerId,
        now: Instant,
    ) -> Option<VirtualAddr> {
        let (id, session) = (introduction.peer, introduction.session);
        if let Some(addr) = self.resumed(introduction) {
            if !self.follow(addr, server, session, now) {
                self.renew(addr, session, now);
            }
            return Some(addr);
        }
        let newest = self.newest.get(&id).copied();
        let dialling = newest.filter(|addr| {
            self.entries
                .get(addr)
                .is_some_and(|entry| entry.session.is_dialling())
        });
        let Some(addr) = dialling else {
            if !self.has_room_for(id) {
                return None;
            }
            return self.add_entry(id, Role::Controlled, session);
        };
        // Our own dial goes on under the other side's introduction.
        let sockets = self.agent_sockets();
        let config = self.agent_config();
        let entry = self.entries.get_mut(&addr)?;
        let old = entry.session.id();
        if let (Stage::Asked { .. }, Some(home)) = (entry.session.introduction, entry.session.home)
        {
            self.control.send(home, CloseSession { session: old });
        }
        self.by_session.remove(&old);
        self.by_fragment.remove(&entry.session.credentials.fragment);
        self.shared.socket.remove_session(old);
        entry.session = Session::new(Role::Controlled, session, config, &sockets, now);
        self.by_fragment
            .insert(entry.session.credentials.fragment, addr);
        self.by_session.insert(session, addr);
        self.shared.socket.add_session(session, &entry.peer.link);
        Some(addr)
    }

    fn refuse(&mut self, server: ServerId, session: SessionId, reason: RefuseReason) {
        drop(self.held.take(session));
        let refused = ToServer::Refuse(Refused { session, reason });
        self.control.send(server, refused);
    }
}
