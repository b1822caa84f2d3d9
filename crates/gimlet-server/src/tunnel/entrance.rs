//! How many may come in over TCP: in all, from one network, and on their way in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gimlet_proto::limit::{Limiter, Rate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::network;

/// TLS handshakes and HTTP requests under way at once: some 100 KiB each, so 25 MiB.
const MAX_HALF_OPEN: usize = 256;

/// Networks whose rate is remembered.
const NETWORKS: usize = 4096;

/// Limits of the TCP port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) tunnels: usize,
    pub(super) per_network: usize,
    pub(super) handshakes: Rate,
}

/// Lets connections in.
pub(super) struct Entrance {
    all: Arc<Semaphore>,
    half_open: Arc<Semaphore>,
    /// Connections by network: no more entries than `all` has permits.
    networks: Arc<Mutex<HashMap<[u8; 7], usize>>>,
    per_network: usize,
    rate: Limiter,
}

impl Entrance {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.tunnels)),
            half_open: Arc::new(Semaphore::new(MAX_HALF_OPEN)),
            networks: Arc::default(),
            per_network: limits.per_network,
            rate: Limiter::new(limits.handshakes, NETWORKS, rand::random()),
        }
    }

    /// Lets a connection in, if there is room.
    pub(super) fn enter(&mut self, source: IpAddr, now: Instant) -> Option<Pass> {
        if !self.rate.allow(source, now) {
            return None;
        }
        let one = self.all.clone().try_acquire_owned().ok()?;
        let half_open = self.half_open.clone().try_acquire_owned().ok()?;
        let network = network(source);
        let networks = self.networks.clone();
        {
            let mut counts = networks.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(network).or_default();
            if *count >= self.per_network {
                return None;
            }
            *count += 1;
        }
        Some(Pass {
            _one: one,
            half_open: Mutex::new(Some(half_open)),
            networks,
            network,
        })
    }
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    _one: OwnedSemaphorePermit,
    half_open: Mutex<Option<OwnedSemaphorePermit>>,
    networks: Arc<Mutex<HashMap<[u8; 7], usize>>>,
    network: [u8; 7],
}

impl Pass {
    /// It is a tunnel now, no longer on its way to be one.
    pub(super) fn arrived(&self) {
        let mut half_open = self
            .half_open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        half_open.take();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrance(tunnels: usize, per_network: usize) -> Entrance {
        Entrance::new(Limits {
            tunnels,
            per_network,
            handshakes: Rate::per_second(1000, 1000),
        })
    }

    #[test]
    fn a_network_has_so_many_and_others_still_come_in() {
        let now = Instant::now();
        let mut entrance = entrance(10, 2);
        let here = IpAddr::from([192, 0, 2, 1]);
        let first = entrance.enter(here, now).unwrap();
        let _second = entrance.enter(here, now).unwrap();
        assert!(entrance.enter(here, now).is_none());
        let _other = entrance.enter([192, 0, 2, 2].into(), now).unwrap();
        drop(first);
        let _third = entrance.enter(here, now).unwrap();
        assert!(entrance.enter(here, now).is_none());
    }

    #[test]
    fn all_together_are_so_many_and_nothing_is_remembered_of_who_left() {
        let now = Instant::now();
        let mut entrance = entrance(3, 3);
        let sources = (0..4).map(|n| IpAddr::from([198, 51, 100, n]));
        let inside: Vec<_> = sources.map(|from| entrance.enter(from, now)).collect();
        assert_eq!(inside.iter().flatten().count(), 3);
        drop(inside);
        assert!(entrance.networks.lock().unwrap().is_empty());
    }

    #[test]
    fn those_on_their_way_in_are_bounded_apart() {
        let now = Instant::now();
        let mut entrance = entrance(2 * MAX_HALF_OPEN, 2 * MAX_HALF_OPEN);
        let here = IpAddr::from([192, 0, 2, 1]);
        let inside: Vec<_> = (0..MAX_HALF_OPEN + 1)
            .map_while(|_| entrance.enter(here, now))
            .collect();
        assert_eq!(inside.len(), MAX_HALF_OPEN);
        inside[0].arrived();
        assert!(entrance.enter(here, now).is_some());
    }
}
