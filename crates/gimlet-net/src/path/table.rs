//! Who is where: read on every packet, replaced as a whole on every change.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::SocketId;

use super::Link;
use crate::virtual_addr::VirtualAddr;

/// A real address as seen from one of our sockets.
type Place = (SocketId, SocketAddr);

/// Changes are rare and cost a copy of the maps; a few entries per peer keep that in microseconds.
#[derive(Debug, Default, Clone)]
pub(super) struct Table {
    links: HashMap<VirtualAddr, Arc<Link>>,
    sessions: HashMap<SessionId, Arc<Link>>,
    remotes: HashMap<Place, Arc<Link>>,
    servers: HashSet<Place>,
}

impl Table {
    pub(super) fn link(&self, addr: VirtualAddr) -> Option<&Arc<Link>> {
        self.links.get(&addr)
    }

    pub(super) fn of_session(&self, session: SessionId) -> Option<&Arc<Link>> {
        self.sessions.get(&session)
    }

    pub(super) fn of_remote(&self, socket: SocketId, remote: SocketAddr) -> Option<&Arc<Link>> {
        self.remotes.get(&(socket, remote))
    }

    pub(super) fn is_server(&self, socket: SocketId, remote: SocketAddr) -> bool {
        self.servers.contains(&(socket, remote))
    }

    pub(super) fn add_link(&mut self, link: Arc<Link>) {
        self.links.insert(link.addr(), link);
    }

    pub(super) fn remove_link(&mut self, addr: VirtualAddr) {
        self.links.remove(&addr);
        self.sessions.retain(|_, link| link.addr() != addr);
        let Self {
            remotes, servers, ..
        } = self;
        remotes.retain(|place, link| {
            let keep = link.addr() != addr;
            if !keep {
                servers.remove(place);
            }
            keep
        });
    }

    pub(super) fn add_session(&mut self, session: SessionId, link: Arc<Link>) {
        self.sessions.insert(session, link);
    }

    pub(super) fn remove_session(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    pub(super) fn allow(&mut self, socket: SocketId, remote: SocketAddr, link: Arc<Link>) -> bool {
        let owner = self
            .remotes
            .entry((socket, remote))
            .or_insert_with(|| link.clone());
        owner.addr() == link.addr()
    }

    pub(super) fn disallow(&mut self, socket: SocketId, remote: SocketAddr, link: &Link) {
        let place = (socket, remote);
        if self
            .remotes
            .get(&place)
            .is_some_and(|owner| owner.addr() == link.addr())
        {
            self.remotes.remove(&place);
        }
    }

    pub(super) fn disallow_all(&mut self, addr: VirtualAddr) {
        self.remotes.retain(|_, link| link.addr() != addr);
    }

    pub(super) fn add_server(&mut self, socket: SocketId, remote: SocketAddr, link: Arc<Link>) {
        self.servers.insert((socket, remote));
        self.remotes.insert((socket, remote), link);
    }
}
