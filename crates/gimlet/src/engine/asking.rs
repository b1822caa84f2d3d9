//! Introductions that we ask for, and those that were lost and are asked for again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{Accepted, Introduce, RefuseReason, Refused};
use gimlet_proto::secret::{RelaySecret, SessionId};
use gimlet_proto::traversal::Role;

use super::servers::Whom;
use super::session::Introduction as Stage;
use super::{Engine, Entry, LINGER, now};
use crate::control::ServerId;
use crate::peer::{Path, Peer, Phase, Wanted};

/// Introductions under way at once. A server lets one dialer have 16; what is beyond waits here, or
/// it would be refused there and come back later than needed.
const MAX_ASKED: usize = 12;

/// How long an introduction may be unanswered before the server is asked whether it still is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long one may be unanswered at all: the server gives up after 10 s.
const ANSWER: Duration = Duration::from_secs(12);

/// How long a dial waits for a sign-in at the server where the peer may be.
const SIGN_IN: Duration = Duration::from_secs(5);

/// Introductions, while there are many: after a server was lost.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// At most [`MAX_ASKED`].
    under_way: Vec<VirtualAddr>,
    /// Oldest session first; at most one entry for each.
    waiting: BTreeSet<VirtualAddr>,
}

impl Asking {
    /// Whether one more introduction may be asked for; if not, it has its turn later.
    fn may_ask(&mut self, addr: VirtualAddr, entries: &HashMap<VirtualAddr, Entry>) -> bool {
        let free = self.has_room(entries);
        match free {
            true => self.waiting.remove(&addr),
            false => self.waiting.insert(addr),
        };
        free
    }

    /// The next one that may go on.
    fn next(&mut self, entries: &HashMap<VirtualAddr, Entry>) -> Option<VirtualAddr> {
        if self.waiting.is_empty() || !self.has_room(entries) {
            return None;
        }
        self.waiting.pop_first()
    }

    /// Whether one more introduction may be asked for.
    pub(super) fn has_room(&mut self, entries: &HashMap<VirtualAddr, Entry>) -> bool {
        self.under_way.retain(|addr| {
            let entry = entries.get(addr);
            entry.is_some_and(|entry| {
                let moving = entry.session.relocations.current.as_ref();
                matches!(entry.session.introduction, Stage::Asked { .. })
                    || moving.is_some_and(|to| !to.agreed)
            })
        });
        self.under_way.len() < MAX_ASKED
    }

    /// One more is under way.
    pub(super) fn note(&mut self, addr: VirtualAddr) {
        self.under_way.push(addr);
    }
}

impl Engine {
    /// The peer with a session that is not the stale one, made if need be; `None` where there are too many.
    pub(super) fn dial(
        &mut self,
        id: PeerId,
        stale: Option<VirtualAddr>,
    ) -> Option<(Arc<Peer>, Wanted)> {
        if stale.is_some() && self.newest.get(&id) == stale.as_ref() {
            self.newest.remove(&id);
        }
        let newest = self.newest.get(&id).and_then(|addr| self.entries.get(addr));
        if let Some(entry) = newest {
            return Some((entry.peer.clone(), entry.peer.want()));
        }
        let addr = self.add_entry(id, Role::Controlling, SessionId(rand::random()))?;
        let peer = self.entries.get(&addr)?.peer.clone();
        let wanted = peer.want();
        peer.facts
            .send_modify(|facts| facts.moments.dialled_at = Some(now()));
        // Now, not at the next turn of the loop: the introduction leaves before the first flight.
        self.drive(addr);
        Some((peer, wanted))
    }

    /// Looks for a server to ask for an introduction.
    pub(super) fn seek(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        let session = &entry.session;
        let introduced = session.remote.is_some();
        let whom = match entry.peer.is_in_use() {
            true => self.servers.whom_to_ask(session.home, &session.absent),
            // Nobody needs it now.
            false => Whom::Wait,
        };
        match whom {
            Whom::At(server) if self.asking.may_ask(addr, &self.entries) => {
                self.introduce(addr, server, now);
            }
            // Answers to others let it go on; signing in does.
            Whom::At(_) | Whom::Wait => self.put_off(addr, now + LINGER),
            Whom::SignIn(server) => {
                self.servers.need(server, now);
                self.put_off(addr, now + SIGN_IN);
            }
            Whom::Nobody if introduced => {
                // A session that once was: its peer may be on its way back.
                if let Some(entry) = self.entries.get_mut(&addr) {
                    entry.session.absent.clear();
                    entry.session.lost_introduction(now);
                }
            }
            Whom::Nobody => self.give_up(addr, RefuseReason::Offline),
        }
    }

    fn put_off(&mut self, addr: VirtualAddr, until: Instant) {
        if let Some(entry) = self.entries.get_mut(&addr)
            && let Stage::Wanted { at, .. } = &mut entry.session.introduction
        {
            *at = until;
        }
    }

    /// Lets introductions go on that waited for others to be answered.
    pub(super) fn ask_next(&mut self) {
        while let Some(addr) = self.asking.next(&self.entries) {
            let now = now();
            self.put_off(addr, now);
            self.drive(addr);
        }
    }

    /// An introduction is not answered: by a person who decides, or by a server that is gone.
    pub(super) fn unanswered(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let home = entry.session.home;
        if let Stage::Asked {
            asked_at, look_at, ..
        } = &mut entry.session.introduction
        {
            if now < *asked_at + ANSWER {
                *look_at = *asked_at + ANSWER;
                self.doubt_server(home, now);
            } else {
                entry.session.lost_introduction(now);
            }
        }
    }

