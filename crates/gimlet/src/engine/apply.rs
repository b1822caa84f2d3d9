//! Carries out what a session's machines decide.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_net::path::Target;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::message::{PathKind, PathReport, ToServer};
use gimlet_proto::traversal::{Event, Role, Route, SocketId};

use super::session::Introduction;
use super::{CHECKS, Engine, now};
use crate::control::ServerPlace;
use crate::event::EndpointEvent;
use crate::peer::Path;

/// What a path is taken to need until its round trip is measured: a relay on another continent.
const UNKNOWN_RTT: Duration = Duration::from_millis(400);

impl Engine {
    /// Drains everything a session has to say: the one place where its decisions take effect.
    pub(super) fn drive(&mut self, addr: VirtualAddr) {
        let now = now();
        self.drive_introduction(addr, now);
        self.drive_leg(addr, now);
        self.drive_relocation(addr, now);
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let mut events = Vec::new();
        while let Some(event) = entry.session.agent.poll_event() {
            events.push(event);
        }
        for event in events {
            self.apply(addr, event, now);
        }
        self.watch_relay(addr);
        self.transmit(addr, now);
        self.tell_search(addr);
        self.schedule(addr);
    }

    /// How long the relay may be silent is known once its round trip is.
    fn watch_relay(&self, addr: VirtualAddr) {
        if let Some(entry) = self.entries.get(&addr)
            && entry.session.agent.selected() == Route::Relay
            && let Some(rtt) = entry.session.agent.rtt(Route::Relay)
        {
            entry.peer.link.set_rtt(rtt);
        }
    }

    fn drive_introduction(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        if entry.session.role != Role::Controlling {
            return;
        }
        match entry.session.introduction {
            Introduction::Wanted { at, .. } if at <= now => self.seek(addr, now),
            Introduction::Asked { look_at, .. } if look_at <= now => self.unanswered(addr, now),
            Introduction::Wanted { .. } | Introduction::Asked { .. } | Introduction::Agreed => (),
        }
    }

    fn drive_leg(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = &mut entry.session;
        let place = session.home.and_then(|home| self.servers.place(home));
        if let (Some(bind), Some(server)) = (session.leg.handle_timeout(now), place) {
            self.shared
                .socket
                .send_plain(server.socket, server.addr, &bind);
        }
        if session.leg.is_up() != session.relay_up {
            session.relay_up = session.leg.is_up();
            session.agent.handle_relay(session.relay_up, now);
        }
        if session.leg.is_gone() && session.introduction == Introduction::Agreed {
            session.lost_introduction(now);
        }
        let waits = matches!(session.introduction, Introduction::Wanted { .. });
        if session.role == Role::Controlled && waits && session.leg.is_up() && place.is_some() {
            // The server knows it after all, and the dialer has nothing to ask for.
            session.introduction = Introduction::Agreed;
        }
        if session.leg.is_silent() {
            let home = session.home;
            self.doubt_server(home, now);
        }
    }

