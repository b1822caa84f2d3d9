//! Servers that come and go: what becomes of the sessions they relay.

use std::time::Instant;

use gimlet_proto::traversal::Role;
use gimlet_proto::tunnel::is_tunnel;

use super::Signed;
use crate::control::{ControlEvent, ServerId, ServerPlace};
use crate::engine::relocation::Why;
use crate::engine::session::Introduction as Stage;
use crate::engine::{Engine, now};
use crate::error::SignInError;
use crate::event::EndpointEvent;

impl Engine {
    pub(in crate::engine) fn handle_control(&mut self, server: ServerId, event: ControlEvent) {
        let now = now();
        match event {
            ControlEvent::Online {
                server: place,
                stun_ports,
                rtt,
                signed_in,
            } => {
                let observed = signed_in.observed;
                let Some(known) = self.servers.known.get_mut(server.index()) else {
                    return;
                };
                known.error = None;
                known.signed = Some(Signed {
                    place,
                    stun_ports,
                    signed_in,
                    rtt,
                });
                // Where a server sees a tunnel is no place.
                let seen = (place.socket, observed);
                let seen = (!is_tunnel(observed)).then_some(seen);
                let before = std::mem::replace(&mut known.seen, seen);
                self.servers.roles.handle_online(server, rtt, now);
                self.servers.unmeasured.remove(&server);
                // It is the primary anew also where it was that before.
                self.servers.primary.take_if(|id| *id == server);
                self.drive_servers(now);
                self.server_online(server, place, now);
                self.watch_at(server);
                if before.is_some() && seen.is_some() && before != seen {
                    self.moved("the server sees us elsewhere", now);
                }
            }
            ControlEvent::Offline(error) => self.server_offline(server, error, now),
            ControlEvent::Message(message) => self.handle_message(server, message, now),
        }
    }

    /// Sessions of a server that we are signed in to, perhaps again.
    fn server_online(&mut self, server: ServerId, place: ServerPlace, now: Instant) {
        let mut at_home = Vec::new();
        self.each_entry(|entry| {
            if let Stage::Wanted { at, .. } = &mut entry.session.introduction {
                *at = now;
            }
            if entry.session.home != Some(server) {
                return;
            }
            at_home.push(entry.peer.link.addr());
            entry.session.leg.rebind(now);
            // What the old server knew may be lost with it; if not, its session still is bound and
            // the next bind is answered.
            if entry.session.leg.is_gone() && entry.session.introduction == Stage::Agreed {
                entry.session.lost_introduction(now);
            }
        });
        for addr in at_home {
            self.use_relay(addr, place);
        }
    }

    fn server_offline(&mut self, server: ServerId, error: SignInError, now: Instant) {
        let Some(known) = self.servers.known.get_mut(server.index()) else {
            return;
        };
        let was_online = known.signed.take().is_some();
        if error == SignInError::SignedOut {
            self.servers.roles.handle_dismissed(server, now);
        } else {
            known.error = Some(error.clone());
            let definite = error.is_definite();
            self.servers.roles.handle_offline(server, definite, now);
            self.servers.nearness.miss(server, now);
        }
        self.drive_servers(now);
        if self.servers.primary.is_none() && error != SignInError::SignedOut {
            let reason = error;
            self.shared.announce(EndpointEvent::SignedOut { reason });
        }
        self.unwatch_at(server);
        if was_online {
            self.leave_server(server, now);
        }
        // Dials that wait for it look elsewhere.
        self.each_entry(|entry| {
            let dialling = entry.session.is_dialling();
            if let Stage::Wanted { at, .. } = &mut entry.session.introduction
                && dialling
            {
                *at = now;
            }
        });
    }

    /// A server goes down: we are elsewhere before it does.
    pub(in crate::engine) fn server_draining(&mut self, server: ServerId, now: Instant) {
        self.servers.roles.handle_draining(server, now);
        self.servers.stirred = true;
        self.drive_servers(now);
        if self.servers.primary != Some(server) {
            self.leave_server(server, now);
        }
    }

    /// Moves every session off a server, as soon as there is another one.
    fn leave_server(&mut self, server: ServerId, now: Instant) {
        let elsewhere = self.servers.primary.is_some();
        let still_there = self.servers.place(server).is_some();
        self.each_entry(|entry| {
            let session = &mut entry.session;
            if session.home != Some(server) {
                return;
            }
            match session.introduction {
                // Introductions under way die with the control session.
                Stage::Asked { .. } => session.lost_introduction(now),
                Stage::Agreed if elsewhere && session.role == Role::Controlling => {
                    if let Some(to) = &mut session.relocations.current {
                        // On its way already, and what it has is no reason to wait any more.
                        to.why = Why::Silence;
                        return;
                    }
                    if still_there && session.leg.is_up() {
                        session.relocations.move_at = Some(now);
                        return;
                    }
                }
                Stage::Agreed | Stage::Wanted { .. } => return,
            }
            if elsewhere {
                session.ask_again(now);
            }
        });
    }
}
