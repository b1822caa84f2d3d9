//! A NAT: translates one packet at a time, by RFC 4787.
//!
//! [`Nat`] performs no I/O and reads no clock. It decides per packet whether and how it passes; the
//! caller carries it. A packet's answer always goes back through the mapping it came in by, as
//! connection tracking does it.
//!
//! **Invariants:** no two inside endpoints share an outside endpoint; nothing reaches an inside
//! endpoint but through its live mapping and past its filtering; tables never pass their bounds.

mod config;
mod ports;
mod table;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use config::{Allocation, Filtering, Mapping, NatConfig};
use ports::Ports;
use table::{Key, Scope, Table};

use crate::counters::Dropped;
use crate::rng::Rng;

/// Refused packets remembered, for `early_probe_moves_mapping`. More are forgotten: a router has
/// thousands, and a run that needs more than these has other troubles.
const MAX_EARLY: usize = 4_096;
/// Tries to find a source port that the inside host does not use yet. Each try fails only when the
/// host already talks to that very port, so a few are plenty.
const SOURCE_TRIES: u32 = 16;

/// The two ends a packet carries after translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Source.
    pub src: SocketAddr,
    /// Destination.
    pub dst: SocketAddr,
}

/// One NAT with its outside addresses: translates one packet at a time and carries none. The
/// answer to a packet always leaves by the mapping the packet came in by.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    outside: Vec<IpAddr>,
    ports: Ports,
    rng: Rng,
    table: Table,
    /// (outside, remote) of refused packets, to when they are forgotten.
    early: BTreeMap<(SocketAddr, SocketAddr), Instant>,
}

impl Nat {
    /// A NAT that has seen nothing yet. `seed` decides its ports. One inside address always uses
    /// the same one of several outside addresses (RFC 4787, "paired").
    pub fn new(config: NatConfig, outside: Vec<IpAddr>, seed: u64) -> Self {
        Self {
            ports: Ports::new(config.allocation, Rng::derive(seed, 1)),
            rng: Rng::derive(seed, 2),
            table: Table::new(config.max_mappings, config.max_sessions),
            early: BTreeMap::new(),
            config,
            outside,
        }
    }

    /// The settings.
    pub fn config(&self) -> &NatConfig {
        &self.config
    }

    /// The outside addresses.
    pub fn outside(&self) -> &[IpAddr] {
        &self.outside
    }

    /// Mappings held, ended ones included until they are replaced.
    pub fn mapping_count(&self) -> usize {
        self.table.mapping_count()
    }

    /// Sessions held, ended ones included until they are replaced.
    pub fn session_count(&self) -> usize {
        self.table.session_count()
    }

