//! The engine: one task that owns every session with every peer.
//!
//! It feeds the machines (traversal agents, relay legs, the STUN client) with what sockets, server
//! and callers say, and carries out what they decide. Everything it holds is bounded: sessions by
//! [`MAX_SESSIONS`], and what an unknown session sends by [`held::Held`].

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use gimlet_net::path::Report;
use gimlet_net::port_map::PortMap;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::candidate::{Candidate, NatClass};
use gimlet_proto::id::PeerId;
use gimlet_proto::limit::{Bucket, Rate};
use gimlet_proto::secret::SessionId;
use gimlet_proto::traversal::SocketId;
use tokio::sync::{mpsc, watch};

use crate::control::{Control, ControlEnds, ControlEvent, ServerId};
use crate::endpoint::Shared;
use crate::peer::Peer;

mod addresses;
mod answering;
mod apply;
mod asking;
mod beat;
mod command;
mod discovery;
mod entries;
mod heard;
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
use beat::Beat;
pub(crate) use command::Command;
use discovery::Discovery;
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

/// A session and the peer it is with.
struct Entry {
    peer: Arc<Peer>,
    session: Session,
    reports: Reports,
    beat: Beat,
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
