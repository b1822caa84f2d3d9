//! The servers we are signed in to: which one is asked, and what becomes of sessions when one goes.
//!
//! A session's relay leg belongs to one server, its *home*. When that goes down or says that it will,
//! the dialing side asks for an introduction at another one where the peer is signed in, too, under
//! the same check credentials: direct paths stay, relayed packets take the new way.

mod comings;
mod measuring;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::nat::MAX_TARGETS;
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::SocketId;
use gimlet_proto::tunnel::is_tunnel;
use tokio::sync::watch;

use super::addresses::with_port;
use super::nearness::{Nearness, Post};
use super::{Engine, now};
use crate::control::roles::Roles;
use crate::control::{ControlState, ServerId, ServerPlace, Standing};
use crate::error::SignInError;
use crate::event::{EndpointEvent, SignedIn};

/// Shortest time between two doubts about one server.
const DOUBT: Duration = Duration::from_secs(1);

/// A sign-in that stands.
#[derive(Debug)]
struct Signed {
    place: ServerPlace,
    stun_ports: Vec<u16>,
    signed_in: SignedIn,
    rtt: Duration,
}

#[derive(Debug, Default)]
struct Server {
    signed: Option<Signed>,
    /// Where it saw us last, from which socket.
    seen: Option<(SocketId, SocketAddr)>,
    /// Why the last attempt failed.
    error: Option<SignInError>,
    doubted_at: Option<Instant>,
}

/// Whom to ask for an introduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// This server.
    At(ServerId),
    /// This one, once we are signed in there.
    SignIn(ServerId),
    /// We are signed in nowhere.
    Wait,
    /// The peer is at none of our servers.
    Nobody,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Servers {
    roles: Roles,
    nearness: Nearness,
    known: Vec<Server>,
    /// The primary that the rest of the engine goes by.
    primary: Option<ServerId>,
    /// Those whose first measurement is still under way.
    unmeasured: BTreeSet<ServerId>,
    /// Where an only server is: it is measured when somebody wants to know, since there is nothing to
    /// choose.
    only: Option<Vec<Post>>,
    /// Whether somebody wants to know.
    asked_for: bool,
    /// Whether roles may have changed since they were last looked at.
    stirred: bool,
    standing: watch::Sender<Standing>,
}

impl Servers {
    pub(super) fn new(standing: watch::Sender<Standing>, now: Instant) -> Self {
        let count = standing.borrow().servers.len();
        Self {
            roles: Roles::new(count, now),
            nearness: Nearness::default(),
            known: (0..count).map(|_| Server::default()).collect(),
            primary: None,
            unmeasured: (0..count as u8).map(ServerId).collect(),
            only: None,
            asked_for: count > 1,
            stirred: true,
            standing,
        }
    }

    /// Where a server is, while we are signed in there.
    pub(super) fn place(&self, id: ServerId) -> Option<ServerPlace> {
        let server = self.known.get(id.index())?;
        server.signed.as_ref().map(|signed| signed.place)
    }

    /// The servers we are signed in to.
    pub(super) fn signed_in(&self) -> impl Iterator<Item = ServerId> {
        let known = self.known.iter().enumerate();
        let signed = known.filter(|(_, server)| server.signed.is_some());
        signed.map(|(nth, _)| ServerId(nth as u8))
    }

    /// Where the server that is asked first is.
    pub(super) fn primary_place(&self) -> Option<ServerPlace> {
        self.place(self.primary?)
    }

    /// Whether any server is reached through a tunnel.
    pub(super) fn is_on_tunnel(&self) -> bool {
        let mut signed = self.known.iter().filter_map(|known| known.signed.as_ref());
        signed.any(|signed| is_tunnel(signed.signed_in.observed))
    }

    /// The round trip to a server; zero while unknown.
    pub(super) fn rtt(&self, id: Option<ServerId>) -> Duration {
        let server = id.and_then(|id| self.known.get(id.index()));
        let signed = server.and_then(|server| server.signed.as_ref());
        signed.map_or(Duration::ZERO, |signed| signed.rtt)
    }

    /// The round trip to the server that is asked first.
    pub(super) fn primary_rtt(&self) -> Duration {
        self.rtt(self.primary)
    }

    /// Whom to ask about a peer whose session had this `home`, and who was not at the `absent` ones.
    pub(super) fn whom_to_ask(&self, home: Option<ServerId>, absent: &BTreeSet<ServerId>) -> Whom {
        let order = self.roles.order();
        let fits = |id: &ServerId| order.contains(id) && !absent.contains(id);
        let home = home.filter(|id| fits(id) && !self.roles.is_shunned(*id));
        if let Some(id) = home.or_else(|| order.iter().copied().find(fits)) {
            return Whom::At(id);
        }
        if order.is_empty() {
            return Whom::Wait;
        }
        let ranking = self.roles.ranking().into_iter();
        let mut left = ranking.filter(|id| !absent.contains(id) && !order.contains(id));
        match left.find(|&id| !self.roles.is_shunned(id)) {
            Some(id) => Whom::SignIn(id),
            None => Whom::Nobody,
        }
    }

    /// The server that is asked first.
    pub(super) fn primary(&self) -> Option<ServerId> {
        self.primary
    }

