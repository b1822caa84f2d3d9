//! Moves relay legs to other servers. See [`relocation`](super::relocation) for what both sides do.
//!
//! | part | what |
//! | --- | --- |
//! | [`silence`] | the relay says nothing: another server is asked |
//! | [`nearer`] | a nearer server is there: sessions move to it, one by one |
//! | [`agreeing`] | both sides agree on a leg at another server |
//! | [`ending`] | legs that are of no use any more |
//!
//! Here is what they have in common: what becomes of the move under way, and the change to its leg.

use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::traversal::{Role, Route};

use super::Engine;
use super::relocation::Why;
use super::session::{Introduction as Stage, Session};

mod agreeing;
mod ending;
mod nearer;
mod silence;

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
}

impl Session {
    /// Whether packets take the relay, and that is settled.
    fn is_relayed(&self) -> bool {
        self.introduction == Stage::Agreed && self.agent.selected() == Route::Relay
    }
}
