//! What callers, and tasks that work for the engine, ask of it.

use std::sync::Arc;

use gimlet_net::port_map::PortMapping;
use gimlet_net::virtual_addr::VirtualAddr;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::Introduction;
use quinn::AsyncUdpSocket;
use tokio::sync::{oneshot, watch};

use super::discovery::{Opened, Run};
use super::{Engine, addresses, now};
use crate::control::{ServerId, ServerPlace};
use crate::peer::{Peer, Wanted};
use crate::presence::Tidings;

/// See the [module docs](self).
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

impl Engine {
    pub(super) fn handle_command(&mut self, command: Command) {
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
}
