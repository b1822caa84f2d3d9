//! Legs that are of no use any more: of a move that comes to nothing, and those that were left.

use std::time::Instant;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::message::CloseSession;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::Role;

use crate::engine::relocation::Left;
use crate::engine::session::Introduction as Stage;
use crate::engine::{Engine, Entry};

impl Engine {
    /// Gives a move up; what is in use stays so.
    pub(in crate::engine) fn stay(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        let Some(to) = session.relocations.current.take() else {
            return;
        };
        self.shared.socket.send_once(&entry.peer.link);
        let home = session.home.and_then(|home| self.servers.place(home));
        if home.is_none() && session.introduction == Stage::Agreed {
            // It was kept for the sake of this.
            session.ask_again(now);
        }
        let session = to.leg.session();
        self.drop_session(session);
        self.control.send(to.to, CloseSession { session });
    }

    /// A server has ended a leg that is not the one in use; `false` if it is.
    pub(in crate::engine) fn ended_elsewhere(&mut self, addr: VirtualAddr, id: SessionId) -> bool {
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
            self.shared.socket.send_once(&entry.peer.link);
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

    /// Ends every leg of a session but the one in use.
    pub(in crate::engine) fn end_relocations(&mut self, entry: &mut Entry) {
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
    /// Ends the leg that was left, when nothing can come over it any more.
    pub(super) fn retire(&mut self, addr: VirtualAddr, now: Instant) {
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
    pub(super) fn end_leg(&mut self, left: &Left, accepting: bool) {
        let session = left.session;
        self.drop_session(session);
        let home = left.home.filter(|&home| self.servers.place(home).is_some());
        if let (Some(home), false) = (home, accepting) {
            self.control.send(home, CloseSession { session });
        }
    }

    pub(super) fn drop_session(&mut self, session: SessionId) {
        self.by_session.remove(&session);
        self.shared.socket.remove_session(session);
    }
}
