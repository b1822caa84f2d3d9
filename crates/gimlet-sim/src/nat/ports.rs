//! Choosing an outside port for a new mapping.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::nat::config::Allocation;
use crate::rng::Rng;

/// Ports below belong to services; RFC 4787 asks to keep the ranges apart.
const FIRST: u16 = 1_024;
/// Ports that can be given out.
const COUNT: u32 = 65_536 - FIRST as u32;
/// Blind tries before a search in order. With half the ports taken, 16 tries miss once in 65,536.
const RANDOM_TRIES: u32 = 16;

/// Where the next port comes from. Which ports are taken is the caller's to know.
#[derive(Debug)]
pub(super) struct Ports {
    rng: Rng,
    allocation: Allocation,
    /// The last port given in sequence, as an offset from `FIRST`.
    last: u32,
    /// Block number by inside address. At most as many as there are blocks on all outside addresses.
    blocks: BTreeMap<IpAddr, (IpAddr, u32)>,
}

impl Ports {
    pub(super) fn new(allocation: Allocation, mut rng: Rng) -> Self {
        let last = rng.below(u64::from(COUNT)) as u32;
        Self {
            rng,
            allocation,
            last,
            blocks: BTreeMap::new(),
        }
    }

    /// Forgets blocks, as a reboot does.
    pub(super) fn flush(&mut self) {
        self.blocks.clear();
    }

    /// A free port on `outside` for `inside`. `is_free` tells whether an outside endpoint is free;
    /// `is_idle` whether an inside address has no mapping left, so that its block can be reused.
    pub(super) fn choose(
        &mut self,
        inside: SocketAddr,
        outside: IpAddr,
        is_free: impl Fn(SocketAddr) -> bool,
        is_idle: impl Fn(IpAddr) -> bool,
    ) -> Option<SocketAddr> {
        let free = |port: u16| is_free(SocketAddr::new(outside, port));
        let port = match self.allocation {
            Allocation::Preserving if inside.port() != 0 && free(inside.port()) => {
                Some(inside.port())
            }
            Allocation::Preserving | Allocation::Random => self.random(0, COUNT, free),
            Allocation::Sequential { step } => self.next(step, free),
            Allocation::RandomBlock { size } => {
                let size = u32::from(size.max(1)).min(COUNT);
                let block = self.block_of(inside.ip(), outside, COUNT / size, is_idle)?;
                self.random(block * size, size, free)
            }
        }?;
        Some(SocketAddr::new(outside, port))
    }

    /// Some free port among `count` ports from offset `base`.
    fn random(&mut self, base: u32, count: u32, free: impl Fn(u16) -> bool) -> Option<u16> {
        let mut offset = 0;
        for _ in 0..RANDOM_TRIES {
            offset = self.rng.below(u64::from(count)) as u32;
            if free(port_at(base + offset)) {
                return Some(port_at(base + offset));
            }
        }
        (0..count)
            .map(|i| port_at(base + (offset + i) % count))
            .find(|port| free(*port))
    }

    fn next(&mut self, step: u16, free: impl Fn(u16) -> bool) -> Option<u16> {
        let step = u32::from(step.max(1));
        let by_step = (1..=COUNT / step).map(|i| (self.last + i * step) % COUNT);
        // A step that divides the range never reaches the ports between: then any port will do.
        let any = (1..=COUNT).map(|i| (self.last + i) % COUNT);
        let offset = by_step.chain(any).find(|offset| free(port_at(*offset)))?;
        self.last = offset;
        Some(port_at(offset))
    }

    /// The block of an inside address, a random unused one at first.
    fn block_of(
        &mut self,
        inside: IpAddr,
        outside: IpAddr,
        count: u32,
        is_idle: impl Fn(IpAddr) -> bool,
    ) -> Option<u32> {
        if let Some((on, block)) = self.blocks.get(&inside)
            && *on == outside
        {
            return Some(*block);
        }
        let taken = |blocks: &BTreeMap<_, _>| -> Vec<bool> {
            let mut taken = vec![false; count as usize];
            for (_, block) in blocks.values().filter(|(on, _)| *on == outside) {
                taken[*block as usize] = true;
            }
            taken
        };
        let mut map = taken(&self.blocks);
        if !map.contains(&false) {
            self.blocks.retain(|address, _| !is_idle(*address));
            map = taken(&self.blocks);
        }
        let start = self.rng.below(u64::from(count)) as u32;
        let block = (0..count)
            .map(|i| (start + i) % count)
            .find(|b| !map[*b as usize])?;
        self.blocks.insert(inside, (outside, block));
        Some(block)
    }
}

