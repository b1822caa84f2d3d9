//! Introductions that we ask for, and those that were lost and are asked for again.

use std::sync::Arc;
use std::time::Instant;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{Accepted, Introduce, RefuseReason, Refused};
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::Role;

use super::{Engine, now};
use super::session::Introduction as Stage;
use crate::peer::{Path, Peer, Phase, Wanted};

impl Engine {
    /// The peer with a session, made if need be; `None` where there are too many.
    pub(super) fn dial(&mut self, id: PeerId) -> Option<(Arc<Peer>, Wanted)> {
        let newest = self.newest.get(&id).and_then(|addr| self.entries.get(addr));
        if let Some(entry) = newest {
            return Some((entry.peer.clone(), entry.peer.want()));
        }
        let addr = self.add_entry(id, Role::Controlling, SessionId(rand::random()))?;
        let peer = self.entries.get(&addr)?.peer.clone();
        let wanted = peer.want();
        peer.facts.send_modify(|facts| facts.moments.dialled_at = Some(now()));
        // Now, not at the next turn of the loop: the introduction leaves before the first flight.
        self.drive(addr);
        Some((peer, wanted))
    }

    /// Asks the server for an introduction, or again after one was lost.
    pub(super) fn introduce(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(server) = self.server else { return };
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let facts = self.search_facts();
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
        entry.session.introduction = Stage::Asked { attempt };
        entry.session.agent.set_local(&candidates, nat);
        entry.session.agent.set_search(facts);
        self.control.send(Introduce {
            session: entry.session.id(),
            peer: entry.peer.id,
            secret: entry.session.leg.secret().clone(),
            credentials: entry.session.credentials.clone(),
            candidates,
            nat,
        });
        self.use_relay(addr, server);
    }

    /// Moves an entry to another relay session.
    pub(super) fn renew(&mut self, addr: VirtualAddr, session: SessionId, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        self.by_session.remove(&entry.session.id());
        self.shared.socket.remove_session(entry.session.id());
        entry.session.renew(session, now);
        self.by_session.insert(session, addr);
        self.shared.socket.add_session(session, &entry.peer.link);
    }

    pub(super) fn accepted(&mut self, accepted: Accepted, now: Instant) {
        let Some(&addr) = self.by_session.get(&accepted.session) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
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

    pub(super) fn refused(&mut self, refused: Refused, now: Instant) {
        let Some(&addr) = self.by_session.get(&refused.session) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&addr) else {
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
            let peer = entry.peer.clone();
            peer.phase.send_replace(Phase::Refused(refused.reason));
            self.report_refusal(&peer, refused.reason);
            self.forget(addr);
            return;
        }
        self.drive(addr);
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
        if let Some(server) = self.server {
            self.use_relay(addr, server);
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
