//! Configures an endpoint and starts its tasks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use gimlet_net::identity::Identity;
use gimlet_net::path::PathSocket;
use gimlet_net::proxy::Proxy;
use gimlet_net::tls::{CertificateDer, Credential, TlsError};
use gimlet_net::transport;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::name::Name;
use gimlet_proto::traversal::SocketId;
use quinn::TokioRuntime;
use tokio::sync::{broadcast, mpsc, watch};

use crate::control::{self, Control, ControlConfig};
use crate::endpoint::{Endpoint, Farewells, Shared};
use crate::engine::Engine;
use crate::error::BindError;
use crate::incoming;
use crate::lan::{self, Lan};
use crate::network::Network;
use crate::policy::AcceptPolicy;

/// Events a slow listener may fall behind by.
const MAX_EVENTS: usize = 256;

/// Answers of STUN servers that a control session on a tunnel may be behind; it asks again.
const MAX_STUN_ANSWERS: usize = 16;

/// Commands waiting for the engine; callers wait when it is full.
const MAX_COMMANDS: usize = 256;

/// Connections waiting for [`Endpoint::accept`]. Further ones are turned away as by a full listen
/// queue.
const MAX_INCOMING: usize = 64;

/// Configures an [`Endpoint`]; made by [`Endpoint::builder`].
#[derive(Default)]
pub struct Builder {
    identity: Option<Identity>,
    servers: Vec<ServerAddress>,
    name: Option<Name>,
    alpns: Vec<Vec<u8>>,
    policy: AcceptPolicy,
    relay_only: bool,
    lease: Option<Duration>,
    port: u16,
    network: Option<Network>,
    leaves_router_alone: bool,
    keeps_outcomes: bool,
    skips_search: bool,
    proxy: Option<Proxy>,
    roots: Vec<CertificateDer<'static>>,
    lan: bool,
}

impl Builder {
    /// Sets who this is. Default: a new key, known to nobody and gone with the process.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Adds a server. Of several the nearest is asked first, the list's order breaking ties; another is
    /// kept warm, and the rest are looked at when a peer is not there. Addresses with one key are one
    /// server; four servers are used at most. Default: none; then only [`Endpoint::net_report`]
    /// without servers is left.
    pub fn server(mut self, server: ServerAddress) -> Self {
        self.servers.push(server);
        self
    }

    /// Sets the name to hold at the server. Default: none.
    pub fn name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets the application protocols that peers may connect for. Default: none, which only dials:
    /// such an endpoint is not listed, and any number of them may share an identity.
    pub fn alpns(mut self, alpns: Vec<Vec<u8>>) -> Self {
        self.alpns = alpns;
        self
    }

    /// Sets who may reach this endpoint. Default: everyone the server lets in.
    pub fn accept(mut self, policy: AcceptPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Never announces an address and never uses a direct path. Default: false.
    pub fn relay_only(mut self, relay_only: bool) -> Self {
        self.relay_only = relay_only;
        self
    }

    /// Sets how long the server keeps this sign-in without hearing from us, at least 3 s. Default
    /// 60 s: a peer that vanishes is listed a minute at most.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease.max(Duration::from_secs(3)));
        self
    }

    /// Sets the UDP port. Default: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets whether the server is told what came of each attempt at a direct path: kinds of NAT,
    /// stages, times and counts, no address. Default: true.
    pub fn report_outcomes(mut self, report: bool) -> Self {
        self.keeps_outcomes = !report;
        self
    }

    /// Sets whether to search for a port, with hundreds of packets, where a NAT gives every destination
    /// another one. Default: true; only with peers whose introduction both sides accepted.
    pub fn port_search(mut self, search: bool) -> Self {
        self.skips_search = !search;
        self
    }

    /// Sets whether the router is asked for a port that leads here (PCP, NAT-PMP, UPnP-IGD; IPv4
    /// only). It is announced to peers, and given back by [`Endpoint::close`]. Default: true, since it
    /// joins pairs that nothing else does; not on networks other than the system's, nor where all
    /// servers are on this machine.
    pub fn port_mapping(mut self, ask: bool) -> Self {
        self.leaves_router_alone = !ask;
        self
    }

