//! What every task of an endpoint knows.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use gimlet_net::path::PathSocket;
use gimlet_net::port_map::PortMapping;
use gimlet_net::proxy::Proxy;
use gimlet_net::tls::Credential;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::id::PeerId;
use gimlet_proto::traversal::{Family, SocketId};
use tokio::sync::{broadcast, watch};

use super::{Farewells, NetReport};
use crate::control::StunAnswer;
use crate::event::EndpointEvent;
use crate::lan::Lan;
use crate::network::Network;
use crate::peer::Peer;
use crate::policy::AcceptPolicy;

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: PeerId,
    pub(crate) credential: Credential,
    pub(crate) socket: Arc<PathSocket>,
    pub(crate) quic: quinn::Endpoint,
    /// Where peers on the same network are met without a server, if they are.
    pub(crate) lan: Option<Lan>,
    pub(crate) sockets: Vec<(SocketId, Family, SocketAddr)>,
    pub(crate) network: Network,
    pub(crate) servers: Vec<ServerAddress>,
    pub(crate) alpns: Vec<Vec<u8>>,
    pub(crate) policy: AcceptPolicy,
    pub(crate) relay_only: bool,
    /// Whether a router may be asked for a port.
    pub(crate) maps_port: bool,
    pub(crate) port_mapping: watch::Sender<PortMapping>,
    pub(crate) skips_search: bool,
    /// `None`: what the environment says.
    pub(crate) proxy: Option<Proxy>,
    /// Whether the last server reached was reached over TLS.
    pub(crate) udp_is_silent: AtomicBool,
    /// Plain STUN over UDP, for control sessions that would rather use it.
    pub(crate) stun_answers: broadcast::Sender<StunAnswer>,
    pub(crate) report_outcomes: bool,
    pub(crate) nat: watch::Sender<NatClass>,
    pub(crate) report: watch::Sender<Option<NetReport>>,
    pub(crate) events: broadcast::Sender<EndpointEvent>,
    pub(crate) peers: RwLock<HashMap<VirtualAddr, Arc<Peer>>>,
    pub(crate) addrs: AtomicU64,
    /// Connections that we have closed.
    pub(crate) farewells: Farewells,
}

impl Shared {
    /// A virtual address never used before.
    pub(crate) fn next_addr(&self) -> VirtualAddr {
        VirtualAddr::new(self.addrs.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells whoever listens.
    pub(crate) fn announce(&self, event: EndpointEvent) {
        // An error means that nobody does.
        let _ = self.events.send(event);
    }

    pub(crate) fn peer_at(&self, addr: SocketAddr) -> Option<Arc<Peer>> {
        let addr = VirtualAddr::from_socket_addr(addr)?;
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&addr)
            .cloned()
    }
}
