//! Moves relay legs to other servers: when, where to, and when it is done. See
//! [`relocation`](super::relocation) for what both sides do.

use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::message::{Accepted, CloseSession};
use gimlet_proto::secret::{RelaySecret, SessionId};
use gimlet_proto::traversal::{Role, Route};

use super::leg::Leg;
use super::relocation::{Left, Relocation, SPREAD, Why, elsewhere};
use super::servers::Whom;
use super::session::Introduction as Stage;
use super::{Engine, Entry};
use crate::control::ServerId;

/// Pause until it is looked again whether another introduction may be asked for, or whether we are
/// signed in where the peer may be.
const TURN: Duration = Duration::from_millis(100);

impl Engine {
    /// Does what there is to do about a session's move to another server.
    pub(super) fn drive_relocation(&mut self, addr: VirtualAddr, now: Instant) {
        self.look_elsewhere(addr, now);
        self.move_nearer(addr, now);
        self.retire(addr, now);
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let doubted = entry.session.agent.doubted_at().is_some();
        let agreed = entry.session.introduction == Stage::Agreed;
        let home = entry.session.home;
        let Some(to) = &mut entry.session.relocations.current else {
            return;
        };
        let at_home = home.and_then(|home| self.servers.place(home));
        let place = self.servers.place(to.to);
        if let (Some(bind), Some(at)) = (to.leg.handle_timeout(now), place) {
            self.shared.socket.send_plain(at.socket, at.addr, &bind);
        }
        let recovered = to.why == Why::Silence && !doubted;
        if place.is_none() || !agreed || recovered || to.is_over(now) {
            self.stay(addr, now);
        } else if to.is_ready(doubted || at_home.is_none()) {
            self.relocate(addr, now);
        }
    }

    /// When to ask another server because the relay is silent; `None` while it is not.
    pub(super) fn look_at(&self, entry: &Entry) -> Option<Instant> {
        let session = &entry.session;
        let may = session.role == Role::Controlling && session.is_relayed();
        if !may || session.relocations.current.is_some() {
            return None;
        }
        let doubted_at = session.agent.doubted_at()?;
        let link = &entry.peer.link;
        // What came before the silence that led to the doubt says nothing.
        let silent_since = doubted_at.checked_sub(link.patience());
        let silent_since = silent_since.unwrap_or(doubted_at);
        let came_at = self.shared.socket.came_at(link);
        let silent_since = came_at.map_or(silent_since, |at| at.max(silent_since));
        let rtt = session.agent.rtt(Route::Relay);
        Some(session.relocations.look_at(doubted_at, silent_since, rtt))
    }

    /// The relay is silent: asks another server, where the peer may be heard.
    fn look_elsewhere(&mut self, addr: VirtualAddr, now: Instant) {
        let has_room = self.asking.has_room(&self.entries);
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        if self.look_at(entry).is_none_or(|at| at > now) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        if !entry.peer.is_in_use() {
            return session.relocations.looked(now);
        }
        let others = elsewhere(session.home, &session.absent);
        match self.servers.whom_to_ask(None, &others) {
            Whom::At(to) if has_room => {
                tracing::debug!(%to, "the relay is silent; asking another server");
                self.ask_to_move(addr, to, Why::Silence, now);
            }
            Whom::At(_) => session.relocations.look_again(now + TURN),
            Whom::SignIn(server) => {
                session.relocations.looked(now);
                session.relocations.look_again(now + TURN);
                self.servers.need(server, now);
            }
            Whom::Wait | Whom::Nobody => {
                session.absent.clear();
                session.relocations.looked(now);
            }
        }
    }

