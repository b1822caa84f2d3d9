//! The virtual network: hosts and routers in a tree below the internet, and packets under way.
//!
//! **Invariants:** packets at one instant are handled in the order they were put there; one seed
//! and one sequence of calls give one sequence of deliveries.

mod forward;
mod topology;
mod verdict;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use forward::Event;
pub use topology::{Direction, HostId, NodeId, RouterId, RouterKind};
use topology::{Gate, Topology};

use crate::counters::{Counters, Dropped};
use crate::link::LinkConfig;

/// Packets under way at once. A million is above every test here and keeps a sender that never
/// waits within a few gigabytes at most.
const MAX_UNDER_WAY: usize = 1_000_000;

/// A datagram that reached a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub at: Instant,
    /// Which host.
    pub host: HostId,
    /// The sender, as the host sees it.
    pub src: SocketAddr,
    /// Which of the host's endpoints it was sent to.
    pub dst: SocketAddr,
    /// The datagram.
    pub payload: Vec<u8>,
}

/// A whole network.
///
/// # Driving it
///
/// It reads no clock. After every [`send`](Self::send), and whenever
/// [`poll_timeout`](Self::poll_timeout) has come, call [`poll_delivery`](Self::poll_delivery) until
/// it returns `None`. It may be called with a later time at once: deliveries come one by one in
/// order of time, and nothing after the returned one has happened yet. Never poll past the moment
/// at which a host's own timer would make it send: time does not go back, and the packet would
/// leave late. Drain up to the moment a fault shall happen at before injecting it.
#[derive(Debug)]
pub struct Net {
    start: Instant,
    /// No event before this is left.
    now: Instant,
    topology: Topology,
    under_way: BinaryHeap<Reverse<Event>>,
    next_order: u64,
    counters: Counters,
}

impl Net {
    /// An internet without anyone on it. `seed` decides every random choice of the run; `start` is
    /// its first instant.
    pub fn new(seed: u64, start: Instant) -> Self {
        Self {
            start,
            now: start,
            topology: Topology::new(seed),
            under_way: BinaryHeap::new(),
            next_order: 0,
            counters: Counters::default(),
        }
    }

    /// The first instant of the run.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The latest instant seen.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Adds a router below `parent`, or on the internet for `None`. `outside` are its addresses
    /// there; `link` is its link to there, in both directions.
    ///
    /// # Panics
    ///
    /// If another node there has one of the addresses already.
    pub fn add_router(
        &mut self,
        parent: Option<RouterId>,
        kind: RouterKind,
        outside: Vec<IpAddr>,
        link: LinkConfig,
    ) -> RouterId {
        self.topology.add_router(parent, kind, outside, link)
    }

    /// Adds a host below `parent`, or on the internet for `None`, with its addresses of either
    /// family and its link in both directions.
    ///
    /// # Panics
    ///
    /// If another node there has one of the addresses already.
    pub fn add_host(
        &mut self,
        parent: Option<RouterId>,
        addrs: Vec<IpAddr>,
        link: LinkConfig,
    ) -> HostId {
        self.topology.add_host(parent, addrs, link)
    }

    /// Sends a datagram at `now`, which is taken as the latest instant seen if it is before it. An
    /// unspecified source address stands for the host's first one of the destination's family.
    pub fn send(
        &mut self,
        now: Instant,
        from: HostId,
        src: SocketAddr,
        dst: SocketAddr,
        payload: Vec<u8>,
    ) {
        self.now = self.now.max(now);
        self.counters.sent += 1;
        if let Err(why) = self.leave_host(from, src, dst, payload) {
            self.counters.record(why);
        }
    }

    /// Returns the next datagram that reaches a host at or before `now`.
    pub fn poll_delivery(&mut self, now: Instant) -> Option<Delivery> {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            let Reverse(event) = self.under_way.pop()?;
            self.now = self.now.max(event.at);
            match self.arrive(event) {
                Ok(Some(delivery)) => {
                    self.counters.delivered += 1;
                    return Some(delivery);
                }
                Ok(None) => (),
                Err(why) => self.counters.record(why),
            }
        }
        self.now = self.now.max(now);
        None
    }

    /// Returns when a packet next gets anywhere, or `None` if none is under way. It may be a router
    /// rather than a host that it gets to.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(event)| event.at)
    }

    /// What happened to every packet so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The addresses of a host, or those a router has on its outside.
    pub fn addrs(&self, node: impl Into<NodeId>) -> &[IpAddr] {
        &self.topology.node(node.into()).addrs
    }

    /// The router above a node; `None` on the internet.
    pub fn parent(&self, node: impl Into<NodeId>) -> Option<RouterId> {
        self.topology.node(node.into()).parent
    }

    /// Replaces a node's link towards its parent in both directions.
    pub fn set_link(&mut self, node: impl Into<NodeId>, link: LinkConfig) {
        let node = node.into();
        self.set_link_direction(node, Direction::Up, link.clone());
        self.set_link_direction(node, Direction::Down, link);
    }

    /// Replaces one direction of a node's link towards its parent. Packets under way still arrive.
    pub fn set_link_direction(
        &mut self,
        node: impl Into<NodeId>,
        direction: Direction,
        link: LinkConfig,
    ) {
        self.topology
            .node_mut(node.into())
            .link_mut(direction)
            .reconfigure(link);
    }

    /// Makes a node swallow everything it gets, or work again. Nobody is told.
    pub fn set_dark(&mut self, node: impl Into<NodeId>, dark: bool) {
        self.topology.node_mut(node.into()).dark = dark;
    }

    /// Makes a router forget every mapping and flow. Packets under way stay so.
    pub fn reboot_router(&mut self, router: RouterId) {
        match &mut self.topology.router_mut(router).gate {
            Gate::Nat { nat, v6 } => {
                nat.flush();
                if let Some(firewall) = v6 {
                    firewall.flush();
                }
            }
            Gate::Firewall(firewall) => firewall.flush(),
            Gate::Plain => (),
        }
    }

    /// Reboots a router and gives it other outside addresses, as a provider does over night.
    ///
    /// # Panics
    ///
    /// If another node there has one of the addresses already.
    pub fn renumber_router(&mut self, router: RouterId, outside: Vec<IpAddr>) {
        self.reboot_router(router);
        self.topology.renumber_router(router, outside);
    }

    /// Takes a host to another place with other addresses; its link goes with it. Packets to its
    /// old addresses are lost.
    ///
    /// # Panics
    ///
    /// If another node there has one of the addresses already.
    pub fn move_host(&mut self, host: HostId, parent: Option<RouterId>, addrs: Vec<IpAddr>) {
        self.topology.move_host(host, parent, addrs);
    }

    /// How many mappings a NAT holds, ended ones included until they are replaced; 0 for another
    /// kind of router.
    pub fn mapping_count(&self, router: RouterId) -> usize {
        match &self.topology.router(router).gate {
            Gate::Nat { nat, .. } => nat.mapping_count(),
            Gate::Firewall(_) | Gate::Plain => 0,
        }
    }

    fn schedule(&mut self, mut event: Event) -> Result<(), Dropped> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return Err(Dropped::Overloaded);
        }
        event.order = self.next_order;
        self.next_order += 1;
        self.under_way.push(Reverse(event));
        Ok(())
    }
}
