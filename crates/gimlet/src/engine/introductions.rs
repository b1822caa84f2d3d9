//! Introductions: asking for them, answering them, and living through both at once.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gimlet_net::path::Link;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{
    Accept, Accepted, Candidates, CloseSession, Introduce, Introduction, RefuseReason, Refused,
    ToPeer,
};
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::{Config, Family, Role, SocketId};

use super::session::{Introduction as Stage, Session};
use super::{Command, Engine, Entry, MAX_PEERS, now, with_port};
use crate::control::ControlEvent;
use crate::event::EndpointEvent;
use crate::peer::{Path, Peer, Phase, Wanted};
use crate::policy::{AcceptPolicy, Request};

/// How long a policy may take to decide; the server gives up at about the same time.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

impl Engine {
    pub(super) fn handle_control(&mut self, event: ControlEvent) {
        let now = now();
        match event {
            ControlEvent::Online { server, stun_ports } => {
                self.server = Some(server);
                let main = (server.socket, server.addr);
                let others = stun_ports
                    .iter()
                    .take(3)
                    .map(|&port| with_port(server.addr, port));
                let others = others.map(|addr| (server.socket, addr));
                let asked: Vec<_> = [main].into_iter().chain(others).collect();
                if !asked.iter().all(|target| self.asked.contains(target)) {
                    self.ask_reflexive(asked);
                }
                self.each_peer(|entry| {
                    entry.session.leg.rebind(now);
                    if let Stage::Wanted { at, .. } = &mut entry.session.introduction {
                        *at = now;
                    }
                    // What the old server knew may be lost with it; if not, its session still is
                    // bound and the next bind is answered.
                    if entry.session.leg.is_gone() && entry.session.introduction == Stage::Agreed {
                        entry.session.lost_introduction(now);
                    }
                });
            }
            ControlEvent::Offline => {
                // Introductions under way die with the control session.
                self.each_peer(|entry| {
                    if let Stage::Asked { .. } = entry.session.introduction {
                        entry.session.lost_introduction(now);
                    }
                });
                self.server = None;
            }
            ControlEvent::Message(message) => self.handle_message(message, now),
        }
    }

    fn handle_message(&mut self, message: ToPeer, now: Instant) {
        match message {
            ToPeer::Introduction(introduction) => self.introduced(introduction),
            ToPeer::Accepted(accepted) => self.accepted(accepted, now),
            ToPeer::Refused(refused) => self.refused(refused, now),
            ToPeer::Candidates(more) => self.with_session(more.session, |entry| {
                let bounded = more.candidates.len().min(MAX_CANDIDATES);
                entry
                    .session
                    .agent
                    .handle_candidates(&more.candidates[..bounded], now);
            }),
            ToPeer::SessionClosed(closed) => self.with_session(closed.session, |entry| {
                entry.session.leg.handle_gone();
                entry.session.lost_introduction(now);
            }),
            // Clients act on the end of the session itself; presence has its own subscribers.
            ToPeer::Draining(_) | ToPeer::Presence(_) => (),
            ToPeer::SignedIn(_) | ToPeer::Failed(_) | ToPeer::Page(_) | ToPeer::Resolved(_) => (),
        }
    }

    /// The peer with a session, made if need be; `None` where there are too many.
    pub(super) fn dial(&mut self, id: PeerId) -> Option<(Arc<Peer>, Wanted)> {
        if let Some(entry) = self.peers.get(&id) {
            return Some((entry.peer.clone(), entry.peer.want()));
        }
        let peer = self.add_peer(id, Role::Controlling, SessionId(rand::random()))?;
        let wanted = peer.want();
        // Now, not at the next turn of the loop: the introduction leaves before the first flight.
        self.drive(id);
        Some((peer, wanted))
    }

    /// Asks the server for an introduction, or again after one was lost.
    pub(super) fn introduce(&mut self, id: PeerId, now: Instant) {
        let Some(server) = self.server else { return };
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        let Stage::Wanted { attempt, .. } = entry.session.introduction else {
            return;
        };
        if attempt > 0 || entry.session.leg.is_gone() {
            self.by_session.remove(&entry.session.id());
            self.shared.socket.remove_session(entry.session.id());
            entry.session.renew(SessionId(rand::random()), now);
            self.by_session.insert(entry.session.id(), id);
            self.shared
                .socket
                .add_session(entry.session.id(), &entry.peer.link);
        }
        entry.session.introduction = Stage::Asked { attempt };
        entry.session.agent.set_local(&candidates, nat);
        self.control.send(Introduce {
            session: entry.session.id(),
            peer: id,
            secret: entry.session.leg.secret().clone(),
            credentials: entry.session.credentials.clone(),
            candidates,
            nat,
        });
        self.use_relay(id, server);
    }