    /// Sets the HTTP proxy through which servers are reached where UDP is blocked. Default: the one that
    /// the environment names (`https_proxy`, `all_proxy`, `no_proxy`), or none.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets whether peers on the same network can dial this endpoint at its
    /// [port there](Endpoint::lan_port), and be dialled by [`Endpoint::connect_at`], with no server. The
    /// policy decides by the key they show. Default: false, since it is one more open port; only on the
    /// system's network.
    pub fn lan(mut self, lan: bool) -> Self {
        self.lan = lan;
        self
    }

    /// Trusts these root certificates (DER) besides the platform's, where a server's address has no key
    /// and its certificate is judged by name: for an operator with an authority of its own. Default: none.
    pub fn roots(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = roots;
        self
    }

    /// Sets other sockets than the operating system's. Default: [`Network::system`].
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// Opens the sockets and begins to sign in, in the background.
    ///
    /// # Errors
    ///
    /// - [`BindError::Socket`]: the UDP port cannot be had.
    /// - [`BindError::Tls`]: the cryptography library refuses the identity.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn bind(self) -> Result<Endpoint, BindError> {
        let identity = self.identity.unwrap_or_else(Identity::generate);
        let credential = Credential::new(&identity)?.with_roots(self.roots);
        let network = match self.network {
            Some(network) => network,
            None => Network::system(self.port)?,
        };
        let maps_port = !self.leaves_router_alone && !self.relay_only && network.is_system();
        let (socket, reports) = PathSocket::new(network.sockets.clone());
        socket.writable().await?;
        if network.is_system() {
            socket.notice_sleep();
        }
        let families = network.families();
        let mut sockets = Vec::new();
        for (nth, local) in socket.local_addrs().into_iter().enumerate() {
            sockets.push((SocketId(nth as u16), families[nth], local?));
        }
        let reset_key = identity.derive("gimlet 2026 stateless reset key");
        let server = incoming::server_config(&credential, identity.peer_id(), &self.alpns, None)
            .map_err(TlsError::Rustls)?;
        let quic = quinn::Endpoint::new_with_abstract_socket(
            transport::peer_endpoint_config(&reset_key),
            Some(server),
            socket.clone(),
            Arc::new(TokioRuntime),
        )?;
        let lan = match self.lan && network.is_system() {
            true => Some(Lan::open(&credential, &self.alpns, &reset_key)?),
            false => None,
        };
        let shared = Arc::new(Shared {
            lan,
            id: identity.peer_id(),
            credential,
            socket,
            quic,
            sockets,
            network,
            servers: self.servers.clone(),
            alpns: self.alpns,
            policy: self.policy,
            relay_only: self.relay_only,
            maps_port,
            port_mapping: watch::Sender::default(),
            skips_search: self.skips_search,
            proxy: self.proxy,
            udp_is_silent: AtomicBool::new(false),
            stun_answers: broadcast::Sender::new(MAX_STUN_ANSWERS),
            report_outcomes: !self.keeps_outcomes,
            nat: watch::Sender::default(),
            report: watch::Sender::default(),
            events: broadcast::Sender::new(MAX_EVENTS),
            peers: RwLock::new(HashMap::new()),
            addrs: AtomicU64::new(1),
            farewells: Farewells::default(),
        });
        let servers = control::group(&self.servers);
        let config = ControlConfig {
            servers: servers.clone(),
            name: self.name,
            reachable: !shared.alpns.is_empty(),
            lease: self.lease.unwrap_or(Duration::from_secs(60)),
            software: concat!("gimlet/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let (control, control_ends) = Control::start(&shared, &config);
        let (commands, from_callers) = mpsc::channel(MAX_COMMANDS);
        let (accepted, incoming) = mpsc::channel(MAX_INCOMING);
        tokio::spawn(lan::run(shared.clone(), accepted.clone()));
        tokio::spawn(incoming::run(shared.clone(), accepted));
        Engine::start(
            shared.clone(),
            control.clone(),
            control_ends,
            from_callers,
            commands.downgrade(),
            reports,
            servers,
        );
        Ok(Endpoint::new(shared, control, commands, incoming))
    }
}
