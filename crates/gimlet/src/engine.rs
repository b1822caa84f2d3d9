//! The engine: one task that owns every session with every peer.
//!
//! It feeds the machines (traversal agents, relay legs, the STUN client) with what sockets, server
//! and callers say, and carries out what they decide. Everything it holds is bounded: sessions by
//! [`MAX_SESSIONS`], and what an unknown session sends by [`held::Held`].

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gimlet_net::path::{Report, Via};
use gimlet_net::port_map::{PortMap, PortMapping};
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::{Candidate, NatClass};
use gimlet_proto::frame::{self, FrameKind};
use gimlet_proto::id::PeerId;
use gimlet_proto::limit::{Bucket, Rate};
use gimlet_proto::message::Introduction;
use gimlet_proto::secret::SessionId;
use gimlet_proto::stun;
use gimlet_proto::traversal::{Route, SocketId};
use quinn::AsyncUdpSocket;
use tokio::sync::{mpsc, oneshot, watch};

use crate::control::{Control, ControlEnds, ControlEvent, ServerId, ServerPlace};
use crate::endpoint::Shared;
use crate::peer::{Peer, Wanted};
use crate::presence::Tidings;

mod addresses;
mod answering;
mod apply;
mod asking;
mod discovery;
mod entries;
mod held;
mod leg;
mod lookout;
mod mapping;
mod movement;
mod nearness;
mod relocating;
mod relocation;
mod reporting;
mod search;
mod servers;
mod session;
mod watches;

use asking::Asking;
use discovery::{Discovery, Opened, Run};
use held::Held;
use movement::Movement;
use reporting::Reports;
use search::Searches;
use servers::Servers;
use session::Session;
use watches::Watches;

/// Sessions of one endpoint. Each takes some 10 KiB; strangers who are let in
/// count, so it must be bounded.
const MAX_SESSIONS: usize = 4096;

/// How long a session that nobody uses is kept: long enough for the goodbye to be repeated, and for
/// the next connection to find a direct path ready.
const LINGER: Duration = Duration::from_secs(30);

/// How often unused sessions are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Checks of all sessions together toward addresses that have proven nothing: 1,200 bytes each, so
/// 2 Mbit/s at most whoever introduces whomever, and enough at once for a dozen sessions that begin
/// together. What is held back is repeated by its agent.
const CHECKS: Rate = Rate::per_second(200, 400);

/// What callers ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Makes sure of a session with a peer; its packets have a way at once.
    Dial {
        /// With whom.
        peer: PeerId,
        /// A session on which nothing answers.
        stale: Option<VirtualAddr>,
        /// The peer, kept as long as the caller wants it.
        reply: oneshot::Sender<(Arc<Peer>, Wanted)>,
    },
    /// The policy has decided about an introduction.
    Decided {
        /// By which server.
        server: ServerId,
        /// Which one.
        introduction: Box<Introduction>,
        /// How.
        accepted: bool,
    },
    /// Sockets for a search are open.
    Opened {
        /// Whose search.
        addr: VirtualAddr,
        /// As many as could be opened.
        sockets: Vec<Arc<dyn AsyncUdpSocket>>,
    },
    /// Sockets for discovery are open.
    DiscoveryOpened {
        /// For which machine of which round.
        run: Run,
        /// What each came to.
        opened: Opened,
    },
    /// Somebody wants to know how the network is now.
    Discover,
    /// The addresses of one server are known.
    Located(ServerId, Vec<ServerPlace>),
    /// The addresses of all servers are known.
    Places(Vec<ServerPlace>),
    /// Somebody looks for a peer at a server that we may not be signed in to.
    Need(ServerId),
    /// Somebody follows a peer's presence.
    Watch {
        /// Whose.
        peer: PeerId,
        /// `None` where too many are followed.
        reply: oneshot::Sender<Option<watch::Receiver<Tidings>>>,
    },
    /// Somebody wants to know how far the servers are.
    Measure,
    /// Somebody wants to know which port the router gives us.
    MapPort,
    /// What the router gave.
    Mapped(PortMapping),
    /// Ends every session, so that the server hears of it before the goodbye, and the engine.
    Stop {
        /// Dropped when all is said.
        done: oneshot::Sender<()>,
    },
}

/// A session and the peer it is with.
struct Entry {
    peer: Arc<Peer>,
    session: Session,
    reports: Reports,
    /// When the flow last came whose end was noticed.
    stopped_at: Option<Instant>,
    /// Since when nobody uses it.
    unused_since: Option<Instant>,
    /// When it is due in [`Engine::due`].
    due_at: Option<Instant>,
}

