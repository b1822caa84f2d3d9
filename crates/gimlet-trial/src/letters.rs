//! What travels over the server: control messages, reliable and in order as on their QUIC session,
//! and relayed datagrams, which may be lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use gimlet_proto::candidate::{Candidate, NatClass};
use gimlet_proto::hint::Hint;
use gimlet_sim::{LinkConfig, Rng};

/// What quinn waits beyond one and a half round trips until it sends a lost message again: the
/// longest acknowledgement delay it allows for.
const ACK_DELAY: Duration = Duration::from_millis(25);

/// Something for the other side.
#[derive(Debug)]
pub(crate) enum Letter {
    /// The other side, as the server introduces it.
    Introduction(Vec<Candidate>, NatClass),
    /// What the other side tells for a search, and from where the server hears it.
    Hint(Hint, IpAddr),
    /// A check that goes over the relay.
    Relayed(Vec<u8>),
}

/// A letter under way. Sorts by when it arrives, then by when it was posted.
#[derive(Debug)]
struct Parcel {
    at: Instant,
    order: u64,
    to: usize,
    letter: Letter,
}

impl Ord for Parcel {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Parcel {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Parcel {}

/// The server's mail between the two sides.
#[derive(Debug)]
pub(crate) struct Post {
    /// One way between each side and the server.
    legs: [Duration; 2],
    jitter: Duration,
    /// That a packet between one side and the server is lost.
    loss: f64,
    dice: Rng,
    under_way: BinaryHeap<Reverse<Parcel>>,
    posted: u64,
    /// When the latest control message for each side arrives; the next may not overtake it.
    latest: [Option<Instant>; 2],
}

impl Post {
    pub(crate) fn new(uplinks: &[LinkConfig; 3], loss: f64, dice: Rng) -> Self {
        let [dialer, acceptor, server] = uplinks;
        Self {
            legs: [dialer, acceptor].map(|side| side.delay + server.delay),
            jitter: server.jitter,
            loss,
            dice,
            under_way: BinaryHeap::new(),
            posted: 0,
            latest: [None; 2],
        }
    }

    /// One round trip between a side and the server.
    pub(crate) fn round_trip(&self, who: usize) -> Duration {
        2 * self.legs[who]
    }

    /// Sends a control message.
    pub(crate) fn tell(&mut self, to: usize, letter: Letter, now: Instant) {
        let mut at = now;
        for leg in [1 - to, to] {
            while self.dice.chance(self.loss) {
                at += 3 * self.legs[leg] + ACK_DELAY;
            }
            at += self.travel(leg);
        }
        at = self.latest[to].map_or(at, |latest| latest.max(at));
        self.latest[to] = Some(at);
        self.put(to, letter, at);
    }

    /// Relays a datagram, if it is not lost.
    pub(crate) fn relay(&mut self, to: usize, datagram: Vec<u8>, now: Instant) {
        let lost = self.dice.chance(self.loss) || self.dice.chance(self.loss);
        if !lost {
            let at = now + self.travel(1 - to) + self.travel(to);
            self.put(to, Letter::Relayed(datagram), at);
        }
    }

    /// When the next letter arrives.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(parcel)| parcel.at)
    }

    /// The next letter that has arrived, and for whom.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(usize, Letter)> {
        self.next_at().filter(|&at| at <= now)?;
        let Reverse(parcel) = self.under_way.pop()?;
        Some((parcel.to, parcel.letter))
    }

    /// Over one leg, which is two uplinks.
    fn travel(&mut self, leg: usize) -> Duration {
        self.legs[leg] + self.dice.span(self.jitter) + self.dice.span(self.jitter)
    }

    fn put(&mut self, to: usize, letter: Letter, at: Instant) {
        self.posted += 1;
        let order = self.posted;
        self.under_way.push(Reverse(Parcel {
            at,
            order,
            to,
            letter,
        }));
    }
}
