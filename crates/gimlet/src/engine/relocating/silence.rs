//! The relay says nothing: another server is asked, where the peer may be heard; and later the same
//! server, should it be the peer's leg that is lost, or ours.

use std::time::Instant;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::traversal::{Role, Route};

use super::TURN;
use crate::engine::relocation::{Why, elsewhere};
use crate::engine::servers::Whom;
use crate::engine::{Engine, Entry};

impl Engine {
    /// When to ask another server because the relay is silent; `None` while it is not.
    pub(in crate::engine) fn look_at(&self, entry: &Entry) -> Option<Instant> {
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
        let regularly = entry.beat.was_regular();
        let relocations = &session.relocations;
        Some(relocations.look_at(doubted_at, silent_since, regularly, rtt))
    }

    /// When the leg in use counts as dead, while there is another one to go to.
    pub(in crate::engine) fn verdict_at(&self, entry: &Entry, now: Instant) -> Option<Instant> {
        let to = entry.session.relocations.current.as_ref()?;
        let verdict_at = to.verdict_at(entry.session.agent.doubted_at()?);
        (verdict_at > now).then_some(verdict_at)
    }

    /// The relay is silent: asks another server, where the peer may be heard.
    pub(super) fn look_elsewhere(&mut self, addr: VirtualAddr, now: Instant) {
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
        let whom = self.servers.whom_to_ask(None, &others);
        let doubted_at = session.agent.doubted_at();
        let relocations = &session.relocations;
        let at_home = session.home.filter(|home| {
            let due = doubted_at.is_some_and(|at| relocations.may_ask_at_home(at, now));
            due && !session.absent.contains(home) && self.servers.place(*home).is_some()
        });
        let whom = match whom {
            Whom::At(_) | Whom::SignIn(_) if !relocations.is_turn_of_home() => whom,
            whom => at_home.map_or(whom, Whom::At),
        };
        match whom {
            Whom::At(to) if has_room => {
                tracing::debug!(%to, "the relay is silent; asking for another leg");
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
}
