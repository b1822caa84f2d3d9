//! How many flows each peer has open: one peer can't take what is meant for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gimlet::PeerId;

use super::MAX_FLOWS;

/// Flows of all peers together: with a descriptor each, what a service may have by systemd's default,
/// far below what the system as a whole has.
const MAX_ALL: usize = 16 * 1024;

#[derive(Debug, Clone, Default)]
pub(super) struct Census {
    seats: Arc<Mutex<Seats>>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<PeerId, usize>,
    all: usize,
}

/// A flow that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    peer: PeerId,
    census: Census,
}

impl Census {
    /// Counts one more, if there may be one more.
    pub(super) fn enter(&self, peer: PeerId) -> Option<Seat> {
        let mut seats = self.seats();
        let taken = seats.taken.get(&peer).copied().unwrap_or(0);
        if taken >= MAX_FLOWS || seats.all >= MAX_ALL {
            return None;
        }
        seats.taken.insert(peer, taken + 1);
        seats.all += 1;
        Some(Seat {
            peer,
            census: self.clone(),
        })
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.census.seats();
        seats.all -= 1;
        match seats.taken.get_mut(&self.peer) {
            Some(taken) if *taken > 1 => *taken -= 1,
            // Peers that have left are not remembered.
            Some(_) | None => drop(seats.taken.remove(&self.peer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn a_peer_that_takes_all_it_may_leaves_room_for_others() {
        let census = Census::default();
        let seats: Vec<_> = (0..MAX_FLOWS)
            .filter_map(|_| census.enter(peer(1)))
            .collect();
        assert_eq!(seats.len(), MAX_FLOWS);
        assert!(census.enter(peer(1)).is_none());
        assert!(census.enter(peer(2)).is_some());
        drop(seats);
        assert!(census.seats().taken.is_empty());
        assert_eq!(census.seats().all, 0);
    }

    #[test]
    fn all_peers_together_are_bounded() {
        let census = Census::default();
        let seats: Vec<_> = (0..=MAX_ALL / MAX_FLOWS)
            .flat_map(|n| (0..MAX_FLOWS).map(move |_| n))
            .filter_map(|n| census.enter(peer(n as u8)))
            .collect();
        assert_eq!(seats.len(), MAX_ALL);
    }
}