    /// Asks a server for an introduction, or again after one was lost.
    fn introduce(&mut self, addr: VirtualAddr, server: ServerId, now: Instant) {
        let Some(place) = self.servers.place(server) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let Stage::Wanted { attempt, .. } = entry.session.introduction else {
            return;
        };
        if attempt > 0 || entry.session.leg.is_gone() {
            self.renew(addr, SessionId(rand::random()), now);
        }
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.session.home = Some(server);
        entry.session.introduction = Stage::Asked {
            attempt,
            asked_at: now,
            look_at: now + PATIENCE,
        };
        let (id, secret) = (entry.session.id(), entry.session.leg.secret().clone());
        self.asking.note(addr);
        self.send_introduce(addr, server, id, secret);
        self.use_relay(addr, place);
    }

    /// Asks for an introduction with this relay session.
    pub(super) fn send_introduce(
        &mut self,
        addr: VirtualAddr,
        server: ServerId,
        session: SessionId,
        secret: RelaySecret,
    ) {
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let facts = self.search_facts();
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.session.agent.set_local(&candidates, nat);
        entry.session.agent.set_search(facts);
        let introduce = Introduce {
            session,
            peer: entry.peer.id,
            secret,
            credentials: entry.session.credentials.clone(),
            candidates,
            nat,
        };
        self.control.send(server, introduce);
    }

    /// Moves an entry to another relay session.
    pub(super) fn renew(&mut self, addr: VirtualAddr, session: SessionId, now: Instant) {
        self.stay(addr, now);
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        self.by_session.remove(&entry.session.id());
        self.shared.socket.remove_session(entry.session.id());
        entry.session.renew(session, now);
        self.by_session.insert(session, addr);
        self.shared.socket.add_session(session, &entry.peer.link);
    }

    pub(super) fn accepted(&mut self, server: ServerId, accepted: Accepted, now: Instant) {
        let Some(addr) = self.session_at(server, accepted.session) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let relocations = &entry.session.relocations;
        if relocations.is_going_to(server, accepted.session) {
            return self.accepted_to_move(addr, &accepted, now);
        }
        let Stage::Asked { .. } = entry.session.introduction else {
            return;
        };
        if accepted.candidates.len() > MAX_CANDIDATES {
            return;
        }
        entry.session.introduction = Stage::Agreed;
        entry.session.absent.clear();
        entry.session.nat_remote = accepted.nat;
        entry
            .peer
            .note_candidates(&accepted.candidates, &self.shared.network);
        let known = entry.session.remote.as_ref() == Some(&accepted.credentials);
        if !known && entry.session.remote.is_some() {
            // The peer was restarted and has forgotten the paths it had.
            self.start_over(addr, now);
        }
        let Some(entry) = self.entries.get_mut(&addr) else {
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
        self.agreed(addr, now);
        self.drive(addr);
    }

    pub(super) fn refused(&mut self, server: ServerId, refused: Refused, now: Instant) {
        let Some(addr) = self.session_at(server, refused.session) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let relocations = &entry.session.relocations;
        if relocations.is_going_to(server, refused.session) {
            let offline = refused.reason == RefuseReason::Offline;
            return self.refused_to_move(addr, offline, now);
        }
        let Stage::Asked { .. } = entry.session.introduction else {
            return;
        };
        if refused.reason == RefuseReason::Offline {
            // It may be at another server.
            entry.session.absent.insert(server);
            entry.session.ask_elsewhere(now);
        } else if entry.session.remote.is_some() {
            entry.session.lost_introduction(now);
        } else if refused.reason == RefuseReason::Superseded {
            // The other introduction is on its way here.
            entry.session.lost_introduction(now);
        } else {
            return self.give_up(addr, refused.reason);
        }
        self.drive(addr);
    }

    /// There is no introduction, and there will be none.
    fn give_up(&mut self, addr: VirtualAddr, reason: RefuseReason) {
        if let Some(entry) = self.entries.get(&addr) {
            let peer = entry.peer.clone();
            peer.phase.send_replace(Phase::Refused(reason));
            self.report_refusal(&peer, reason);
            self.forget(addr);
        }
    }

    /// Begins traversal anew under the same credentials; packets take the relay meanwhile.
    pub(super) fn start_over(&mut self, addr: VirtualAddr, now: Instant) {
        let (config, sockets) = (self.agent_config(), self.agent_sockets());
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.session.start_over(config, &sockets, now);
        entry.reports.restart();
        self.shared.socket.disallow_all(&entry.peer.link);
        entry.peer.path.send_replace(Path::RELAY);
        entry.peer.facts.send_modify(|facts| {
            facts.moments.dialled_at = Some(now);
            facts.moments.direct_at = None;
            facts.moments.confirmed_at = None;
            facts.settled = false;
        });
        let home = entry.session.home;
        if let Some(place) = home.and_then(|home| self.servers.place(home)) {
            self.use_relay(addr, place);
        }
    }

    pub(super) fn agreed(&mut self, addr: VirtualAddr, now: Instant) {
        let nat_local = *self.shared.nat.borrow();
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.peer.phase.send_replace(Phase::Introduced);
        entry.peer.facts.send_modify(|facts| {
            facts.moments.introduced_at.get_or_insert(now);
            facts.nat_local = nat_local;
            facts.nat_remote = entry.session.nat_remote;
        });
    }
}
