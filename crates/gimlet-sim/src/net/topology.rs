//! Who is where: hosts and routers, their links, and which address lies in which direction.
//!
//! **Invariant:** a router's (and the internet's) routes hold exactly the addresses of the nodes
//! below it that no NAT in between hides.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::firewall::{Firewall, FirewallConfig};
use crate::link::{Link, LinkConfig};
use crate::nat::{Nat, NatConfig};
use crate::rng::Rng;

/// A host of one [`Net`](crate::Net).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) usize);

/// A router of one [`Net`](crate::Net).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub(super) usize);

/// A host or a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// A host.
    Host(HostId),
    /// A router.
    Router(RouterId),
}

impl From<HostId> for NodeId {
    fn from(host: HostId) -> Self {
        Self::Host(host)
    }
}

impl From<RouterId> for NodeId {
    fn from(router: RouterId) -> Self {
        Self::Router(router)
    }
}

/// One direction of a node's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the internet.
    Up,
    /// Towards the node.
    Down,
}

/// What a router does to packets between its inside and its outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// Translates IPv4; forwards IPv6 through a stateful firewall unless configured otherwise.
    Nat(NatConfig),
    /// Filters both families, translates nothing.
    Firewall(FirewallConfig),
    /// Forwards.
    Plain,
}

/// The working state behind a [`RouterKind`].
#[derive(Debug)]
pub(super) enum Gate {
    Nat { nat: Box<Nat>, v6: Option<Firewall> },
    Firewall(Firewall),
    Plain,
}

impl Gate {
    fn new(kind: RouterKind, outside: &[IpAddr], seed: u64) -> Self {
        match kind {
            RouterKind::Nat(config) => {
                let v6 = config
                    .ipv6_firewall
                    .then(|| Firewall::new(FirewallConfig::stateful()));
                Self::Nat {
                    nat: Box::new(Nat::new(config, outside.to_vec(), seed)),
                    v6,
                }
            }
            RouterKind::Firewall(config) => Self::Firewall(Firewall::new(config)),
            RouterKind::Plain => Self::Plain,
        }
    }

    fn hides(&self, address: IpAddr) -> bool {
        match self {
            Self::Nat { .. } => address.is_ipv4(),
            Self::Firewall(_) | Self::Plain => false,
        }
    }
}

/// What hosts and routers have in common.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: Option<RouterId>,
    pub(super) addrs: Vec<IpAddr>,
    pub(super) dark: bool,
    up: Link,
    down: Link,
}

impl Node {
    pub(super) fn link_mut(&mut self, direction: Direction) -> &mut Link {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

#[derive(Debug)]
pub(super) struct Router {
    pub(super) node: Node,
    pub(super) gate: Gate,
    pub(super) routes: BTreeMap<IpAddr, NodeId>,
}

#[derive(Debug)]
pub(super) struct Topology {
    seeds: Rng,
    hosts: Vec<Node>,
    routers: Vec<Router>,
    /// Routes of the internet itself.
    core: BTreeMap<IpAddr, NodeId>,
}

impl Topology {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seeds: Rng::new(seed),
            hosts: Vec::new(),
            routers: Vec::new(),
            core: BTreeMap::new(),
        }
    }

    pub(super) fn add_router(
        &mut self,
        parent: Option<RouterId>,
        kind: RouterKind,
        outside: Vec<IpAddr>,
        link: LinkConfig,
    ) -> RouterId {
        let id = RouterId(self.routers.len());
        let node = self.new_node(parent, outside.clone(), link);
        let gate = Gate::new(kind, &outside, self.seeds.next_u64());
        self.routers.push(Router {
            node,
            gate,
            routes: BTreeMap::new(),
        });
        self.announce(id.into(), parent, &outside);
        id
    }

    pub(super) fn add_host(
        &mut self,
        parent: Option<RouterId>,
        addrs: Vec<IpAddr>,
        link: LinkConfig,
    ) -> HostId {
        let id = HostId(self.hosts.len());
        let node = self.new_node(parent, addrs.clone(), link);
        self.hosts.push(node);
        self.announce(id.into(), parent, &addrs);
        id
    }

    pub(super) fn move_host(&mut self, host: HostId, parent: Option<RouterId>, addrs: Vec<IpAddr>) {
        self.withdraw(host.into());
        self.announce(host.into(), parent, &addrs);
        let node = &mut self.hosts[host.0];
        node.parent = parent;
        node.addrs = addrs;
    }

    pub(super) fn renumber_router(&mut self, router: RouterId, outside: Vec<IpAddr>) {
        let parent = self.routers[router.0].node.parent;
        self.withdraw(router.into());
        self.announce(router.into(), parent, &outside);
        let router = self.router_mut(router);
        if let Gate::Nat { nat, .. } = &mut router.gate {
            nat.renumber(outside.clone());
        }
        router.node.addrs = outside;
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        match node {
            NodeId::Host(host) => &self.hosts[host.0],
            NodeId::Router(router) => &self.routers[router.0].node,
        }
    }

    pub(super) fn node_mut(&mut self, node: NodeId) -> &mut Node {
        match node {
            NodeId::Host(host) => &mut self.hosts[host.0],
            NodeId::Router(router) => &mut self.routers[router.0].node,
        }
    }

    pub(super) fn router(&self, router: RouterId) -> &Router {
        &self.routers[router.0]
    }

    pub(super) fn router_mut(&mut self, router: RouterId) -> &mut Router {
        &mut self.routers[router.0]
    }

    /// Who has `address` below `place`, where `None` is the internet.
    pub(super) fn route(&self, place: Option<RouterId>, address: IpAddr) -> Option<NodeId> {
        let routes = place.map_or(&self.core, |router| &self.routers[router.0].routes);
        routes.get(&address).copied()
    }

    /// The routers above a node, the nearest first.
    pub(super) fn ancestors(&self, node: NodeId) -> Vec<RouterId> {
        let parent_of = |router: &RouterId| self.routers[router.0].node.parent;
        std::iter::successors(self.node(node).parent, parent_of).collect()
    }

    fn new_node(&mut self, parent: Option<RouterId>, addrs: Vec<IpAddr>, link: LinkConfig) -> Node {
        Node {
            parent,
            addrs,
            dark: false,
            up: Link::new(link.clone(), Rng::new(self.seeds.next_u64())),
            down: Link::new(link, Rng::new(self.seeds.next_u64())),
        }
    }

    /// Makes addresses of `node` known above it, as far up as no NAT hides them.
    fn announce(&mut self, node: NodeId, parent: Option<RouterId>, addrs: &[IpAddr]) {
        for address in addrs {
            let (mut child, mut place) = (node, parent);
            loop {
                let routes = match place {
                    Some(router) => &mut self.routers[router.0].routes,
                    None => &mut self.core,
                };
                let before = routes.insert(*address, child);
                assert!(before.is_none(), "{address} is taken by {before:?}");
                let Some(router) = place else { break };
                if self.routers[router.0].gate.hides(*address) {
                    break;
                }
                (child, place) = (router.into(), self.routers[router.0].node.parent);
            }
        }
    }

    fn withdraw(&mut self, node: NodeId) {
        let addrs = self.node(node).addrs.clone();
        let above = self.ancestors(node);
        for address in addrs {
            let mut hidden = false;
            for router in &above {
                let router = self.router_mut(*router);
                router.routes.remove(&address);
                hidden = router.gate.hides(address);
                if hidden {
                    break;
                }
            }
            if !hidden {
                self.core.remove(&address);
            }
        }
    }
}
