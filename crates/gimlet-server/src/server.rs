//! A server: bound first, then run.

mod error;
mod quic;
mod resets;
mod running;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gimlet_net::identity::Identity;
use gimlet_net::tls::{Credential, WebCertificate};
use gimlet_net::tunnel;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use gimlet_proto::relay::Relay;
use gimlet_proto::rendezvous::{self, NameRecord, Rendezvous};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time;

use crate::config::{Config, TlsPort};
use crate::control::{self, Control};
use crate::counters::Counters;
use crate::discovery::{Corner, Corners};
use crate::door::Door;
use crate::handle::ServerHandle;
use crate::limits::Limits;
use crate::names::NameFile;
use crate::pump::{self, Annexes, Follower, Pump, Seat};
use crate::quic_socket::QuicSocket;
use crate::responder::{self, Responder};
use crate::rounds::Rounds;
use crate::secrets;
use crate::sockets::{Sockets, reachable_ip};
use crate::tunnel::{Listener, Tunnels};
pub use error::{BindError, RunError};
use running::Running;

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

    fn start(mut self) -> Result<Running, RunError> {
        let now = time::Instant::now().into_std();
        let counters = self.handle.counters.clone();
        let mut listener = None;
        if let Some((tcp, tls)) = self.tcp {
            let tunnels = Tunnels::new(counters.clone());
            self.sockets = self.sockets.with_tunnels(&tunnels);
            let counters = counters.clone();
            listener = Some(Listener::new(tcp, tls, tunnels, &self.config, counters));
        }
        let mut config = self.config;
        config.rendezvous.access = self.access;
        let corners = Corners::new(&self.sockets).map_err(RunError::Socket)?;
        let corners = Arc::new(corners);
        let responder = |corner| Responder::new(&config, corner, corners.clone(), counters.clone());
        let mut stun_only: Vec<_> = self
            .sockets
            .alt
            .iter()
            .cloned()
            .map(|alt| (alt, responder(Corner::ALT)))
            .collect();
        if let Some([main, alt]) = self.sockets.second.and_then(|second| second.sockets) {
            stun_only.push((
                main,
                responder(Corner {
                    address: 1,
                    ..Corner::MAIN
                }),
            ));
            stun_only.push((
                alt,
                responder(Corner {
                    address: 1,
                    ..Corner::ALT
                }),
            ));
        }
        let main_responder = responder(Corner::MAIN);
        let alt = self.sockets.alt;
        let alt_port = alt.as_ref().and_then(|alt| alt.local_addr().ok());
        config.rendezvous.stun_ports = alt_port.iter().map(SocketAddr::port).collect();

        let (quic_socket, quic) = QuicSocket::new(self.sockets.main.clone());
        let endpoint = quic::endpoint(&self.identity, self.tls, &config, quic_socket)?;
        let (control, inputs) = mpsc::channel(control::QUEUE);
        let (commands, relay_commands) = mpsc::channel(control::QUEUE);
        let (relay_events, ended) = mpsc::channel(control::QUEUE);
        let (names, writer) = self.names.map(NameFile::spawn_writer).unzip();

        let mut tasks = JoinSet::new();
        if let Some(listener) = listener {
            tasks.spawn(listener.run());
        }
        let relay = Relay::new(config.relay.clone(), rand::random(), now);
        let (hand, asides) = pump::asides();
        let is_real = !self.sockets.drops.is_empty();
        let annexes = || Annexes::new(is_real.then_some(self.local), counters.clone());
        let mut seats = self.seats;
        let main_seat = seats.pop_front().unwrap_or_else(Seat::here);
        let mut followers = Vec::new();
        for socket in self.sockets.shards {
            let (told, updates) = mpsc::channel(pump::UPDATES);
            followers.push(told);
            let follower = Follower {
                socket,
                annexes: annexes(),
                quic: quic.clone(),
                lane: relay.lane(now),
                updates,
                hand: hand.clone(),
                counters: counters.clone(),
            };
            let seat = seats.pop_front().unwrap_or_else(Seat::here);
            seat.run(&mut tasks, follower.run());
        }
        if is_real {
            tasks.spawn(pump::overflow::watch(self.sockets.drops, counters.clone()));
        }
        let pump = Pump {
            socket: self.sockets.main,
            annexes: annexes(),
            quic,
            relay,
            commands: relay_commands,
            events: relay_events,
            responder: main_responder,
            counters: counters.clone(),
            asides,
            followers,
        };
        main_seat.run(&mut tasks, pump.run());
        for (socket, responder) in stun_only {
            tasks.spawn(responder::serve(socket, responder, counters.clone()));
        }
        let door = Door::new(&config, endpoint.clone(), control.clone(), counters.clone());
        let control_task = Control {
            rendezvous: Rendezvous::new(config.rendezvous, self.stored, unix_s(), now),
            inputs,
            relay: commands,
            relay_events: ended,
            names,
            events: self.handle.events,
            stats: self.handle.stats,
            limits: self.handle.limits.subscribe(),
            counters,
            links: BTreeMap::new(),
            rounds: Rounds::new(now),
        };
        let mut sessions = JoinSet::new();
        sessions.spawn(control_task.run());
        sessions.spawn(door.run());
        Ok(Running {
            endpoint,
            control,
            tasks,
            sessions,
            writer,
        })
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

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