    fn transmit(&mut self, addr: VirtualAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&addr) else {
            return;
        };
        let session = entry.session.id();
        let place = entry.session.home.and_then(|home| self.servers.place(home));
        let paths = &self.shared.socket;
        while let Some(transmit) = entry.session.agent.poll_transmit() {
            match (transmit.via, place) {
                (Route::Direct { socket, remote }, _) => {
                    let proven = paths.link_at(socket, remote) == Some(addr);
                    let may_send = proven
                        || self.checks.take(1, &CHECKS, now)
                            && self.searches.may_send(remote.ip(), now);
                    if may_send {
                        paths.send_plain(socket, remote, &transmit.payload);
                    }
                }
                (Route::Relay, Some(ServerPlace { socket, addr })) => {
                    paths.send_relayed(socket, addr, session, &transmit.payload);
                }
                (Route::Relay, None) => (),
            }
        }
    }

    /// An address is proven to be a session's while it still belongs to another. Of the same peer's, the
    /// older one is over: its program was started anew and has the port that the one before had. Of
    /// another's, it is over if nobody uses it.
    fn supersede(&mut self, socket: SocketId, remote: SocketAddr, by: VirtualAddr) -> bool {
        let owner = self.shared.socket.link_at(socket, remote);
        let Some((owner, old)) = owner.and_then(|owner| Some((owner, self.entries.get(&owner)?)))
        else {
            return false;
        };
        let same_peer = (self.entries.get(&by)).is_some_and(|new| new.peer.id == old.peer.id);
        if owner >= by || old.peer.is_in_use() && !same_peer {
            return false;
        }
        old.peer.close_connections();
        self.forget(owner);
        true
    }

    fn apply(&mut self, addr: VirtualAddr, event: Event, now: Instant) {
        let Some(event) = self.apply_search(addr, event, now) else {
            return;
        };
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        let peer = entry.peer.clone();
        match event {
            Event::Allowed { socket, remote } => {
                let mut allowed = self.shared.socket.allow(socket, remote, &peer.link);
                if !allowed && self.supersede(socket, remote, addr) {
                    allowed = self.shared.socket.allow(socket, remote, &peer.link);
                }
                tracing::debug!(peer = %peer.id.short(), %remote, allowed, "address proven");
            }
            Event::Disallowed { socket, remote } => {
                self.shared.socket.disallow(socket, remote, &peer.link);
            }
            Event::Selected {
                route,
                strategy,
                rtt,
            } => {
                peer.link.set_rtt(rtt.unwrap_or(UNKNOWN_RTT));
                let path = match route {
                    Route::Relay => Path { rtt, ..Path::RELAY },
                    Route::Direct { socket, remote } => Path {
                        kind: PathKind::Direct,
                        local: self.local_of(socket, remote),
                        remote: Some(remote),
                        rtt,
                        strategy,
                    },
                };
                self.select(addr, route, path, now);
            }
            Event::Recovered { route, after } => {
                tracing::debug!(peer = %peer.id.short(), ?route, ?after, "path answers again");
                peer.recovered(after);
            }
            Event::Confirmed { .. } => {
                peer.facts.send_modify(|facts| {
                    facts.moments.confirmed_at.get_or_insert(now);
                });
                self.report_complete(addr);
            }
            Event::Settled(outcome) => {
                peer.facts.send_modify(|facts| facts.settled = true);
                self.attempt_settled(addr, outcome.failure.is_none());
            }
            // Later versions of the agent may say more than this engine needs.
            _ => (),
        }
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        let outcome = entry.session.agent.outcome();
        peer.facts.send_modify(|facts| facts.outcome = outcome);
    }

    fn select(&mut self, addr: VirtualAddr, route: Route, path: Path, now: Instant) {
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        let peer = entry.peer.clone();
        match route {
            Route::Direct { socket, remote } => {
                self.shared.socket.adopt(socket);
                let target = Target::Direct { socket, remote };
                peer.set_target(target, &self.shared.network);
            }
            Route::Relay => {
                let place = entry.session.home.and_then(|home| self.servers.place(home));
                if let Some(server) = place {
                    peer.set_target(relay(server, entry.session.id()), &self.shared.network);
                }
            }
        }
        if path.is_direct() {
            peer.facts.send_modify(|facts| {
                facts.moments.direct_at.get_or_insert(now);
            });
        }
        let changed = peer.path.send_replace(path) != path;
        if changed {
            tracing::info!(peer = %peer.id.short(), %path, "path changed");
            self.shared.announce(EndpointEvent::PathChanged {
                peer: peer.id,
                path,
            });
            if let (Role::Controlling, Some(home)) = (entry.session.role, entry.session.home) {
                let report = PathReport {
                    session: entry.session.id(),
                    path: path.kind,
                };
                self.control.send(home, ToServer::PathReport(report));
            }
        }
    }

    /// Points a link that has no direct path at its relay session, which may be a new one.
    pub(super) fn use_relay(&mut self, addr: VirtualAddr, server: ServerPlace) {
        let Some(entry) = self.entries.get(&addr) else {
            return;
        };
        if entry.session.agent.selected() == Route::Relay {
            let target = relay(server, entry.session.id());
            entry.peer.set_target(target, &self.shared.network);
        }
        let now = now();
        self.drive_leg(addr, now);
    }
}

pub(super) fn relay(server: ServerPlace, session: gimlet_proto::secret::SessionId) -> Target {
    Target::Relay {
        socket: server.socket,
        server: server.addr,
        session,
    }
}
