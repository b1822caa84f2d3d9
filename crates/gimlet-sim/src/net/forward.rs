//! One packet, one hop.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::time::Instant;

use super::topology::{Direction, Gate, HostId, NodeId, RouterId};
use super::{Delivery, Net};
use crate::counters::Dropped;

/// Bytes of IPv4 and UDP headers.
const IPV4_OVERHEAD: usize = 28;
/// Bytes of IPv6 and UDP headers.
const IPV6_OVERHEAD: usize = 48;

/// A packet as one link carries it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    src: SocketAddr,
    dst: SocketAddr,
    payload: Vec<u8>,
}

impl Packet {
    fn size(&self) -> usize {
        let overhead = if self.dst.is_ipv4() {
            IPV4_OVERHEAD
        } else {
            IPV6_OVERHEAD
        };
        self.payload.len() + overhead
    }
}

/// Where a packet gets to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Internet,
    FromInside(RouterId),
    FromOutside(RouterId),
    Host(HostId),
}

/// A packet getting somewhere. Ordered by time, then by when it was scheduled.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Instant,
    pub(super) order: u64,
    place: Place,
    packet: Packet,
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl Net {
    pub(super) fn leave_host(
        &mut self,
        from: HostId,
        mut src: SocketAddr,
        dst: SocketAddr,
        payload: Vec<u8>,
    ) -> Result<(), Dropped> {
        let host = self.topology.node(from.into());
        if host.dark {
            return Err(Dropped::Dark);
        }
        if src.ip().is_unspecified() {
            let same_family = |address: &&std::net::IpAddr| address.is_ipv4() == dst.is_ipv4();
            src.set_ip(
                *host
                    .addrs
                    .iter()
                    .find(same_family)
                    .ok_or(Dropped::NoRoute)?,
            );
        }
        if !host.addrs.contains(&src.ip()) {
            return Err(Dropped::WrongSource);
        }
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(Dropped::NoRoute);
        }
        let to_itself = host.addrs.contains(&dst.ip());
        let packet = Packet { src, dst, payload };
        if to_itself {
            let place = Place::Host(from);
            return self.schedule(Event {
                at: self.now,
                order: 0,
                place,
                packet,
            });
        }
        self.carry(from.into(), Direction::Up, packet)
    }

    pub(super) fn arrive(&mut self, event: Event) -> Result<Option<Delivery>, Dropped> {
        let Event {
            at, place, packet, ..
        } = event;
        match place {
            Place::Internet => self.descend(None, packet)?,
            Place::FromInside(router) => self.cross_outward(router, packet)?,
            Place::FromOutside(router) => self.cross_inward(router, packet)?,
            Place::Host(host) => {
                let node = self.topology.node(host.into());
                if node.dark {
                    return Err(Dropped::Dark);
                }
                if !node.addrs.contains(&packet.dst.ip()) {
                    return Err(Dropped::NoRoute);
                }
                let Packet { src, dst, payload } = packet;
                return Ok(Some(Delivery {
                    at,
                    host,
                    src,
                    dst,
                    payload,
                }));
            }
        }
        Ok(None)
    }

    /// A packet from below: on to a neighbour, back in, or through the gate and up.
    fn cross_outward(&mut self, id: RouterId, mut packet: Packet) -> Result<(), Dropped> {
        let now = self.now;
        let router = self.topology.router_mut(id);
        if router.node.dark {
            return Err(Dropped::Dark);
        }
        if router.routes.contains_key(&packet.dst.ip()) {
            return self.descend(Some(id), packet);
        }
        let to_router = router.node.addrs.contains(&packet.dst.ip());
        match &mut router.gate {
            Gate::Nat { nat, .. } if packet.dst.is_ipv4() => {
                if to_router {
                    let flow = nat.hairpin(now, packet.src, packet.dst)?;
                    (packet.src, packet.dst) = (flow.src, flow.dst);
                    return self.descend(Some(id), packet);
                }
                let flow = nat.outbound(now, packet.src, packet.dst)?;
                (packet.src, packet.dst) = (flow.src, flow.dst);
            }
            Gate::Nat { .. } | Gate::Firewall(_) | Gate::Plain if to_router => {
                return Err(Dropped::NoRoute);
            }
            Gate::Nat {
                v6: Some(firewall), ..
            }
            | Gate::Firewall(firewall) => {
                firewall.outbound(now, packet.src, packet.dst)?;
            }
            Gate::Nat { v6: None, .. } | Gate::Plain => (),
        }
        self.carry(id.into(), Direction::Up, packet)
    }

    /// A packet from above: through the gate and down.
    fn cross_inward(&mut self, id: RouterId, mut packet: Packet) -> Result<(), Dropped> {
        let now = self.now;
        let router = self.topology.router_mut(id);
        if router.node.dark {
            return Err(Dropped::Dark);
        }
        match &mut router.gate {
            Gate::Nat { nat, .. } if packet.dst.is_ipv4() => {
                let flow = nat.inbound(now, packet.src, packet.dst)?;
                (packet.src, packet.dst) = (flow.src, flow.dst);
            }
            Gate::Nat {
                v6: Some(firewall), ..
            }
            | Gate::Firewall(firewall) => {
                firewall.inbound(now, packet.src, packet.dst)?;
            }
            Gate::Nat { v6: None, .. } | Gate::Plain => (),
        }
        self.descend(Some(id), packet)
    }

    /// Down to whoever has the destination address below `place`.
    fn descend(&mut self, place: Option<RouterId>, packet: Packet) -> Result<(), Dropped> {
        let child = self
            .topology
            .route(place, packet.dst.ip())
            .ok_or(Dropped::NoRoute)?;
        self.carry(child, Direction::Down, packet)
    }

    /// Over the link between a node and its parent.
    fn carry(&mut self, node: NodeId, direction: Direction, packet: Packet) -> Result<(), Dropped> {
        let now = self.now;
        let end = self.topology.node_mut(node);
        let transit = end.link_mut(direction).transmit(now, packet.size())?;
        let place = match (direction, node, end.parent) {
            (Direction::Up, _, Some(parent)) => Place::FromInside(parent),
            (Direction::Up, _, None) => Place::Internet,
            (Direction::Down, NodeId::Host(host), _) => Place::Host(host),
            (Direction::Down, NodeId::Router(router), _) => Place::FromOutside(router),
        };
        let duplicate = transit.duplicate_at.map(|at| (at, packet.clone()));
        self.schedule(Event {
            at: transit.at,
            order: 0,
            place,
            packet,
        })?;
        if let Some((at, packet)) = duplicate {
            self.counters.sent += 1;
            self.schedule(Event {
                at,
                order: 0,
                place,
                packet,
            })?;
        }
        Ok(())
    }
}
