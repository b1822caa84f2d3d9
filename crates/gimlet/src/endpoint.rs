//! The endpoint: one identity, one set of sockets, one control session, any number of peers.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gimlet_net::path::{CountersSnapshot, PathSocket};
use gimlet_net::port_map::PortMapping;
use gimlet_net::proxy::Proxy;
use gimlet_net::tls::Credential;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::NatClass;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::{
    AskStats, FailReason, List, PeerInfo, RefuseReason, SessionInfo, Stats, ToPeer,
};
use gimlet_proto::nat;
use gimlet_proto::traversal::{Family, SocketId};
use tokio::sync::{Mutex, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

mod lan;
mod leaving;
mod numbers;
mod resolve;

pub(crate) use leaving::{Farewells, farewell_time};
pub use numbers::HeldNumber;

use crate::builder::Builder;
use crate::connection::Connection;
use crate::control::{Control, ControlState, ServerId, ServerStatus, StunAnswer};
use crate::engine::Command;
use crate::error::{ConnectError, RequestError, SignInError};
use crate::event::{EndpointEvent, SignedIn};
use crate::incoming;
use crate::lan::Lan;
use crate::network::Network;
use crate::peer::{Peer, Phase, Wanted};
use crate::policy::AcceptPolicy;

/// How long [`Endpoint::connect`] tries. The introduction alone may wait 10 s for a person.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a handshake over a session that stood already may take before a new one is asked for: the
/// peer's process may be another one than the session was made with, which answers nothing there. A
/// handshake whose packets are lost is repeated several times in it.
const STALE_TIMEOUT: Duration = Duration::from_secs(3);

/// Pages of the peer list asked for at most: 64 × 1,024 peers.
const MAX_PAGES: usize = 1024;

/// How long [`Endpoint::port_mapping`] waits: a second to find a router, two for its answer.
const MAPPING_TIMEOUT: Duration = Duration::from_secs(4);

/// How long [`Endpoint::look_again`] waits: a little longer than looking takes at most.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long [`Endpoint::servers`] waits: a measurement's time, and a slow name server's.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(3);

/// What every task of an endpoint knows.
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

/// What [`Endpoint::list`] returns.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Peers online, in the order of their ids.
    pub peers: Vec<PeerInfo>,
    /// Sessions between them.
    pub sessions: Vec<SessionInfo>,
}

impl Listing {
    /// Adds what another server lists; who is at both is listed once, as the first one knows them.
    fn merged(mut self, also: Self) -> Self {
        let known: HashSet<_> = self.peers.iter().map(|peer| peer.peer).collect();
        let new = also.peers.into_iter();
        self.peers
            .extend(new.filter(|peer| !known.contains(&peer.peer)));
        self.peers.sort_by_key(|peer| peer.peer);
        self.sessions.extend(also.sessions);
        self
    }
}

/// What [`Endpoint::net_report`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetReport {
    /// Where servers see the IPv4 socket; `None` if none answered over IPv4.
    pub reflexive_v4: Option<SocketAddr>,
    /// The same for IPv6.
    pub reflexive_v6: Option<SocketAddr>,
    /// This host's own addresses with the sockets' ports.
    pub local: Vec<SocketAddr>,
    /// The NAT in front of this host as far as it is known.
    pub nat: NatClass,
    /// All that was found out about it.
    pub details: nat::Report,
    /// How long finding out took.
    pub elapsed: Duration,
}

/// Signs in to a server, dials peers and is dialled by them.
///
/// Cheap to clone; all clones are one endpoint. It lives until [`close`](Self::close), or until the
/// last clone and the last [`Connection`] are dropped.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    control: Control,
    commands: mpsc::Sender<Command>,
    incoming: Mutex<mpsc::Receiver<Connection>>,
}

