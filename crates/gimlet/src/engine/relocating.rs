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
use super::apply::relay;
use super::relocation::PATIENCE;
use super::session::{Introduction as Stage, Session};
use crate::control::ServerPlace;

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
        let doubted_at = entry.session.agent.doubted_at();
        let relayed_at = self.shared.socket.relayed_at(&entry.peer.link);
        let agreed = entry.session.introduction == Stage::Agreed;
        let home = entry.session.home;
        let relayed = entry.session.agent.selected() == Route::Relay;
        let Some(to) = &mut entry.session.relocations.current else {
            return;
        };
        let at_home = home.and_then(|home| self.servers.place(home));
        let place = self.servers.place(to.to);
        if let (Some(bind), Some(at)) = (to.leg.handle_timeout(now), place) {
            self.shared.socket.send_plain(at.socket, at.addr, &bind);
        }
        let moot = to.is_moot(doubted_at.is_some(), relayed_at);
        let dead =
            doubted_at.is_some_and(|at| to.verdict_at(at) <= now) && !to.is_answered(relayed_at);
        let Some(place) = place.filter(|_| agreed && !moot && !to.is_over(now)) else {
            return self.stay(addr, now);
        };
        if to.is_ready(dead || at_home.is_none()) {
            self.relocate(addr, now);
        } else if to.is_on_both() || relayed && to.is_for_both(doubted_at.is_some(), relayed_at) {
            self.send_both_ways(addr, place, now);
        }
    }

    /// Packets go over both legs until one of them has proven to be the better one, and QUIC is made to
    /// send some: what it hears of them tells it what was lost.
    fn send_both_ways(&mut self, addr: VirtualAddr, place: ServerPlace, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let Some(to) = &mut entry.session.relocations.current else {
            return;
        };
        let first = !to.is_on_both();
        if !to.take_nudge(2 * self.servers.rtt(Some(to.to)), now) {
            return;
        }
        if first {
            let other = relay(place, to.leg.session());
            let socket = &self.shared.socket;
            socket.send_twice(&entry.peer.link, other, PATIENCE);
        }
        entry.peer.nudge();
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
        let rtt = 2 * self.servers.rtt(Some(to.to));
        let repair = to
            .is_on_both()
            .then_some((relay(place, to.leg.session()), rtt * 2));
        let link = entry.peer.link.clone();
        let before = session.id();
        session.leg = to.leg;
        session.leg.set_hurried(false);
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
        match repair {
            // What is repeated now has been waited for long enough.
            Some((target, time)) => self.shared.socket.send_twice(&link, target, time),
            None => self.shared.socket.send_once(&link),
        }
    }
}

impl Session {
    /// Whether packets take the relay, and that is settled.
    fn is_relayed(&self) -> bool {
        self.introduction == Stage::Agreed && self.agent.selected() == Route::Relay
    }
}
