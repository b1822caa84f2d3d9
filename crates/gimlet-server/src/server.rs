//! A server: bound first, then run.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gimlet_net::identity::Identity;
use gimlet_net::tls::{Credential, TlsError};
use gimlet_net::transport;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::id::PeerId;
use gimlet_proto::relay::Relay;
use gimlet_proto::rendezvous::{self, CloseReason, NameRecord, Rendezvous};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, TokioRuntime, TransportConfig, VarInt};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time;

use crate::config::Config;
use crate::control::{self, Control, Input};
use crate::counters::Counters;
use crate::door::Door;
use crate::handle::ServerHandle;
use crate::names::{NameFile, StoreError};
use crate::pump::Pump;
use crate::quic_socket::QuicSocket;
use crate::responder::{self, Responder};
use crate::secrets::{self, SecretError};
use crate::sockets::{Sockets, reachable_ip};

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its key or token.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its names file.
    #[error(transparent)]
    Names(#[from] StoreError),
    /// Its TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its sockets.
    #[error("cannot listen on {address}: {}", listen_hint(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

fn listen_hint(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; choose another one, or stop what uses it".to_owned()
        }
        _ => source.to_string(),
    }
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// QUIC can't be set up.
    #[error("QUIC cannot be set up: {0}")]
    Quic(#[from] io::Error),
    /// TLS 1.3's mandatory cipher suite is missing.
    #[error(transparent)]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// A socket fails whenever it is read.
    #[error("a socket can no longer be read: {0}")]
    Socket(#[source] io::Error),
    /// A task is gone that should run as long as the server.
    #[error("a part of the server has stopped; this is a bug, please report it")]
    TaskEnded,
}

/// A server with its sockets bound.
pub struct Server {
    config: Config,
    sockets: Sockets,
    local: SocketAddr,
    identity: Identity,
    credential: Credential,
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
        let listened = Sockets::bind(config.listen, config.alt_port);
        let sockets = listened.map_err(|source| BindError::Listen {
            address: config.listen,
            source,
        })?;
        Self::with_sockets(config, sockets)
    }

    /// A server on these sockets, real or simulated. `config.listen` and `config.alt_port` are not
    /// looked at.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn with_sockets(config: Config, sockets: Sockets) -> Result<Self, BindError> {
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
        let opened = state.map(|folder| NameFile::open(&folder.join("names.redb")));
        let (names, stored) = opened.transpose()?.unzip();
        Ok(Self {
            local,
            credential: Credential::new(&identity)?,
            identity,
            access,
            token,
            names,
            stored: stored.unwrap_or_default(),
            handle: ServerHandle {
                counters: Arc::new(Counters::default()),
                events: broadcast::channel(EVENTS).0,
            },
            sockets,
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

    /// The server's key.
    pub fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Counters and events.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is done; then tells everybody, lets them go, and returns within a
    /// second or so.
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

    fn start(self) -> Result<Running, RunError> {
        let now = time::Instant::now().into_std();
        let counters = self.handle.counters.clone();
        let mut config = self.config;
        config.rendezvous.access = self.access;
        let alt = self.sockets.alt;
        let alt_port = alt.as_ref().and_then(|alt| alt.local_addr().ok());
        config.rendezvous.stun_ports = alt_port.iter().map(SocketAddr::port).collect();

        let (quic_socket, quic) = QuicSocket::new(self.sockets.main.clone());
        let endpoint = endpoint(&self.identity, &self.credential, &config, quic_socket)?;
        let (control, inputs) = mpsc::channel(control::QUEUE);
        let (commands, relay_commands) = mpsc::channel(control::QUEUE);
        let (relay_events, ended) = mpsc::channel(control::QUEUE);
        let (names, writer) = self.names.map(NameFile::spawn_writer).unzip();

        let mut tasks = JoinSet::new();
        let pump = Pump {
            socket: self.sockets.main,
            quic,
            relay: Relay::new(config.relay.clone(), rand::random(), now),
            commands: relay_commands,
            events: relay_events,
            responder: Responder::new(config.stun, counters.clone()),
            counters: counters.clone(),
        };
        tasks.spawn(pump.run());
        if let Some(alt) = alt {
            let responder = Responder::new(config.stun, counters.clone());
            tasks.spawn(responder::serve(alt, responder, counters.clone()));
        }
        let door = Door::new(&config, endpoint.clone(), control.clone(), counters.clone());
        let control_task = Control {
            rendezvous: Rendezvous::new(config.rendezvous, self.stored, unix_s(), now),
            inputs,
            relay: commands,
            relay_events: ended,
            names,
            events: self.handle.events,
            counters,
            links: HashMap::new(),
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

/// Time for the connections to say goodbye once closed. With the drain before it, less than a second.
const GOODBYE: Duration = Duration::from_millis(500);

/// The tasks of a server. Dropping it stops them all.
struct Running {
    endpoint: Endpoint,
    control: mpsc::Sender<Input>,
    /// Sockets: they run to the end.
    tasks: JoinSet<io::Result<()>>,
    /// Control and door: they end when the endpoint is closed.
    sessions: JoinSet<()>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Waits for what should not happen.
    async fn failed(&mut self) -> RunError {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(Err(error)) => RunError::Socket(error),
                Ok(Ok(())) | Err(_) => RunError::TaskEnded,
            },
            Some(_) = self.sessions.join_next() => RunError::TaskEnded,
        }
    }

    async fn stop(self, drain: Duration) {
        let Self {
            endpoint,
            control,
            tasks,
            mut sessions,
            writer,
        } = self;
        let _ = control.send(Input::Drain(drain)).await;
        let _ = time::timeout(drain, endpoint.wait_idle()).await;
        let reason = CloseReason::ShuttingDown;
        let code = VarInt::from_u32(reason.code());
        endpoint.close(code, reason.to_string().as_bytes());
        drop(control);
        let goodbye = async {
            endpoint.wait_idle().await;
            while sessions.join_next().await.is_some() {}
        };
        let _ = time::timeout(GOODBYE, goodbye).await;
        // The control task ends here at the latest, and with it the writer's work.
        sessions.shutdown().await;
        drop(tasks);
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes names has panicked");
        }
    }
}

/// quinn, on its share of the port.
fn endpoint(
    identity: &Identity,
    credential: &Credential,
    config: &Config,
    socket: Arc<QuicSocket>,
) -> Result<Endpoint, RunError> {
    let tls = credential
        .control_server(None)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let crypto = QuicServerConfig::try_from(Arc::new(tls))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(control_transport(config.rendezvous.max_lease)))
        // What waits at the door: its handshakes are tens of kilobytes in all.
        .max_incoming(config.max_half_open)
        .incoming_buffer_size(16 * 1024)
        .incoming_buffer_size_total(4 << 20);
    let reset_key = identity.derive("gimlet 2026-11 server quic stateless reset");
    Ok(Endpoint::new_with_abstract_socket(
        transport::endpoint_config(&reset_key),
        Some(server),
        socket,
        Arc::new(TokioRuntime),
    )?)
}

/// Settings of a control session: one stream of small messages that should cost little while idle.
fn control_transport(max_lease: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // A record is at most 64 KiB; more unread bytes a peer would only cost memory.
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(128 * 1024))
        .send_window(128 * 1024)
        // Small messages gain nothing from a larger MTU, and looking for it costs packets.
        .mtu_discovery_config(None)
        // Peers keep their own NAT's mapping alive, more often; this is for those that don't.
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .max_idle_timeout(max_lease.try_into().ok());
    transport
}

fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