    /// A packet from the inside `src` to the outside `dst`. Makes or renews the mapping.
    ///
    /// The destination changes only for a remote whose source [`inbound`](Self::inbound) changed.
    ///
    /// # Errors
    ///
    /// - [`Dropped::TableFull`]: a new mapping or session, and no room for it.
    /// - [`Dropped::NoPort`]: a new mapping, and no port free for it.
    /// - [`Dropped::NoRoute`]: there is no outside address of this family.
    pub fn outbound(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Result<Flow, Dropped> {
        let ends_at = now + self.config.mapping_lifetime;
        if let Some((outside, remote)) = self.table.way_out(now, src, dst) {
            self.table.refresh(outside, remote, ends_at);
            return Ok(Flow {
                src: outside,
                dst: remote,
            });
        }
        self.table
            .room_for_session(now)
            .map_err(|_| Dropped::TableFull)?;
        let scope = match self.config.mapping {
            Mapping::EndpointIndependent => Scope::Every,
            Mapping::AddressDependent => Scope::Address(dst.ip()),
            Mapping::AddressAndPortDependent => Scope::Endpoint(dst),
        };
        let outside = self.mapping_towards(now, Key { inside: src, scope }, dst)?;
        let opened = self.table.open(now, outside, dst, dst, ends_at);
        opened.map_err(|_| Dropped::TableFull)?;
        self.table.refresh_mapping(outside, ends_at);
        Ok(Flow { src: outside, dst })
    }

    /// A packet from the outside `src` to the outside endpoint `dst` of this NAT.
    ///
    /// The source changes only when the inside host already talks to `src` through another mapping:
    /// then it sees the packet come from another port of the same address, and what it sends there
    /// goes back the way the packet came.
    ///
    /// # Errors
    ///
    /// - [`Dropped::NoMapping`]: nothing is mapped at `dst`.
    /// - [`Dropped::Filtered`]: `src` may not send there.
    /// - [`Dropped::TableFull`]: a new session, and no room for it.
    /// - [`Dropped::NoPort`]: the source had to change, and no port was found for it.
    pub fn inbound(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Result<Flow, Dropped> {
        let ends_at = now + self.config.mapping_lifetime;
        let Some(inside) = self.table.inside_of(now, dst) else {
            self.note_early_probe(now, dst, src);
            return Err(Dropped::NoMapping);
        };
        if let Some((inside, seen)) = self.table.way_in(now, dst, src) {
            if self.config.inbound_refreshes {
                self.table.refresh(dst, src, ends_at);
            }
            return Ok(Flow {
                src: seen,
                dst: inside,
            });
        }
        let admitted = match self.config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => self.table.knows_address(now, dst, src.ip()),
            Filtering::AddressAndPortDependent => false,
        };
        if !admitted {
            self.note_early_probe(now, dst, src);
            return Err(Dropped::Filtered);
        }
        let seen = self.unused_source(now, inside, src)?;
        self.table
            .open(now, dst, src, seen, ends_at)
            .map_err(|_| Dropped::TableFull)?;
        if self.config.inbound_refreshes {
            self.table.refresh_mapping(dst, ends_at);
        }
        Ok(Flow {
            src: seen,
            dst: inside,
        })
    }

    /// A packet from the inside `src` to `dst` on one of this NAT's own outside addresses. The
    /// receiver sees the sender's outside endpoint (RFC 4787, 6).
    ///
    /// # Errors
    ///
    /// - [`Dropped::NoHairpin`]: this NAT does not do it.
    /// - Those of [`outbound`](Self::outbound) and [`inbound`](Self::inbound).
    pub fn hairpin(
        &mut self,
        now: Instant,
        src: SocketAddr,
        dst: SocketAddr,
    ) -> Result<Flow, Dropped> {
        if !self.config.hairpin {
            return Err(Dropped::NoHairpin);
        }
        let out = self.outbound(now, src, dst)?;
        self.inbound(now, out.src, out.dst)
    }

    /// Forgets every mapping, as a reboot does.
    pub fn flush(&mut self) {
        self.table.clear();
        self.ports.flush();
        self.early.clear();
    }

    /// Forgets every mapping and uses other outside addresses from now on.
    pub fn renumber(&mut self, outside: Vec<IpAddr>) {
        self.flush();
        self.outside = outside;
    }

    /// The outside endpoint that packets of `key` to `dst` leave from: another than all others of
    /// `key` leave from if an early probe holds that one towards `dst`.
    fn mapping_towards(
        &mut self,
        now: Instant,
        key: Key,
        dst: SocketAddr,
    ) -> Result<SocketAddr, Dropped> {
        let existing = self.table.outside_of(now, key);
        let outside = self.mapping_for(now, key)?;
        if !self.is_taken_by_early_probe(now, outside, dst) {
            return Ok(outside);
        }
        let moved = self.mapping_for(
            now,
            Key {
                scope: Scope::Moved(dst),
                ..key
            },
        );
        if existing.is_none() {
            // Nothing leaves through it yet, so it must not be open either.
            self.table.unmap(outside);
        }
        moved
    }

    /// The outside endpoint for `key`, newly mapped if there is none.
    fn mapping_for(&mut self, now: Instant, key: Key) -> Result<SocketAddr, Dropped> {
        if let Some(outside) = self.table.outside_of(now, key) {
            return Ok(outside);
        }
        let address = self.outside_address(key.inside).ok_or(Dropped::NoRoute)?;
        self.table
            .room_for_mapping(now)
            .map_err(|_| Dropped::TableFull)?;
        let table = &self.table;
        let outside = self
            .ports
            .choose(
                key.inside,
                address,
                |endpoint| table.inside_of(now, endpoint).is_none(),
                |inside| table.is_idle(now, inside),
            )
            .ok_or(Dropped::NoPort)?;
        self.table
            .map(key, outside, now + self.config.mapping_lifetime);
        Ok(outside)
    }

    fn outside_address(&self, inside: SocketAddr) -> Option<IpAddr> {
        let same_family = |address: &&IpAddr| address.is_ipv4() == inside.is_ipv4();
        let count = self.outside.iter().filter(same_family).count();
        let number: usize = match inside.ip() {
            IpAddr::V4(address) => address.octets().iter().map(|b| usize::from(*b)).sum(),
            IpAddr::V6(address) => address.octets().iter().map(|b| usize::from(*b)).sum(),
        };
        let index = number.checked_rem(count)?;
        self.outside.iter().filter(same_family).nth(index).copied()
    }

    /// How the inside host shall see a new remote.
    fn unused_source(
        &mut self,
        now: Instant,
        inside: SocketAddr,
        src: SocketAddr,
    ) -> Result<SocketAddr, Dropped> {
        let mut seen = src;
        for _ in 0..SOURCE_TRIES {
            if self.table.way_out(now, inside, seen).is_none() {
                return Ok(seen);
            }
            // 1,024 to 65,535.
            seen.set_port(1_024 + self.rng.below(64_512) as u16);
        }
        Err(Dropped::NoPort)
    }

    fn note_early_probe(&mut self, now: Instant, outside: SocketAddr, remote: SocketAddr) {
        if !self.config.early_probe_moves_mapping {
            return;
        }
        if self.early.len() >= MAX_EARLY {
            self.early.retain(|_, ends_at| now < *ends_at);
        }
        if self.early.len() < MAX_EARLY {
            self.early
                .insert((outside, remote), now + self.config.mapping_lifetime);
        }
    }

    fn is_taken_by_early_probe(&self, now: Instant, outside: SocketAddr, dst: SocketAddr) -> bool {
        self.early
            .get(&(outside, dst))
            .is_some_and(|ends_at| now < *ends_at)
    }
}

#[cfg(test)]
mod tests;
