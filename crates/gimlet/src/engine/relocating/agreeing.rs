//! Both sides agree on a leg at another server, while the one they have stays in use.

use std::time::Instant;

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::candidate::MAX_CANDIDATES;
use gimlet_proto::message::Accepted;
use gimlet_proto::secret::{RelaySecret, SessionId};
use gimlet_proto::traversal::Route;

use crate::control::ServerId;
use crate::engine::Engine;
use crate::engine::leg::Leg;
use crate::engine::relocation::{Relocation, Why};
use crate::engine::session::Introduction as Stage;

impl Engine {
    /// Asks for an introduction at another server while the leg we have stays up.
    pub(in crate::engine) fn ask_to_move(
        &mut self,
        addr: VirtualAddr,
        to: ServerId,
        why: Why,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        entry.session.relocations.looked(now);
        let keepalive = entry.session.keepalive();
        let rtt = entry.session.agent.rtt(Route::Relay);
        let (id, secret) = (SessionId(rand::random()), RelaySecret(rand::random()));
        let leg = Leg::new(id, secret.clone(), keepalive, now);
        self.begin_relocation(addr, Relocation::new(to, leg, why, rtt, now), now);
        self.asking.note(addr);
        self.send_introduce(addr, to, id, secret);
    }

    /// The peer asks us to follow to another leg, mostly at another server, and the one we have is up.
    pub(in crate::engine) fn follow(
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
        if !up || session.home.is_none() || session.id() == id {
            return false;
        }
        let rtt = session.agent.rtt(Route::Relay);
        let secret = RelaySecret(rand::random());
        let leg = Leg::new(id, secret, session.keepalive(), now);
        self.begin_relocation(addr, Relocation::new(to, leg, Why::Asked, rtt, now), now);
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
    pub(in crate::engine) fn accepted_to_move(
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
    pub(in crate::engine) fn refused_to_move(
        &mut self,
        addr: VirtualAddr,
        offline: bool,
        now: Instant,
    ) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if let Some(to) = entry.session.relocations.current.take() {
            self.shared.socket.send_once(&entry.peer.link);
            if to.why == Why::Silence && offline {
                entry.session.absent.insert(to.to);
                entry.session.relocations.look_again(now);
            }
            self.drop_session(to.leg.session());
        }
        self.drive(addr);
    }
}