    /// Whether sessions of one server had better move to another.
    pub(super) fn is_better(&self, one: ServerId, other: ServerId) -> bool {
        let is_to_go = self.roles.is_shunned(other) && !self.roles.is_shunned(one);
        one != other && (is_to_go || self.roles.is_nearer(one, other))
    }

    /// Somebody is there whom we talk to or want to.
    pub(super) fn need(&mut self, id: ServerId, now: Instant) {
        self.roles.handle_needed(id, now);
        self.stirred = true;
    }

    /// What servers said before may be about somebody else's address now.
    pub(super) fn forget_seen(&mut self, now: Instant) {
        for server in &mut self.known {
            server.seen = None;
        }
        self.nearness.hurry(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.roles.poll_timeout(), self.nearness.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// For callers to see.
    fn publish(&self) {
        let ranking = self.roles.ranking();
        let signed = |id: ServerId| self.known[id.index()].signed.as_ref();
        let mut order = self.roles.order();
        if order.is_empty() {
            let wanted = self.roles.wanted();
            order.extend(ranking.iter().filter(|id| wanted.contains(id)));
        }
        let tried = |id: &ServerId| self.known[id.index()].error.as_ref();
        let state = match self.primary.and_then(signed) {
            Some(signed) => ControlState::Online(signed.signed_in.clone()),
            None if self.roles.wanted().iter().any(|id| tried(id).is_none()) => {
                ControlState::Connecting
            }
            None => {
                let failures = || self.roles.wanted().iter().filter_map(tried);
                let definite = failures().find(|error| error.is_definite());
                let failure = definite.or_else(|| failures().next());
                ControlState::Failed(failure.cloned().unwrap_or(SignInError::NoServer))
            }
        };
        self.standing.send_modify(|standing| {
            standing.state = state;
            standing.order = order;
            standing.measured = self.unmeasured.is_empty();
            for (nth, (status, server)) in standing.servers.iter_mut().zip(&self.known).enumerate()
            {
                let id = ServerId(nth as u8);
                status.role = self.roles.role(id);
                status.online = server.signed.is_some();
                status.rtt = self.roles.rtt(id);
                status.error.clone_from(&server.error);
            }
        });
    }
}

impl Engine {
    /// Carries out what the roles decide.
    pub(super) fn drive_servers(&mut self, now: Instant) {
        self.servers.stirred = false;
        self.control.want(self.servers.roles.wanted());
        let primary = self.servers.roles.primary();
        if primary != self.servers.primary {
            self.servers.primary = primary;
            if let Some(primary) = primary {
                self.take_primary(primary, now);
            }
        }
        self.servers.publish();
    }

    /// Another server is asked first from now on, or the same again.
    fn take_primary(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.known.get(id.index()) else {
            return;
        };
        let Some(signed) = &server.signed else {
            return;
        };
        let place = signed.place;
        tracing::debug!(server = %place.addr, rtt = ?signed.rtt, "primary server");
        let event = EndpointEvent::SignedIn(signed.signed_in.clone());
        self.observed = server.seen;
        if server.seen.is_none() {
            // STUN through a tunnel says nothing.
            return self.shared.announce(event);
        }
        let others = signed.stun_ports.iter().take(3);
        let others = others.map(|&port| (place.socket, with_port(place.addr, port)));
        let main = (place.socket, place.addr);
        let mut targets: Vec<_> = [main].into_iter().chain(others).collect();
        let v6 = place.addr.is_ipv6();
        let first = self.asked.iter().find(|(_, addr)| addr.is_ipv6() == v6);
        let known = targets.iter().all(|target| self.asked.contains(target));
        if !known || first != Some(&main) {
            // The others stay: each is another place to be seen from.
            let elsewhere = |&&(_, addr): &&(_, SocketAddr)| addr.ip() != place.addr.ip();
            targets.extend(self.asked.iter().filter(elsewhere));
            targets.truncate(MAX_TARGETS);
            self.discover(targets);
        }
        self.watch_mapping(place.socket, place.addr, now);
        self.shared.announce(event);
    }

    /// What was sent by way of a server is not answered: finds out whether it still is there.
    pub(super) fn doubt_server(&mut self, id: Option<ServerId>, now: Instant) {
        let Some(server) = id.and_then(|id| self.servers.known.get_mut(id.index())) else {
            return;
        };
        let recent = server.doubted_at.is_some_and(|at| now < at + DOUBT);
        if let (Some(id), Some(_), false) = (id, &server.signed, recent) {
            server.doubted_at = Some(now);
            self.control.doubt(id);
        }
    }

    /// The session of a server's message, if it is that server's to speak about.
    pub(super) fn session_at(&self, server: ServerId, session: SessionId) -> Option<VirtualAddr> {
        let addr = *self.by_session.get(&session)?;
        let entry = self.entries.get(&addr)?;
        let current = entry.session.home == Some(server) && entry.session.id() == session;
        (current || entry.session.relocations.is_at(server, session)).then_some(addr)
    }

    pub(super) fn handle_servers_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.servers.nearness.poll_timeout()) {
            self.drive_nearness(now);
        }
        if due(self.servers.roles.poll_timeout()) {
            self.servers.roles.handle_timeout(now);
            self.servers.stirred = true;
        }
    }

    /// What the last event has stirred up.
    pub(super) fn settle_servers(&mut self) {
        if self.servers.stirred {
            self.drive_servers(now());
        }
    }
}