    /// Sessions that are relayed by a server farther than the one that is asked first, move there some
    /// time soon.
    pub(super) fn plan_moves(&mut self, now: Instant) {
        let Some(primary) = self.servers.primary() else {
            return;
        };
        let mut planned = Vec::new();
        for (&addr, entry) in &mut self.entries {
            let session = &mut entry.session;
            let nearer = session.is_relayed()
                && session
                    .home
                    .is_some_and(|home| self.servers.is_better(primary, home));
            let in_use = entry.peer.is_in_use() && session.role == Role::Controlling;
            match (nearer && in_use, session.relocations.move_at) {
                (true, None) => {
                    let wait = SPREAD.mul_f64(rand::random());
                    session.relocations.move_at = Some(now + wait);
                    planned.push(addr);
                }
                (true, Some(_)) => (),
                (false, _) => session.relocations.move_at = None,
            }
        }
        for addr in planned {
            self.schedule(addr);
        }
    }

    fn move_nearer(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        if session.relocations.move_at.is_none_or(|at| at > now)
            || session.relocations.current.is_some()
        {
            return;
        }
        session.relocations.move_at = None;
        let primary = self.servers.primary();
        let nearer = |to: &ServerId| {
            let home = session.home;
            home.is_some_and(|home| self.servers.is_better(*to, home))
        };
        if let Some(to) = primary.filter(nearer)
            && session.is_relayed()
            && session.agent.doubted_at().is_none()
        {
            if !self.asking.has_room(&self.entries) {
                self.plan_move(addr, now + TURN);
                return;
            }
            self.ask_to_move(addr, to, Why::Better, now);
            // Whatever comes of it.
            if let Some(entry) = self.entries.get_mut(&addr) {
                entry.session.relocations.stay(now);
            }
        }
    }

    fn plan_move(&mut self, addr: VirtualAddr, at: Instant) {
        if let Some(entry) = self.entries.get_mut(&addr) {
            entry.session.relocations.move_at = Some(at);
        }
    }

    /// Asks for an introduction at another server while the leg we have stays up.
    pub(super) fn ask_to_move(&mut self, addr: VirtualAddr, to: ServerId, why: Why, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.session.relocations.looked(now);
        let keepalive = entry.session.keepalive();
        let (id, secret) = (SessionId(rand::random()), RelaySecret(rand::random()));
        let leg = Leg::new(id, secret.clone(), keepalive, now);
        self.begin_relocation(addr, Relocation::new(to, leg, why, now), now);
        self.asking.note(addr);
        self.send_introduce(addr, to, id, secret);
    }

    /// The peer asks us to follow to another server, and the leg we have is up.
    pub(super) fn follow(
        &mut self,
        addr: VirtualAddr,
        to: ServerId,
        id: SessionId,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.entries.get(&addr) else {
            return false;
        };
        let session = &entry.session;
        let up = session.introduction == Stage::Agreed && session.leg.is_up();
        if !up || session.home.is_none() || session.home == Some(to) {
            return false;
        }
        let secret = RelaySecret(rand::random());
        let leg = Leg::new(id, secret, session.keepalive(), now);
        self.begin_relocation(addr, Relocation::new(to, leg, Why::Asked, now), now);
        true
    }

    fn begin_relocation(&mut self, addr: VirtualAddr, relocation: Relocation, now: Instant) {
        self.stay(addr, now);
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let id = relocation.leg.session();
        entry.session.relocations.current = Some(relocation);
        self.by_session.insert(id, addr);
        self.shared.socket.add_session(id, &entry.peer.link);
    }

    /// The peer accepts to move.
    pub(super) fn accepted_to_move(
        &mut self,
        addr: VirtualAddr,
        accepted: &Accepted,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if entry.session.remote.as_ref() != Some(&accepted.credentials) {
            // The peer was restarted and knows nothing of this session.
            self.stay(addr, now);
            self.with_entry(addr, |entry| entry.session.ask_again(now));
            return;
        }
        let bounded = accepted.candidates.len().min(MAX_CANDIDATES);
        let candidates = &accepted.candidates[..bounded];
        entry.session.agent.handle_candidates(candidates, now);
        if let Some(to) = &mut entry.session.relocations.current {
            to.agreed = true;
        }
        self.drive(addr);
    }