    fn introduced(&mut self, introduction: Introduction) {
        let (id, name) = (introduction.peer, introduction.name.clone());
        // The server passes on at most this many; a server that does not is no friend.
        if introduction.candidates.len() > MAX_CANDIDATES || id == self.shared.id {
            return self.refuse(introduction.session, RefuseReason::BadRequest);
        }
        if let Some(entry) = self.peers.get(&id) {
            let resumed = entry.session.remote.as_ref() == Some(&introduction.credentials);
            let dialling = entry.session.role == Role::Controlling
                && entry.session.introduction != Stage::Agreed
                && entry.session.remote.is_none();
            let asked = matches!(entry.session.introduction, Stage::Asked { .. });
            if dialling && asked && self.shared.id < id {
                // Both dial at once: the introduction of the lower id stands, for both.
                return self.refuse(introduction.session, RefuseReason::Superseded);
            }
            // Whom we dial we also let in.
            if resumed || dialling {
                return self.decided(introduction, true);
            }
        }
        match &self.shared.policy {
            AcceptPolicy::All => self.decided(introduction, true),
            AcceptPolicy::Nobody => self.decided(introduction, false),
            AcceptPolicy::Known(known) => {
                let accepted = known.contains(&id);
                self.decided(introduction, accepted);
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
                                introduction,
                                accepted,
                            })
                            .await;
                    }
                });
            }
        }
    }

    pub(super) fn decided(&mut self, introduction: Introduction, accepted: bool) {
        let (id, session) = (introduction.peer, introduction.session);
        if !accepted {
            self.shared.announce(EndpointEvent::Declined { peer: id });
            return self.refuse(session, RefuseReason::Declined);
        }
        let Some(server) = self.server else { return };
        let now = now();
        if self.adopt(id, &introduction, now).is_none() {
            return self.refuse(session, RefuseReason::Busy);
        }
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let held = self.held.take(session);
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        entry.session.introduction = Stage::Agreed;
        entry.session.agent.set_local(&candidates, nat);
        self.control.send(Accept {
            session,
            secret: entry.session.leg.secret().clone(),
            credentials: entry.session.credentials.clone(),
            candidates,
            nat,
        });
        let first = entry.session.remote.is_none();
        entry.session.remote = Some(introduction.credentials.clone());
        entry.session.nat_remote = introduction.nat;
        if first {
            entry.session.agent.handle_remote(
                introduction.credentials,
                &introduction.candidates,
                introduction.nat,
                now,
            );
        } else {
            entry
                .session
                .agent
                .handle_candidates(&introduction.candidates, now);
        }
        self.use_relay(id, server);
        self.agreed(id, now);
        let Some(entry) = self.peers.get(&id) else {
            return;
        };
        for datagram in held {
            self.shared.socket.inject(&entry.peer.link, datagram);
        }
        let event = EndpointEvent::Introduced {
            peer: id,
            name: introduction.name,
        };
        if first {
            self.shared.announce(event);
        }
        self.drive(id);
    }

    /// The entry for an introduction that is accepted: the one there is, over a new relay session,
    /// where it is the same session as before; otherwise a fresh one under the same address.
    fn adopt(&mut self, id: PeerId, introduction: &Introduction, now: Instant) -> Option<()> {
        let session = introduction.session;
        let Some(entry) = self.peers.get_mut(&id) else {
            return self.add_peer(id, Role::Controlled, session).map(drop);
        };
        self.by_session.remove(&entry.session.id());
        self.shared.socket.remove_session(entry.session.id());
        if entry.session.remote.as_ref() == Some(&introduction.credentials) {
            entry.session.renew(session, now);
        } else {
            let old = entry.session.id();
            if matches!(entry.session.introduction, Stage::Asked { .. }) {
                self.control.send(CloseSession { session: old });
            }
            self.by_fragment.remove(&entry.session.credentials.fragment);
            let sockets = sockets_of(&self.shared.sockets, self.shared.relay_only);
            let config = agent_config(self.asked.iter().any(|(_, addr)| addr.ip().is_loopback()));
            entry.session = Session::new(Role::Controlled, session, config, &sockets, now);
            self.by_fragment
                .insert(entry.session.credentials.fragment, id);
            self.back_to_relay(id);
        }
        let entry = self.peers.get(&id)?;
        self.by_session.insert(session, id);
        self.shared.socket.add_session(session, &entry.peer.link);
        Some(())
    }

    fn accepted(&mut self, accepted: Accepted, now: Instant) {
        let Some(&id) = self.by_session.get(&accepted.session) else {
            return;
        };
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        let Stage::Asked { .. } = entry.session.introduction else {
            return;
        };
        if accepted.candidates.len() > MAX_CANDIDATES {
            return;
        }
        entry.session.introduction = Stage::Agreed;
        entry.session.nat_remote = accepted.nat;
        let known = entry.session.remote.as_ref() == Some(&accepted.credentials);
        if !known && entry.session.remote.is_some() {
            // The peer was restarted and has forgotten the paths it had.
            let config = agent_config(self.allow_loopback());
            let sockets = sockets_of(&self.shared.sockets, self.shared.relay_only);
            self.start_over(id, config, &sockets, now);
        }
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        if known {
            entry
                .session
                .agent
                .handle_candidates(&accepted.candidates, now);
        } else {
            entry.session.agent.handle_remote(
                accepted.credentials.clone(),
                &accepted.candidates,
                accepted.nat,
                now,
            );
            entry.session.remote = Some(accepted.credentials);
        }
        self.agreed(id, now);
        self.drive(id);
    }

    /// Begins traversal anew under the same credentials; packets take the relay meanwhile.
    fn start_over(
        &mut self,
        id: PeerId,
        config: Config,
        sockets: &[(SocketId, Family)],
        now: Instant,
    ) {
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        entry.session.start_over(config, sockets, now);
        self.back_to_relay(id);
    }

    /// Forgets what was known of direct paths.
    fn back_to_relay(&mut self, id: PeerId) {
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        self.shared.socket.disallow_all(&entry.peer.link);
        entry.peer.path.send_replace(Path::RELAY);
        entry.peer.facts.send_modify(|facts| {
            facts.moments.direct_at = None;
            facts.moments.confirmed_at = None;
            facts.settled = false;
        });
        if let Some(server) = self.server {
            self.use_relay(id, server);
        }
    }

    fn refused(&mut self, refused: Refused, now: Instant) {
        let Some(&id) = self.by_session.get(&refused.session) else {
            return;
        };
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        let Stage::Asked { .. } = entry.session.introduction else {
            return;
        };
        if entry.session.remote.is_some() {
            // A session that once was: its peer may be on its way back.
            entry.session.lost_introduction(now);
        } else if refused.reason == RefuseReason::Superseded {
            // The other introduction is on its way here.
            entry.session.lost_introduction(now);
        } else {
            entry
                .peer
                .phase
                .send_replace(Phase::Refused(refused.reason));
            self.forget(id);
            return;
        }
        self.drive(id);
    }

    fn refuse(&mut self, session: SessionId, reason: RefuseReason) {
        drop(self.held.take(session));
        self.control
            .send(gimlet_proto::message::ToServer::Refuse(Refused {
                session,
                reason,
            }));
    }

    fn agreed(&mut self, id: PeerId, now: Instant) {
        let nat_local = *self.shared.nat.borrow();
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        entry.peer.phase.send_replace(Phase::Introduced);
        entry.peer.facts.send_modify(|facts| {
            facts.moments.introduced_at.get_or_insert(now);
            facts.nat_local = nat_local;
            facts.nat_remote = entry.session.nat_remote;
        });
    }

    /// Tells every peer what was found since it was introduced.
    pub(super) fn announce_candidates(&mut self) {
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        for entry in self.peers.values_mut() {
            entry.session.agent.set_local(&candidates, nat);
            if entry.session.introduction == Stage::Agreed {
                let session = entry.session.id();
                let candidates = candidates.clone();
                self.control
                    .send(gimlet_proto::message::ToServer::Candidates(Candidates {
                        session,
                        candidates,
                    }));
            }
        }
    }

    fn add_peer(&mut self, id: PeerId, role: Role, session: SessionId) -> Option<Arc<Peer>> {
        if self.peers.len() >= MAX_PEERS {
            self.sweep(now());
        }
        if self.peers.len() >= MAX_PEERS {
            return None;
        }
        let link = Link::new(self.shared.next_addr());
        let peer = Peer::new(id, link.clone());
        let sockets = sockets_of(&self.shared.sockets, self.shared.relay_only);
        let config = agent_config(self.allow_loopback());
        let session = Session::new(role, session, config, &sockets, now());
        self.by_addr.insert(link.addr(), id);
        self.by_session.insert(session.id(), id);
        self.by_fragment.insert(session.credentials.fragment, id);
        self.shared.socket.add_link(&link);
        self.shared.socket.add_session(session.id(), &link);
        let mut peers = self
            .shared
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        peers.insert(link.addr(), peer.clone());
        drop(peers);
        self.peers.insert(
            id,
            Entry {
                peer: peer.clone(),
                session,
                unused_since: None,
            },
        );
        Some(peer)
    }

    /// Tells the server that a session is over, and takes none of its frames any more.
    pub(super) fn end_session(&mut self, session: &Session) {
        self.by_session.remove(&session.id());
        self.shared.socket.remove_session(session.id());
        if session.introduction == Stage::Agreed && !session.leg.is_gone() {
            self.control
                .send(gimlet_proto::message::ToServer::CloseSession(
                    CloseSession {
                        session: session.id(),
                    },
                ));
        }
    }

    fn each_peer(&mut self, mut act: impl FnMut(&mut Entry)) {
        let ids: Vec<_> = self.peers.keys().copied().collect();
        for id in ids {
            self.with_peer(id, &mut act);
        }
    }
}

fn sockets_of(
    sockets: &[(SocketId, Family, std::net::SocketAddr)],
    relay_only: bool,
) -> Vec<(SocketId, Family)> {
    match relay_only {
        true => Vec::new(),
        false => sockets
            .iter()
            .map(|&(id, family, _)| (id, family))
            .collect(),
    }
}

fn agent_config(allow_loopback: bool) -> Config {
    let mut config = Config::default();
    config.allow_loopback = allow_loopback;
    config
}
