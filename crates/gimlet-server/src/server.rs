//! A server: bound first, then run.

mod error;
mod pumps;
mod quic;
mod resets;
mod running;
mod start;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_net::identity::Identity;
use gimlet_net::tls::{Credential, WebCertificate};
use gimlet_net::tunnel;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use gimlet_proto::rendezvous::{self, NameRecord};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

use crate::config::{Config, TlsPort};
use crate::counters::Counters;
use crate::handle::ServerHandle;
use crate::limits::Limits;
use crate::names::NameFile;
use crate::pump::Seat;
use crate::secrets;
use crate::sockets::{Sockets, reachable_ip};
pub use error::{BindError, RunError};

/// A server with its sockets bound.
pub struct Server {
    config: Config,
    sockets: Sockets,
    /// Of the pumps, in the order of their sockets; who has none runs here.
    seats: VecDeque<Seat>,
    local: SocketAddr,
    identity: Identity,
    tls: rustls::ServerConfig,
    /// Where tunnels come in, if they do.
    tcp: Option<(TcpListener, rustls::ServerConfig)>,
    access: rendezvous::Access,
    token: Option<String>,
    names: Option<NameFile>,
    stored: Vec<NameRecord>,
    handle: ServerHandle,
}

/// Events a slow listener may be behind.
const EVENTS: usize = 1024;

impl Server {
    /// Binds real sockets, and reads or makes key, token and names.
    ///
    /// # Errors
    ///
    /// [`BindError`], each with what to do about it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        let (listen, shards) = (config.listen, config.shards.max(1));
        let failed = |source| BindError::Listen {
            address: listen,
            source,
        };
        let seats = Seat::several(shards).map_err(failed)?;
        let runtimes: Vec<_> = seats.iter().map(Seat::runtime).collect();
        let listened = Sockets::bind(listen, config.alt_port, config.listen_alt, &runtimes);
        let sockets = listened.map_err(failed)?;
        let tcp = listen_tcp(&config, &sockets)?;
        let mut server = Self::build(config, sockets, tcp)?;
        server.seats = seats.into();
        Ok(server)
    }

    /// A server on these sockets, real or simulated. What `config` says of addresses to listen on is
    /// not looked at, and there is no TCP port.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn with_sockets(config: Config, sockets: Sockets) -> Result<Self, BindError> {
        Self::build(config, sockets, None)
    }

    fn build(
        config: Config,
        sockets: Sockets,
        tcp: Option<TcpListener>,
    ) -> Result<Self, BindError> {
        let local = sockets
            .main
            .local_addr()
            .map_err(|source| BindError::Listen {
                address: config.listen,
                source,
            })?;
        let state = config.state.as_deref();
        let identity = secrets::identity(state)?;
        let (access, token) = secrets::access(&config.access, state)?;
        let web = || match &config.web_certificate {
            Some((chain, key)) => WebCertificate::from_pem_files(chain, key).map(Some),
            None => Ok(None),
        };
        let credential = Credential::new(&identity)?;
        let tls = credential.control_server(web()?)?;
        let tcp = match tcp {
            Some(tcp) => Some((tcp, credential.tunnel_server(web()?)?)),
            None => None,
        };
        let opened = state.map(|folder| NameFile::open(&folder.join("names.redb")));
        let (names, stored) = opened.transpose()?.unzip();
        Ok(Self {
            local,
            tls,
            tcp,
            identity,
            access,
            token,
            names,
            stored: stored.unwrap_or_default(),
            handle: ServerHandle {
                counters: Arc::new(Counters::default()),
                events: broadcast::channel(EVENTS).0,
                stats: watch::Sender::default(),
                limits: watch::Sender::new(Limits::of(&config)),
            },
            sockets,
            seats: VecDeque::new(),
            config,
        })
    }

    /// What a client needs to find this server and be let in; its text is the line to paste.
    pub fn address(&self) -> ServerAddress {
        let host = self.config.advertise.clone();
        ServerAddress {
            host: host.unwrap_or_else(|| reachable_ip(self.local).to_string()),
            port: self.local.port(),
            key: Some(self.peer_id()),
            token: self.token.clone(),
            tls: self
                .tls_addr()
                .map(|addr| addr.port())
                .filter(|&port| port != self.local.port()),
        }
    }

    /// The main socket's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The second socket's address, if there is one.
    pub fn alt_addr(&self) -> Option<SocketAddr> {
        self.sockets.alt.as_ref()?.local_addr().ok()
    }

    /// The address of the TCP port, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.0.local_addr().ok()
    }

    /// The server's key.
    pub fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Counters and events.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is done; then tells everybody, lets them go, and returns within a
    /// second or so, and one more for each 10,000 peers.
    ///
    /// # Errors
    ///
    /// [`RunError`], when it has to stop by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the server at once, without a word to its peers.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let drain = self.config.drain;
        let mut running = self.start()?;
        tokio::select! {
            () = shutdown => {
                running.stop(drain).await;
                Ok(())
            }
            error = running.failed() => Err(error),
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("local", &self.local)
            .field("peer_id", &self.peer_id())
            .finish_non_exhaustive()
    }
}

/// The TCP port that the configuration names.
fn listen_tcp(config: &Config, sockets: &Sockets) -> Result<Option<TcpListener>, BindError> {
    let failed = |address, source| BindError::ListenTls { address, source };
    let same = sockets.main.local_addr();
    let same = same.map_err(|source| failed(config.listen, source))?;
    let address = match config.listen_tls {
        TlsPort::Same => same,
        TlsPort::At(address) => address,
        TlsPort::Off => return Ok(None),
    };
    let bound = tunnel::listen(address).or_else(|error| {
        // Whoever takes any UDP port takes any TCP port.
        match config.listen_tls == TlsPort::Same && config.listen.port() == 0 {
            true => tunnel::listen(SocketAddr::new(address.ip(), 0)),
            false => Err(error),
        }
    });
    bound.map(Some).map_err(|source| failed(address, source))
}