impl Endpoint {
    /// Starts configuring an endpoint.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        control: Control,
        commands: mpsc::Sender<Command>,
        incoming: mpsc::Receiver<Connection>,
    ) -> Self {
        let incoming = Mutex::new(incoming);
        Self {
            inner: Arc::new(Inner {
                shared,
                control,
                commands,
                incoming,
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Asks the engine for something; an error means that it is gone.
    pub(crate) async fn send_command(&self, command: Command) -> Result<(), ()> {
        let sent = self.inner.commands.send(command).await;
        sent.map_err(|_| ())
    }

    /// This endpoint's id.
    pub fn peer_id(&self) -> PeerId {
        self.inner.shared.id
    }

    /// The local addresses of the UDP sockets, IPv4 first.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner
            .shared
            .sockets
            .iter()
            .map(|&(_, _, addr)| addr)
            .collect()
    }

    /// Waits until the first sign-in has succeeded or failed, and says how it stands since.
    ///
    /// # Errors
    ///
    /// [`SignInError`]: why this endpoint is not signed in. Unless
    /// [definite](SignInError::is_definite), it keeps trying, and calling again later may succeed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn online(&self) -> Result<SignedIn, SignInError> {
        self.inner.control.online().await
    }

    /// Lists peers online and the sessions between them, at every server we are signed in to.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list(&self) -> Result<Listing, RequestError> {
        let control = &self.inner.control;
        let first = control.first_server(Control::request_deadline()).await?;
        let mut order = control.standing().borrow().order.clone();
        order.retain(|&server| server != first);
        order.insert(0, first);
        let mut found: Result<Listing, RequestError> = Err(RequestError::TimedOut);
        for server in order {
            found = match (found, self.list_at(server).await) {
                (Ok(listing), Ok(also)) => Ok(listing.merged(also)),
                // What one says stands without the others.
                (Ok(listing), Err(_)) | (Err(_), Ok(listing)) => Ok(listing),
                (Err(_), Err(error)) => Err(error),
            };
        }
        found
    }

    async fn list_at(&self, server: ServerId) -> Result<Listing, RequestError> {
        let mut listing = Listing::default();
        let deadline = Control::request_deadline();
        for _ in 0..MAX_PAGES {
            let after = listing.peers.last().map(|last| last.peer);
            let ask = Arc::new(move |id| List { id, after }.into());
            let answer = self.inner.control.ask(server, ask, deadline).await?;
            match answer.ok_or(RequestError::TimedOut)? {
                ToPeer::Page(page) => {
                    let more = page.more && !page.peers.is_empty();
                    listing.peers.extend(page.peers);
                    listing.sessions.extend(page.sessions);
                    if !more {
                        break;
                    }
                }
                ToPeer::Failed(failed) => return Err(request_failure(failed.reason)),
                _ => return Err(RequestError::Rejected),
            }
        }
        Ok(listing)
    }

    /// The server's statistics of attempts, of everybody, since it was started.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stats(&self) -> Result<Stats, RequestError> {
        let ask = |id| AskStats { id }.into();
        match self.inner.control.request(ask).await? {
            ToPeer::Stats(stats) => Ok(stats),
            ToPeer::Failed(failed) => Err(request_failure(failed.reason)),
            _ => Err(RequestError::Rejected),
        }
    }

    /// The servers of this endpoint in the order given, how far they are, and which of them is asked
    /// first. Waits until each was measured or did not answer, 1 s and the lookup of its name at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn servers(&self) -> Vec<ServerStatus> {
        let mut standing = self.inner.control.standing();
        // An error means that the engine is gone.
        let _ = self.inner.commands.send(Command::Measure).await;
        let measured = standing.wait_for(|standing| standing.measured);
        let measured = timeout(MEASURE_TIMEOUT, measured).await;
        match measured {
            Ok(Ok(standing)) => standing.servers.clone(),
            // An error means that the engine is gone; what is known stays.
            Ok(Err(_)) | Err(_) => self.inner.control.standing().borrow().servers.clone(),
        }
    }

    /// Says where this host is seen from outside and what its NAT does. Uses STUN alone and works
    /// without being signed in; waits for answers 1 s at most, or 1.5 s where there are none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn net_report(&self) -> NetReport {
        let mut report = self.inner.shared.report.subscribe();
        let known = report.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some(report)) => report.clone(),
            Ok(None) | Err(_) => NetReport {
                reflexive_v4: None,
                reflexive_v6: None,
                local: Vec::new(),
                nat: NatClass::default(),
                details: nat::Report::default(),
                elapsed: Duration::ZERO,
            },
        }
    }

    /// The same, found out anew: for when this host's network may be another one than before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn look_again(&self) -> NetReport {
        let mut report = self.inner.shared.report.subscribe();
        report.mark_unchanged();
        // An error means that the engine is gone; then what is known stays.
        let asked = self.inner.commands.send(Command::Discover).await;
        if asked.is_ok() {
            let _ = tokio::time::timeout(LOOK_TIMEOUT, report.changed()).await;
        }
        self.net_report().await
    }

    /// Which port the router gives us, asked for if it was not yet; waits 4 s at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn port_mapping(&self) -> PortMapping {
        let mut mapping = self.inner.shared.port_mapping.subscribe();
        if !self.inner.shared.maps_port {
            return PortMapping::Off;
        }
        // An error means that the engine is gone.
        let _ = self.inner.commands.send(Command::MapPort).await;
        let known =
            |mapping: &PortMapping| !matches!(mapping, PortMapping::Off | PortMapping::Asking);
        let known = tokio::time::timeout(MAPPING_TIMEOUT, mapping.wait_for(known)).await;
        match known {
            Ok(Ok(mapping)) => *mapping,
            Ok(Err(_)) | Err(_) => PortMapping::Absent,
        }
    }

    /// Connects to a peer for one application protocol. Resolves as soon as application data can be
    /// sent, usually over the relay; the direct path follows by itself. A peer that was
    /// [found on this network](Self::set_nearby) is dialled there first.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Offline`], [`ConnectError::Declined`], [`ConnectError::Unanswered`],
    ///   [`ConnectError::NoProtocol`]: up to the other side.
    /// - [`ConnectError::NotSignedIn`], [`ConnectError::Busy`], [`ConnectError::Rejected`]: between us
    ///   and the server.
    /// - [`ConnectError::WrongKey`]: somebody else answered; do not go on.
    /// - [`ConnectError::NotHere`]: there is no server, and the peer is not on this network.
    /// - [`ConnectError::TimedOut`], [`ConnectError::Lost`]: neither path carried the handshake.
    /// - [`ConnectError::Myself`]: the caller's mistake.
    ///
    /// The text of each says what to do. That *the peer* refuses our key shows only afterwards, when
    /// it closes the connection: in TLS 1.3 the dialling side is done first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives the attempt up.
    pub async fn connect(&self, peer: PeerId, alpn: &[u8]) -> Result<Connection, ConnectError> {
        let shared = &self.inner.shared;
        if peer == shared.id {
            return Err(ConnectError::Myself);
        }
        if let Some(connection) = self.connect_nearby(peer, alpn).await? {
            return Ok(connection);
        }
        self.online().await?;
        let dialled_at = Instant::now();
        let gone = || ConnectError::NotSignedIn(SignInError::SignedOut);
        let mut stale = None;
        loop {
            let (peer, _wanted) = self.session_with(peer, stale).await?;
            let stood = *peer.phase.borrow() == Phase::Introduced;
            let connecting = incoming::dial(shared, &peer, alpn)?;
            let mut phase = peer.phase.subscribe();
            let refused = phase.wait_for(|phase| matches!(phase, Phase::Refused(_)));
            let connection = tokio::select! {
                connection = connecting => connection?,
                phase = refused => match phase.as_deref() {
                    Ok(Phase::Refused(reason)) => return Err(refusal(*reason)),
                    Ok(Phase::Introducing | Phase::Introduced) | Err(_) => return Err(gone()),
                },
                () = tokio::time::sleep(STALE_TIMEOUT), if stood && stale.is_none() => {
                    stale = Some(peer.link.addr());
                    continue;
                }
                () = tokio::time::sleep(CONNECT_TIMEOUT) => {
                    return Err(match *peer.phase.borrow() {
                        Phase::Introducing => ConnectError::Unanswered,
                        Phase::Introduced | Phase::Refused(_) => ConnectError::TimedOut,
                    });
                }
            };
            let shared = shared.clone();
            return Ok(Connection::new(shared, peer, connection, dialled_at, true));
        }
    }

    /// A session with that peer; another one than the stale one.
    async fn session_with(
        &self,
        peer: PeerId,
        stale: Option<VirtualAddr>,
    ) -> Result<(Arc<Peer>, Wanted), ConnectError> {
        let (reply, dialled) = oneshot::channel();
        let gone = |_| ConnectError::NotSignedIn(SignInError::SignedOut);
        let dial = Command::Dial { peer, stale, reply };
        self.send_command(dial).await.map_err(gone)?;
        dialled.await.map_err(|_| gone(()))
    }

    /// The next connection that a peer has made to us, authenticated and let in by the policy.
    /// `None` once the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.incoming.lock().await.recv().await
    }

    /// What happens from now on. A receiver that falls behind by 256 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<EndpointEvent> {
        self.inner.shared.events.subscribe()
    }

    /// What the sockets sent, received and dropped.
    pub fn counters(&self) -> CountersSnapshot {
        self.inner.shared.socket.counters()
    }

    /// Whether it is signed in right now.
    pub fn is_online(&self) -> bool {
        matches!(self.inner.control.state(), ControlState::Online(_))
    }

    /// Gives the lease back: others see this peer leave at once. Connections stay.
    pub async fn sign_out(&self) {
        self.inner.control.sign_out().await;
    }
}

fn request_failure(reason: FailReason) -> RequestError {
    match reason {
        FailReason::Busy | FailReason::ShuttingDown => RequestError::Busy,
        FailReason::BadToken => SignInError::BadToken.into(),
        FailReason::NotAllowed => SignInError::NotAllowed.into(),
        FailReason::NameTaken
        | FailReason::UnknownPeer
        | FailReason::Ambiguous
        | FailReason::BadRequest => RequestError::Rejected,
    }
}

fn refusal(reason: RefuseReason) -> ConnectError {
    match reason {
        RefuseReason::Offline => ConnectError::Offline,
        RefuseReason::Declined => ConnectError::Declined,
        RefuseReason::Unanswered => ConnectError::Unanswered,
        RefuseReason::Busy | RefuseReason::Superseded => ConnectError::Busy,
        RefuseReason::BadRequest => ConnectError::Rejected,
    }
}