fn port_at(offset: u32) -> u16 {
    // Offsets stay below COUNT, so this never passes 65,535.
    FIRST.saturating_add(u16::try_from(offset).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const OUTSIDE: &str = "203.0.113.1";

    fn take(allocation: Allocation, inside: &[&str]) -> Vec<u16> {
        let mut ports = Ports::new(allocation, Rng::new(5));
        let mut taken = BTreeSet::new();
        let outside: IpAddr = OUTSIDE.parse().unwrap();
        let choose = |inside: &&str| {
            let inside = inside.parse().unwrap();
            let chosen = ports.choose(inside, outside, |e| !taken.contains(&e), |_| false);
            let chosen = chosen.unwrap();
            taken.insert(chosen);
            chosen.port()
        };
        inside.iter().map(choose).collect()
    }

    #[test]
    fn a_preserved_port_is_kept_and_a_collision_moves_elsewhere() {
        let got = take(
            Allocation::Preserving,
            &["192.168.1.2:7000", "192.168.1.3:7000"],
        );
        assert_eq!(got[0], 7_000);
        assert_ne!(got[1], 7_000);
    }

    #[test]
    fn sequential_ports_are_a_step_apart() {
        let got = take(Allocation::Sequential { step: 2 }, &["192.168.1.2:7000"; 3]);
        assert_eq!(got[1], got[0] + 2);
        assert_eq!(got[2], got[0] + 4);
    }

    #[test]
    fn a_block_holds_one_address_and_another_address_has_another_block() {
        let mut inside = vec!["10.0.0.1:1"; 50];
        inside.extend(["10.0.0.2:1"; 50]);
        let got = take(Allocation::RandomBlock { size: 64 }, &inside);
        let block = |port: &u16| (port - FIRST) / 64;
        assert!(got[..50].iter().all(|p| block(p) == block(&got[0])));
        assert!(got[50..].iter().all(|p| block(p) == block(&got[50])));
        assert_ne!(block(&got[0]), block(&got[50]));
    }

    #[test]
    fn every_port_can_be_given_and_then_none() {
        for allocation in [
            Allocation::Preserving,
            Allocation::Random,
            Allocation::Sequential { step: 1 },
            Allocation::Sequential { step: 512 },
            Allocation::RandomBlock { size: u16::MAX },
        ] {
            let mut ports = Ports::new(allocation, Rng::new(6));
            let inside = "192.168.1.2:7000".parse().unwrap();
            let outside: IpAddr = OUTSIDE.parse().unwrap();
            let last = SocketAddr::new(outside, 40_000);
            assert_eq!(
                ports.choose(inside, outside, |e| e == last, |_| false),
                Some(last)
            );
            assert_eq!(ports.choose(inside, outside, |_| false, |_| false), None);
        }
    }

    #[test]
    fn an_idle_block_is_given_to_someone_else() {
        let mut ports = Ports::new(Allocation::RandomBlock { size: 32_256 }, Rng::new(7));
        let outside: IpAddr = OUTSIDE.parse().unwrap();
        let inside = |n: u8| SocketAddr::from(([10, 0, 0, n], 1));
        assert!(
            ports
                .choose(inside(1), outside, |_| true, |_| false)
                .is_some()
        );
        assert!(
            ports
                .choose(inside(2), outside, |_| true, |_| false)
                .is_some()
        );
        assert_eq!(ports.choose(inside(3), outside, |_| true, |_| false), None);
        let idle = |address| address == inside(1).ip();
        assert!(ports.choose(inside(3), outside, |_| true, idle).is_some());
    }
}