pub(crate) struct Engine {
    shared: Arc<Shared>,
    control: Control,
    commands: mpsc::WeakSender<Command>,
    entries: HashMap<VirtualAddr, Entry>,
    /// When each entry wants to be looked at, soonest first.
    due: BTreeSet<(Instant, VirtualAddr)>,
    /// The newest entry of each peer: a peer's key may be used by several of its programs.
    newest: HashMap<PeerId, VirtualAddr>,
    by_session: HashMap<SessionId, VirtualAddr>,
    by_fragment: HashMap<[u8; 8], VirtualAddr>,
    held: Held,
    servers: Servers,
    asking: Asking,
    /// What strangers can make us send by naming addresses: see [`CHECKS`].
    checks: Bucket,
    searches: Searches,
    /// Where the primary server sees the socket of our control session.
    observed: Option<(SocketId, SocketAddr)>,
    /// What peers were last told of us.
    announced: (Vec<Candidate>, NatClass),
    discovery: Discovery,
    /// The servers that are asked how we are seen.
    asked: Vec<(SocketId, SocketAddr)>,
    sweep_at: Instant,
    movement: Movement,
    port_map: Option<PortMap>,
    watches: Watches,
}

impl Engine {
    /// Starts the task. It ends on [`Command::Stop`], or when every endpoint is dropped and no
    /// session is in use.
    pub(crate) fn start(
        shared: Arc<Shared>,
        control: Control,
        control_ends: ControlEnds,
        from_callers: mpsc::Receiver<Command>,
        commands: mpsc::WeakSender<Command>,
        reports: mpsc::Receiver<Report>,
        servers: Vec<Vec<ServerAddress>>,
    ) {
        tokio::spawn(addresses::resolve_places(
            shared.clone(),
            servers,
            commands.clone(),
        ));
        let now = now();
        let addresses = (shared.network.addresses)(false);
        let movement = Movement::new(shared.network.told(), addresses);
        let engine = Self {
            shared,
            control,
            commands,
            entries: HashMap::new(),
            due: BTreeSet::new(),
            newest: HashMap::new(),
            by_session: HashMap::new(),
            by_fragment: HashMap::new(),
            held: Held::default(),
            servers: Servers::new(control_ends.standing, now),
            asking: Asking::default(),
            checks: Bucket::default(),
            searches: Searches::new(),
            observed: None,
            announced: Default::default(),
            discovery: Discovery::default(),
            asked: Vec::new(),
            sweep_at: now + SWEEP,
            movement,
            port_map: None,
            watches: Watches::default(),
        };
        tokio::spawn(engine.run(control_ends.events, from_callers, reports));
    }

