//! A nearer server is there, or ours is about to go: sessions move, each when its turn has come.

use std::time::Instant;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::traversal::Role;

use super::TURN;
use crate::control::ServerId;
use crate::engine::Engine;
use crate::engine::relocation::{SPREAD, Why};

impl Engine {
    /// Sessions that are relayed by a server farther than the one that is asked first, move there some
    /// time soon.
    pub(in crate::engine) fn plan_moves(&mut self, now: Instant) {
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

    pub(super) fn move_nearer(&mut self, addr: VirtualAddr, now: Instant) {
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
}
