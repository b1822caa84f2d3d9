//! What peers may reach us at: asked of STUN servers, and announced when it changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_net::interfaces;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::Candidate;
use gimlet_proto::message::{Candidates, ToServer};
use gimlet_proto::stun;
use gimlet_proto::traversal::SocketId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::session::Introduction as Stage;
use super::{Command, Engine};
use crate::candidates;
use crate::control::{self, ServerId, ServerPlace, StunAnswer};
use crate::endpoint::Shared;

impl Engine {
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
        let mut seen = self.discovery.mapped();
        seen.extend(self.observed);
        candidates::announced(&self.local_addrs(), &seen, self.mapped_addr())
    }

    /// Tells a control session that is not over UDP who answers there.
    pub(super) fn pass_on_answer(&self, socket: SocketId, addr: SocketAddr, datagram: &[u8]) {
        let answers = &self.shared.stun_answers;
        if !self.servers.is_on_tunnel() || answers.receiver_count() == 0 {
            return;
        }
        if let Some(answer) = stun::decode_binding_response(datagram) {
            // Nobody listens any more: then nobody needs it.
            let _ = answers.send(StunAnswer {
                from: ServerPlace { socket, addr },
                transaction: answer.transaction,
                observed: answer.mapped,
            });
        }
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
        let before = std::mem::replace(&mut self.announced, news.clone());
        if before == news {
            return;
        }
        let others = before.0 != news.0;
        let facts = self.search_facts();
        for entry in self.entries.values_mut() {
            entry.peer.facts.send_modify(|facts| facts.nat_local = nat);
            entry.session.agent.set_local(&candidates, nat);
            entry.session.agent.set_search(facts.clone());
            if let Some(home) = entry.session.home
                && entry.session.introduction == Stage::Agreed
                && others
            {
                let candidates = Candidates {
                    session: entry.session.id(),
                    candidates: candidates.clone(),
                };
                self.control.send(home, ToServer::Candidates(candidates));
            }
        }
    }
}

pub(super) async fn resolve_places(
    shared: Arc<Shared>,
    servers: Vec<Vec<ServerAddress>>,
    commands: mpsc::WeakSender<Command>,
) {
    let tell = async |command| {
        // Gone, when the endpoint is.
        if let Some(commands) = commands.upgrade() {
            let _ = commands.send(command).await;
        }
    };
    let mut lookups = JoinSet::new();
    for (nth, addresses) in servers.into_iter().enumerate() {
        let (id, shared) = (ServerId(nth as u8), shared.clone());
        lookups.spawn(async move {
            let mut places = Vec::new();
            for address in &addresses {
                places.extend(control::places(&shared, address).await.unwrap_or_default());
            }
            (id, places)
        });
    }
    let mut all = BTreeMap::new();
    while let Some(found) = lookups.join_next().await {
        let Ok((id, places)) = found else { continue };
        all.insert(id, places.clone());
        tell(Command::Located(id, places)).await;
    }
    tell(Command::Places(all.into_values().flatten().collect())).await;
}

pub(super) fn with_port(addr: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr.ip(), port)
}
