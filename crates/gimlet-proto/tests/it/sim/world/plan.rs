//! How a world is laid out, and what its peers know of their NATs.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
use gimlet_proto::traversal::PortKnowledge;
use gimlet_sim::{Filtering, Layer, Mapping, Site};

use super::World;

/// How to lay a world out.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) sites: [Site; 2],
    /// What both sites are behind.
    pub(crate) shared: Site,
    /// One way between any two of dialer, acceptor and server, a multiple of 2.
    pub(crate) delay: Duration,
    /// How much farther away each side is.
    pub(crate) extra_delay: [Duration; 2],
    pub(crate) loss: f64,
    pub(crate) ipv6: bool,
    pub(crate) ipv4: bool,
    /// The acceptor holds its checks for a round trip to the server.
    pub(crate) hold: bool,
    /// Both have the address of a thousand other home networks.
    pub(crate) same_private_address: bool,
    /// Both know their NATs and may search for a port.
    pub(crate) search: bool,
    /// New mappings a second that others make on each side's outermost NAT.
    pub(crate) neighbours: u32,
}

impl Plan {
    pub(crate) fn new(seed: u64, dialer: Site, acceptor: Site) -> Self {
        Self {
            seed,
            sites: [dialer, acceptor],
            shared: Site::public(),
            delay: Duration::ZERO,
            extra_delay: [Duration::ZERO; 2],
            loss: 0.0,
            ipv6: false,
            ipv4: true,
            hold: true,
            same_private_address: false,
            search: false,
            neighbours: 0,
        }
    }

    /// Lays it out, introduces the peers and runs until both have settled.
    pub(crate) fn play(self) -> World {
        let mut world = World::new(self);
        world.introduce();
        world.run(Duration::from_secs(if world.plan.search { 40 } else { 25 }));
        world
    }
}

/// What discovery finds of a site: its outermost NAT.
pub(super) fn nat_class(site: &Site) -> NatClass {
    let Some(Layer::Nat(nat)) = site.layers.last() else {
        return NatClass::default();
    };
    NatClass {
        mapping: Some(match nat.mapping {
            Mapping::EndpointIndependent => Behaviour::EndpointIndependent,
            Mapping::AddressDependent => Behaviour::AddressDependent,
            Mapping::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        }),
        filtering: Some(match nat.filtering {
            Filtering::EndpointIndependent => Behaviour::EndpointIndependent,
            Filtering::AddressDependent => Behaviour::AddressDependent,
            Filtering::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
        }),
        allocation: Some(match nat.allocation {
            gimlet_sim::Allocation::Preserving => Allocation::Preserving,
            gimlet_sim::Allocation::Sequential { .. } => Allocation::Sequential,
            gimlet_sim::Allocation::Random => Allocation::Random,
            gimlet_sim::Allocation::RandomBlock { .. } => Allocation::RandomBlock,
        }),
        hairpin: Some(nat.hairpin),
    }
}

/// What it finds of the ports, with a block seen only as far as samples show it.
pub(super) fn port_knowledge(site: &Site, seen: Option<SocketAddr>) -> PortKnowledge {
    let (Some(Layer::Nat(nat)), Some(seen)) = (site.layers.last(), seen) else {
        return PortKnowledge::default();
    };
    match nat.allocation {
        gimlet_sim::Allocation::Sequential { step } => PortKnowledge {
            step: Some(step as i16),
            exact: true,
            ..PortKnowledge::default()
        },
        gimlet_sim::Allocation::RandomBlock { size } => {
            let first = (seen.port() - 1024) / size * size + 1024;
            PortKnowledge {
                block: Some((first, first.saturating_add(size - 1))),
                exact: true,
                ..PortKnowledge::default()
            }
        }
        _ => PortKnowledge {
            exact: true,
            ..PortKnowledge::default()
        },
    }
}