    /// The peer is not to be found at the other server, or that does not want us.
    pub(super) fn refused_to_move(&mut self, addr: VirtualAddr, offline: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if let Some(to) = entry.session.relocations.current.take() {
            if to.why == Why::Silence && offline {
                entry.session.absent.insert(to.to);
                entry.session.relocations.look_again(now);
            }
            self.drop_session(to.leg.session());
        }
        self.drive(addr);
    }

    /// A server has ended a leg that is not the one in use; `false` if it is.
    pub(super) fn ended_elsewhere(&mut self, addr: VirtualAddr, id: SessionId) -> bool {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return false;
        };
        let session = &mut entry.session;
        let relocations = &mut session.relocations;
        if relocations
            .current
            .as_ref()
            .is_some_and(|to| to.leg.session() == id)
        {
            relocations.current = None;
        } else if relocations
            .left
            .as_ref()
            .is_some_and(|left| left.session == id)
        {
            relocations.left = None;
        } else {
            return false;
        }
        self.drop_session(id);
        true
    }

    /// The new leg carries: packets take it from now on.
    fn relocate(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        let Some(to) = session.relocations.current.take() else {
            return;
        };
        let Some(place) = self.servers.place(to.to) else {
            return;
        };
        tracing::debug!(peer = %entry.peer.id.short(), to = %to.to, why = ?to.why, "relay moved");
        let before = session.id();
        session.leg = to.leg;
        let home = session.home.replace(to.to);
        session.absent.clear();
        session.relocations.move_at = None;
        let accepting = session.role == Role::Controlled;
        let before = session.relocations.leave(home, before, now);
        session.agent.handle_relay_replaced(now);
        if let Some(before) = before {
            self.end_leg(&before, accepting);
        }
        self.use_relay(addr, place);
    }

    /// Gives a move up; what is in use stays so.
    pub(super) fn stay(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        let Some(to) = session.relocations.current.take() else {
            return;
        };
        let home = session.home.and_then(|home| self.servers.place(home));
        if home.is_none() && session.introduction == Stage::Agreed {
            // It was kept for the sake of this.
            session.ask_again(now);
        }
        let session = to.leg.session();
        self.drop_session(session);
        self.control.send(to.to, CloseSession { session });
    }

    /// Ends the leg that was left, when nothing can come over it any more.
    fn retire(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let accepting = entry.session.role == Role::Controlled;
        let left = &mut entry.session.relocations.left;
        if let Some(left) = left.take_if(|left| left.until <= now) {
            self.end_leg(&left, accepting);
        }
    }

    /// Takes nothing more of a leg. The dialing side tells its server; the other one hears of it.
    fn end_leg(&mut self, left: &Left, accepting: bool) {
        let session = left.session;
        self.drop_session(session);
        let home = left.home.filter(|&home| self.servers.place(home).is_some());
        if let (Some(home), false) = (home, accepting) {
            self.control.send(home, CloseSession { session });
        }
    }

    fn drop_session(&mut self, session: SessionId) {
        self.by_session.remove(&session);
        self.shared.socket.remove_session(session);
    }

    /// Ends every leg of a session but the one in use.
    pub(super) fn end_relocations(&mut self, entry: &mut Entry) {
        let relocations = &mut entry.session.relocations;
        let current = relocations.current.take();
        let left = relocations.left.take();
        if let Some(to) = current {
            let session = to.leg.session();
            self.drop_session(session);
            self.control.send(to.to, CloseSession { session });
        }
        if let Some(left) = left {
            self.end_leg(&left, false);
        }
    }
}

impl super::session::Session {
    /// Whether packets take the relay, and that is settled.
    fn is_relayed(&self) -> bool {
        self.introduction == Stage::Agreed && self.agent.selected() == Route::Relay
    }
}
