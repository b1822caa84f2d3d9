//! The sessions an engine holds: made, found, looked after and forgotten.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use gimlet_net::path::Link;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::CloseSession;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::{Config, Family, Role, SocketId};

use super::beat::Beat;
use super::reporting::Reports;
use super::session::{Introduction as Stage, Session};
use super::{Engine, Entry, LINGER, MAX_SESSIONS, now};
use crate::control::ServerId;
use crate::peer::Peer;

/// Shortest gap before a check is repeated: a few of the lab's round trips and a busy host's delay.
const SHORTEST_RETRY: Duration = Duration::from_millis(3);

impl Engine {
    pub(super) fn add_entry(
        &mut self,
        id: PeerId,
        role: Role,
        session: SessionId,
    ) -> Option<VirtualAddr> {
        if self.entries.len() >= MAX_SESSIONS {
            self.sweep(now());
        }
        if self.entries.len() >= MAX_SESSIONS {
            return None;
        }
        let link = Link::new(self.shared.next_addr());
        let addr = link.addr();
        let peer = Peer::new(id, link.clone());
        let session = Session::new(
            role,
            session,
            self.agent_config(),
            &self.agent_sockets(),
            now(),
        );
        self.newest.insert(id, addr);
        self.by_session.insert(session.id(), addr);
        self.by_fragment.insert(session.credentials.fragment, addr);
        self.shared.socket.add_link(&link);
        self.shared.socket.add_session(session.id(), &link);
        let mut peers = self
            .shared
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        peers.insert(addr, peer.clone());
        drop(peers);
        self.entries.insert(
            addr,
            Entry {
                peer,
                session,
                reports: Reports::default(),
                beat: Beat::default(),
                stopped_at: None,
                unused_since: None,
                due_at: None,
            },
        );
        Some(addr)
    }

    pub(super) fn with_link(&mut self, link: &Link, act: impl FnOnce(&mut Entry)) {
        self.with_entry(link.addr(), act);
    }

    pub(super) fn with_session(&mut self, session: SessionId, act: impl FnOnce(&mut Entry)) {
        if let Some(&addr) = self.by_session.get(&session) {
            self.with_entry(addr, act);
        }
    }

    /// The same for what a server says, which speaks about its own sessions only.
    pub(super) fn with_session_at(
        &mut self,
        server: ServerId,
        session: SessionId,
        act: impl FnOnce(&mut Entry),
    ) {
        if let Some(addr) = self.session_at(server, session) {
            self.with_entry(addr, act);
        }
    }

    /// Lets `act` change a session and carries out what follows from it.
    pub(super) fn with_entry(&mut self, addr: VirtualAddr, act: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        act(entry);
        self.drive(addr);
    }

    pub(super) fn each_entry(&mut self, mut act: impl FnMut(&mut Entry)) {
        let addrs: Vec<_> = self.entries.keys().copied().collect();
        for addr in addrs {
            self.with_entry(addr, &mut act);
        }
    }

    /// Notes when an entry wants to be looked at next.
    pub(super) fn schedule(&mut self, addr: VirtualAddr) {
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        let moves = [self.look_at(entry), self.verdict_at(entry, now())];
        let times = moves.into_iter().chain([entry.session.poll_timeout()]);
        let due_at = times.flatten().min();
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if due_at != entry.due_at {
            self.due.extend(due_at.map(|at| (at, addr)));
            if let Some(at) = std::mem::replace(&mut entry.due_at, due_at) {
                self.due.remove(&(at, addr));
            }
        }
    }

    /// Ends what nobody uses, and asks again for what was lost and is still used.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.held.expire(now);
        self.report_overdue(now);
        let mut over = Vec::new();
        let mut homes = BTreeSet::new();
        for (&addr, entry) in &mut self.entries {
            if entry.peer.is_in_use() {
                entry.unused_since = None;
                homes.extend(entry.session.home);
                homes.extend(entry.session.relocations.needed());
            } else if now >= *entry.unused_since.get_or_insert(now) + LINGER {
                over.push(addr);
            }
        }
        for home in homes {
            self.servers.need(home, now);
        }
        for addr in over {
            self.forget(addr);
        }
        self.plan_moves(now);
    }

    /// Says goodbye to every peer, and to the server for every session. Links stay until it is said.
    pub(super) fn stop(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        for entry in entries.values_mut() {
            entry.peer.close_connections();
            self.report_end(entry);
            self.end_relocations(entry);
            self.end_session(&entry.session);
        }
    }

    pub(super) fn forget(&mut self, addr: VirtualAddr) {
        let Some(mut entry) = self.entries.remove(&addr) else {
            return;
        };
        let id = entry.peer.id;
        self.report_end(&mut entry);
        self.end_relocations(&mut entry);
        if let Some(at) = entry.due_at {
            self.due.remove(&(at, addr));
        }
        self.end_session(&entry.session);
        self.forget_search(addr, now());
        self.by_fragment.remove(&entry.session.credentials.fragment);
        if self.newest.get(&id) == Some(&addr) {
            self.newest.remove(&id);
        }
        self.shared
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&addr);
        self.shared.socket.remove_link(addr);
    }

    /// Tells the server that a session is over, and takes none of its frames any more.
    pub(super) fn end_session(&mut self, session: &Session) {
        self.by_session.remove(&session.id());
        self.shared.socket.remove_session(session.id());
        if let Some(home) = session.home
            && session.introduction == Stage::Agreed
            && !session.leg.is_gone()
        {
            let session = session.id();
            self.control.send(home, CloseSession { session });
        }
    }

    pub(super) fn agent_sockets(&self) -> Vec<(SocketId, Family)> {
        match self.shared.relay_only {
            true => Vec::new(),
            false => self
                .shared
                .sockets
                .iter()
                .map(|&(id, family, _)| (id, family))
                .collect(),
        }
    }

    pub(super) fn agent_config(&self) -> Config {
        let mut config = Config::default();
        config.keepalive_interval = self.movement.keepalive();
        config.allow_loopback = self.allow_loopback();
        // A peer may be farther than the server, then a few checks are repeated in vain; where both
        // are near, a check that came too early costs no more than this.
        let server_rtt = self.servers.primary_rtt();
        if server_rtt > Duration::ZERO {
            config.first_retry = (2 * server_rtt).clamp(SHORTEST_RETRY, config.first_retry);
        }
        config
    }
}
