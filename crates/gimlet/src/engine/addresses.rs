//! What peers may reach us at: asked of STUN servers, and announced when it changes.

use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_net::interfaces;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::Candidate;
use gimlet_proto::message::{Candidates, ToServer};
use gimlet_proto::traversal::SocketId;
use tokio::sync::mpsc;

use super::session::Introduction as Stage;
use super::{Command, Engine, now};
use crate::candidates;
use crate::control;
use crate::endpoint::{NetReport, Shared};

impl Engine {
    pub(super) fn ask_reflexive(&mut self, targets: Vec<(SocketId, SocketAddr)>) {
        if self.asked == targets {
            return;
        }
        self.asked.clone_from(&targets);
        self.reflexive_started = now();
        self.reflexive
            .start(targets, &mut rand::random, self.reflexive_started);
        self.drive_reflexive();
    }

    pub(super) fn drive_reflexive(&mut self) {
        while let Some(((socket, remote), request)) = self.reflexive.poll_transmit() {
            self.shared.socket.send_plain(socket, remote, &request);
        }
        if self.reflexive.is_running() {
            return self.announce_candidates();
        }
        let local = self.local_addrs();
        let nat = self.reflexive.nat(&local);
        let mapped = self.reflexive.mapped();
        let of_family = |v6: bool| {
            mapped
                .iter()
                .map(|&(_, addr)| addr)
                .find(|addr| addr.is_ipv6() == v6)
        };
        let report = NetReport {
            reflexive_v4: of_family(false),
            reflexive_v6: of_family(true),
            local: local.iter().map(|&(_, addr)| addr).collect(),
            nat,
            elapsed: now().saturating_duration_since(self.reflexive_started),
        };
        self.shared.report.send_replace(Some(report));
        self.shared
            .nat
            .send_if_modified(|known| std::mem::replace(known, nat) != nat);
        self.announce_candidates();
    }

    /// Loopback addresses count only where the server itself is on this machine: nobody from
    /// elsewhere can make us talk to our own services.
    pub(super) fn allow_loopback(&self) -> bool {
        self.asked.iter().any(|(_, addr)| addr.ip().is_loopback())
    }

    pub(super) fn local_addrs(&self) -> Vec<(SocketId, SocketAddr)> {
        let interfaces = (self.shared.network.addresses)(self.allow_loopback());
        candidates::local(&self.shared.sockets, &interfaces)
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        if self.shared.relay_only {
            return Vec::new();
        }
        let mut seen = self.reflexive.mapped();
        seen.extend(self.observed);
        candidates::announced(&self.local_addrs(), &seen, self.mapped_addr())
    }

    /// Our own address on a direct path, for people to see.
    pub(super) fn local_of(&self, socket: SocketId, remote: SocketAddr) -> Option<SocketAddr> {
        let bound = self.shared.socket.local_addr_of(socket)?;
        match bound.ip().is_unspecified() {
            true => Some(SocketAddr::new(
                interfaces::source_for(remote)?,
                bound.port(),
            )),
            false => Some(bound),
        }
    }

    /// Tells every peer what was found since it was introduced.
    pub(super) fn announce_candidates(&mut self) {
        let candidates = self.candidates();
        let nat = *self.shared.nat.borrow();
        let news = (candidates.clone(), nat);
        if std::mem::replace(&mut self.announced, news.clone()) == news {
            return;
        }
        let facts = self.search_facts();
        for entry in self.entries.values_mut() {
            entry.peer.facts.send_modify(|facts| facts.nat_local = nat);
            entry.session.agent.set_local(&candidates, nat);
            entry.session.agent.set_search(facts.clone());
            if entry.session.introduction == Stage::Agreed {
                let session = entry.session.id();
                let candidates = candidates.clone();
                self.control.send(ToServer::Candidates(Candidates {
                    session,
                    candidates,
                }));
            }
        }
    }
}

pub(super) async fn resolve_places(
    shared: Arc<Shared>,
    servers: Vec<ServerAddress>,
    commands: mpsc::WeakSender<Command>,
) {
    let mut places = Vec::new();
    for server in &servers {
        places.extend(control::places(&shared, server).await.unwrap_or_default());
    }
    // Gone, when the endpoint is.
    if let Some(commands) = commands.upgrade() {
        let _ = commands.send(Command::Places(places)).await;
    }
}

pub(super) fn with_port(addr: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr.ip(), port)
}