    async fn run(
        mut self,
        mut control_events: mpsc::Receiver<(ServerId, ControlEvent)>,
        mut commands: mpsc::Receiver<Command>,
        mut reports: mpsc::Receiver<Report>,
    ) {
        let mut changes = self.shared.network.changes();
        let mut nearby = (self.shared.lan.as_ref()).map(|lan| lan.nearby.changes());
        let mut orphaned = false;
        self.settle_servers();
        while !(orphaned && self.entries.values().all(|entry| !entry.peer.is_in_use())) {
            let timeout = tokio::time::sleep_until(self.timeout().into());
            tokio::select! {
                biased;
                Some((server, event)) = control_events.recv() => {
                    self.handle_control(server, event);
                }
                command = commands.recv(), if !orphaned => match command {
                    Some(Command::Stop { done }) => {
                        self.stop();
                        self.release_port();
                        drop(done);
                        break;
                    }
                    Some(command) => self.handle_command(command),
                    None => orphaned = true,
                },
                Some(report) = reports.recv() => self.handle_report(report),
                Ok(()) = changes.changed() => {
                    let changes = *changes.borrow_and_update();
                    self.handle_changes(changes, now());
                }
                () = changed(&mut nearby) => self.look_around(),
                () = timeout => self.handle_timeout(),
            }
            self.settle_servers();
            self.ask_next();
        }
        self.shared
            .peers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Dial { peer, stale, reply } => {
                self.map_port();
                if let Some(dialled) = self.dial(peer, stale) {
                    // The caller may have gone; the session then lingers and ends.
                    let _ = reply.send(dialled);
                }
            }
            Command::Decided {
                server,
                introduction,
                accepted,
            } => self.decided(server, *introduction, accepted),
            Command::Located(server, places) => self.located(server, &places, now()),
            Command::Need(server) => self.servers.need(server, now()),
            Command::Watch { peer, reply } => {
                // The caller may have gone; then nobody follows.
                let _ = reply.send(self.watch_peer(peer));
            }
            Command::Measure => self.measure_servers(now()),
            Command::Places(places) => {
                let ports = places.iter().flat_map(|place| {
                    let main = (place.socket, place.addr);
                    let next = place.addr.port().checked_add(1);
                    let second =
                        next.map(|port| (place.socket, addresses::with_port(place.addr, port)));
                    [Some(main), second].into_iter().flatten()
                });
                self.discover(ports.collect());
                for place in places.iter().rev() {
                    self.watch_mapping(place.socket, place.addr, now());
                }
                self.servers_known();
            }
            Command::DiscoveryOpened { run, opened } => self.discovery_opened(run, opened),
            Command::Discover => self.discover_again(),
            Command::MapPort => self.map_port(),
            Command::Mapped(mapping) => self.mapped(mapping),
            Command::Opened { addr, sockets } => self.opened(addr, sockets, now()),
            // The loop ends before it gets here.
            Command::Stop { .. } => (),
        }
    }

    fn handle_report(&mut self, report: Report) {
        let now = now();
        match report {
            Report::Stun { via, datagram } => self.handle_stun(via, &datagram, now),
            Report::Frame {
                kind,
                session,
                payload,
            } => {
                self.with_session(session, |entry| match kind {
                    FrameKind::Bound => {
                        if let Some(counter) = frame::decode_bound(&payload) {
                            entry.session.handle_bound(session, counter, now);
                        }
                    }
                    FrameKind::Unknown => entry.session.handle_unknown(session, now),
                    FrameKind::Data | FrameKind::Bind => (),
                });
            }
            Report::Unclaimed { session, datagram } => self.unclaimed(session, datagram, now),
            Report::Suspect { link, route } => {
                let mut home = None;
                self.with_link(&link, |entry| {
                    home = entry.session.home;
                    entry.session.agent.handle_suspect(route, now)
                });
                if route == Route::Relay {
                    self.doubt_server(home, now);
                }
                self.doubt_entry(link.addr(), now);
            }
            Report::Heard { link, route } => {
                self.with_link(&link, |entry| entry.session.agent.handle_heard(route, now));
            }
            Report::SendFailed { link, route } => {
                self.with_link(&link, |entry| {
                    entry.session.agent.handle_send_failed(route, now)
                });
                self.doubt_entry(link.addr(), now);
            }
            Report::Flowing { .. } => self.flowing(now),
        }
    }

    fn handle_stun(&mut self, via: Via, datagram: &[u8], now: Instant) {
        let (route, entry) = match via {
            Via::Direct { socket, remote } => {
                self.pass_on_answer(socket, remote, datagram);
                if self.handle_lookout(socket, remote, datagram, now) {
                    return;
                }
                if self.handle_discovery(socket, remote, datagram, now) {
                    return;
                }
                if self.handle_nearness(socket, remote, datagram, now) {
                    return;
                }
                (
                    Route::Direct { socket, remote },
                    self.entry_of_check(socket, remote, datagram),
                )
            }
            Via::Relay(session) => (Route::Relay, self.by_session.get(&session).copied()),
        };
        let Some(entry) = entry else {
            return self.shared.socket.note_bad_stun();
        };
        let socket = self.shared.socket.clone();
        self.with_entry(entry, |entry| {
            match (entry.session.agent.handle_stun(route, datagram, now), via) {
                (Ok(()), Via::Relay(session)) => entry.session.relocations.heard_over(session),
                (Ok(()), Via::Direct { .. }) => (),
                (Err(dropped), _) => {
                    socket.note_bad_stun();
                    tracing::trace!(?dropped, "STUN datagram dropped");
                }
            }
        });
    }

    /// A check names its session by the user fragment, an answer by the transaction id.
    fn entry_of_check(
        &self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Option<VirtualAddr> {
        if let Some(fragment) = stun::fragment_of(datagram) {
            return self.by_fragment.get(&fragment).copied();
        }
        let transaction = stun::transaction_of(datagram)?;
        let owns = |addr: &VirtualAddr| {
            self.entries
                .get(addr)
                .is_some_and(|entry| entry.session.agent.owns(&transaction))
        };
        // Nearly every answer comes from an address that a link has proven.
        let proven = self.shared.socket.link_at(socket, remote).filter(&owns);
        proven.or_else(|| self.entries.keys().copied().find(owns))
    }

    fn handle_timeout(&mut self) {
        let now = now();
        self.handle_discovery_timeout(now);
        self.handle_movement_timeout(now);
        self.handle_servers_timeout(now);
        let socket = self.shared.socket.clone();
        while let Some(&(at, addr)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, addr));
            self.with_entry(addr, |entry| {
                entry.due_at = None;
                entry.session.handle_timeout(&entry.peer, &socket, now);
            });
        }
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP;
            self.sweep(now);
        }
    }

    fn timeout(&self) -> Instant {
        let due = self.due.first().map(|&(at, _)| at);
        let discovery = self.discovery.poll_timeout();
        let servers = self.servers.poll_timeout();
        [due, discovery, servers, self.movement.poll_timeout()]
            .into_iter()
            .flatten()
            .fold(self.sweep_at, Instant::min)
    }
}

/// Waits for a change; for ever, where there is nothing to follow.
async fn changed<T>(followed: &mut Option<watch::Receiver<T>>) {
    if let Some(followed) = followed
        && followed.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// The one clock of the engine: tokio's, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
