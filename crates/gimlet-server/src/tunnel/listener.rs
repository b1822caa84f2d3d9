//! The TCP port: TLS, HTTP, and the WebSocket that a tunnel is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use gimlet_net::records::{self, Records};
use gimlet_net::tunnel::{Carrying, carry, prepare};
use gimlet_proto::tunnel::{PATH, Role};
use hyper::server::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::entrance::{Entrance, Limits, Pass};
use super::{Tunnels, upgrade};
use crate::config::Config;
use crate::counters::Counters;

/// How long a TLS handshake may take, and again the request after it. Long enough for a slow
/// mobile network, short enough that [half-open](super::entrance) ones make room.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer may be silent, or not read. Its control session sends something every 4 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest request head, which ours are far below.
const MAX_REQUEST: usize = 16 * 1024;

/// Pause after the system could not accept, for want of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and keeps their tasks; dropping [`run`](Self::run) ends every tunnel.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    tunnels: Arc<Tunnels>,
    entrance: Entrance,
    counters: Arc<Counters>,
}

/// One connection, as the handler of its request sees it.
#[derive(Clone)]
struct Visitor {
    tunnels: Arc<Tunnels>,
    pass: Arc<Pass>,
    source: SocketAddr,
    stop: watch::Receiver<()>,
}

impl Listener {
    pub(crate) fn new(
        tcp: TcpListener,
        tls: rustls::ServerConfig,
        tunnels: Arc<Tunnels>,
        config: &Config,
        counters: Arc<Counters>,
    ) -> Self {
        let limits = Limits {
            tunnels: config.max_tunnels,
            per_network: config.max_tunnels_per_network,
            handshakes: config.max_handshakes,
        };
        Self {
            tcp,
            tls: Arc::new(tls),
            tunnels,
            entrance: Entrance::new(limits),
            counters,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let router = Router::<Visitor>::new().route(PATH, any(enter));
        let router = router.layer(map_response(once));
        let (_running, stop) = watch::channel(());
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, source)) => {
                        let now = time::Instant::now().into_std();
                        let Some(pass) = self.entrance.enter(source.ip(), now) else {
                            self.counters.tunnels_refused.one();
                            continue;
                        };
                        let visitor = Visitor {
                            tunnels: self.tunnels.clone(),
                            pass: Arc::new(pass),
                            source,
                            stop: stop.clone(),
                        };
                        let router = router.clone().with_state(visitor);
                        let (tls, counters) = (self.tls.clone(), self.counters.clone());
                        tasks.spawn(async move {
                            if greet(tcp, tls, router).await.is_none() {
                                counters.tunnels_failed.one();
                            }
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%error, "accept failed");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = tasks.join_next() => (),
            }
        }
    }
}

/// The way from a TCP connection to the one request it may make. `None` where it ends before.
async fn greet(tcp: TcpStream, tls: Arc<rustls::ServerConfig>, router: Router) -> Option<()> {
    prepare(&tcp).ok()?;
    let shaken = time::timeout(HANDSHAKE_TIMEOUT, records::accept(tcp, tls)).await;
    let tls = shaken.ok()?.ok()?;
    let connection = http1::Builder::new()
        .max_buf_size(MAX_REQUEST)
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .serve_connection(TokioIo::new(tls), TowerToHyperService::new(router))
        .with_upgrades();
    let served = time::timeout(2 * HANDSHAKE_TIMEOUT, connection).await;
    served.ok()?.ok()
}

/// Whoever asks for anything but a tunnel asks only once.
async fn once(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

async fn enter(State(visitor): State<Visitor>, mut request: Request) -> Response {
    match upgrade::accept(&mut request) {
        Ok((answer, upgraded)) => {
            tokio::spawn(serve(upgraded, visitor));
            answer
        }
        Err(status) => status.into_response(),
    }
}

async fn serve(upgraded: OnUpgrade, mut visitor: Visitor) {
    // It ends with the connection, which has its time limits.
    let Ok(upgraded) = upgraded.await else {
        return;
    };
    visitor.pass.arrived();
    let Ok(parts) = upgraded.downcast::<TokioIo<Records<TcpStream>>>() else {
        return;
    };
    // Nobody sends before the answer is there (RFC 6455 section 4.1).
    if !parts.read_buf.is_empty() {
        return;
    }
    let open = visitor.tunnels.open(visitor.source.ip());
    tracing::debug!(source = %visitor.source, tunnel = %open.addr, "tunnel opened");
    let carrying = Carrying {
        role: Role::Server,
        outbox: &open.outbox,
        deliver: &open.tunnels.deliver,
        from: open.addr,
        pool: &open.tunnels.pool,
        patience: IDLE_TIMEOUT,
    };
    tokio::select! {
        end = carry(parts.io.into_inner(), &carrying) => {
            tracing::debug!(tunnel = %open.addr, ?end, "tunnel ended");
        }
        // Nothing is ever said: the server has stopped.
        _ = visitor.stop.changed() => (),
    }
}
