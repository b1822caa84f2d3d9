//! Looks at every connection in turn, for signs of life and for a new address.
//!
//! One task goes round, a slice of the connections at a time, instead of a timer and a message from
//! each: those of 20,000 are 4,000 wake-ups a second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use gimlet_proto::rendezvous::ConnId;

/// How often a connection is looked at. An address counts when seen twice, so a peer behind a
/// rebound NAT is introduced under its new one within two of these.
const INTERVAL: Duration = Duration::from_secs(5);

/// Slices of a round: 50,000 connections are then looked at 1,000 at a time, which takes less
/// than a millisecond.
const SLICES: usize = 50;

/// Whose turn it is, and when.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// When this round began.
    began_at: Instant,
    /// The last one looked at; `None` between rounds.
    after: Option<ConnId>,
    /// When the next slice is due.
    due_at: Instant,
}

impl Rounds {
    /// The first round begins a whole interval from now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began_at: now,
            after: None,
            due_at: now + INTERVAL,
        }
    }

    /// When [`due`](Self::due) has something to say, if there is anybody.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.due_at
    }

    /// The connections to look at now. Calling it early is a no-op.
    pub(crate) fn due<T>(&mut self, links: &BTreeMap<ConnId, T>, now: Instant) -> Vec<ConnId> {
        if now < self.due_at {
            return Vec::new();
        }
        let from = match self.after {
            Some(after) => Bound::Excluded(after),
            None => {
                self.began_at = now;
                Bound::Unbounded
            }
        };
        // As many as there are by now: they may have come since the round began.
        let pace = links.len().div_ceil(SLICES);
        let rest = links.range((from, Bound::Unbounded));
        let slice: Vec<ConnId> = rest.map(|(&conn, _)| conn).take(pace).collect();
        let last = links.last_key_value().map(|(&conn, _)| conn);
        self.after = slice.last().copied().filter(|&conn| Some(conn) != last);
        self.due_at = match self.after {
            Some(_) => now + INTERVAL / SLICES as u32,
            None => now.max(self.began_at + INTERVAL),
        };
        slice
    }
}

/// What a look at a connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether anything was received since the last one.
    pub(crate) is_alive: bool,
    /// Where it is now, if that is new.
    pub(crate) moved: Option<SocketAddr>,
}

/// What a connection looked like last time.
#[derive(Debug)]
pub(crate) struct Watch {
    address: SocketAddr,
    /// An address seen once. It counts when seen twice: by then QUIC has validated it, or gone back.
    unproved: Option<SocketAddr>,
    received: u64,
}

impl Watch {
    /// Of a connection from this address, with so many datagrams received.
    pub(crate) fn new(address: SocketAddr, received: u64) -> Self {
        Self {
            address,
            unproved: None,
            received,
        }
    }

    /// Compares with what is there now.
    pub(crate) fn look(&mut self, address: SocketAddr, received: u64) -> Look {
        let is_alive = std::mem::replace(&mut self.received, received) != received;
        let mut moved = None;
        if address == self.address {
            self.unproved = None;
        } else if self.unproved.replace(address) == Some(address) {
            self.address = address;
            self.unproved = None;
            moved = Some(address);
        }
        Look { is_alive, moved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(ids: impl IntoIterator<Item = u64>) -> BTreeMap<ConnId, ()> {
        ids.into_iter().map(|id| (ConnId(id), ())).collect()
    }

    /// Every look within `span`, with when it was.
    fn looks(
        rounds: &mut Rounds,
        links: &BTreeMap<ConnId, ()>,
        from: Instant,
        span: Duration,
    ) -> Vec<(Duration, ConnId)> {
        let mut seen = Vec::new();
        while rounds.poll_timeout() <= from + span {
            let now = rounds.poll_timeout();
            let slice = rounds.due(links, now);
            seen.extend(slice.into_iter().map(|conn| (now - from, conn)));
        }
        seen
    }

    #[test]
    fn everybody_is_looked_at_once_an_interval_in_slices() {
        let start = Instant::now();
        for count in [1, 7, 49, 50, 51, 1000] {
            let (mut rounds, links) = (Rounds::new(start), links(1..=count));
            let seen = looks(
                &mut rounds,
                &links,
                start,
                10 * INTERVAL - Duration::from_millis(1),
            );
            for conn in links.keys() {
                let times: Vec<_> = seen.iter().filter(|s| s.1 == *conn).collect();
                assert_eq!(times.len(), 9, "{conn:?} of {count}");
                assert!(times.windows(2).all(|t| t[1].0 - t[0].0 == INTERVAL));
            }
            let pace = links.len().div_ceil(SLICES);
            for (at, _) in &seen {
                assert!(seen.iter().filter(|s| s.0 == *at).count() <= pace);
            }
        }
    }

    #[test]
    fn newcomers_quicken_the_round_and_nobody_is_no_work() {
        let start = Instant::now();
        let mut rounds = Rounds::new(start);
        assert_eq!(rounds.due(&links([]), start + INTERVAL), []);
        assert_eq!(rounds.poll_timeout(), start + 2 * INTERVAL);
        let now = start + 2 * INTERVAL;
        assert_eq!(rounds.due(&links([3, 4]), now), [ConnId(3)]);
        let many = links(3..10_003);
        let seen = looks(&mut rounds, &many, now, INTERVAL);
        assert_eq!(seen.iter().filter(|s| s.1 == ConnId(10_002)).count(), 1);
    }

    #[test]
    fn an_address_counts_when_seen_twice() {
        let [home, away] = [1, 2].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        let mut watch = Watch::new(home, 5);
        let look = |is_alive, moved| Look { is_alive, moved };
        assert_eq!(watch.look(home, 5), look(false, None));
        assert_eq!(watch.look(away, 6), look(true, None));
        assert_eq!(watch.look(home, 7), look(true, None));
        assert_eq!(watch.look(away, 8), look(true, None));
        assert_eq!(watch.look(away, 8), look(false, Some(away)));
        assert_eq!(watch.look(away, 8), look(false, None));
    }
}
