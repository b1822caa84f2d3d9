//! Numbers of short codes: a small number that stands for a key for some minutes.
//!
//! Who has a code finds the key behind its number with [`Resolve`](crate::message::Resolve) and proves
//! the rest of the code to that key, end to end. The server learns who holds a number, and nothing of
//! the words. A number is short because it is the smallest that is free; after use it *rests*, so that
//! somebody with an old code does not meet the holder of a new one and spend its one guess.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{ConnId, Rendezvous};
use crate::id::PeerId;
use crate::message::{DropNumber, FailReason, Failed, HoldNumber, NumberHeld};

/// Longest time a number is held: an hour is a meeting's length. Longer would keep numbers from
/// others, and codes are cheap to make anew.
pub const MAX_TTL: Duration = Duration::from_secs(3600);

/// How long a number rests after its time is over: as long as most codes live.
pub const REST: Duration = Duration::from_secs(600);

/// Numbers of one key, resting ones included: codes of a busy person in an hour, and few enough that
/// filling the table takes thousands of keys.
pub const PER_KEY: usize = 32;

/// Numbers in all, resting ones included; some 150 bytes each.
pub const TOTAL: usize = 65_536;

/// What begins a text that is a number: `#7`. No name and no id does.
pub const MARK: char = '#';

/// All numbers. Those whose time is over are let go when the next one is asked for.
#[derive(Debug)]
pub(super) struct Numbers {
    held: BTreeMap<u32, Held>,
    /// When each is free again, soonest first.
    free_at: BTreeSet<(Instant, u32)>,
    /// How many each key has.
    of_key: BTreeMap<PeerId, usize>,
    /// Below `next`, and free.
    free: BTreeSet<u32>,
    next: u32,
}

#[derive(Debug)]
struct Held {
    peer: PeerId,
    /// Afterwards it rests.
    until: Instant,
    free_at: Instant,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            free_at: BTreeSet::new(),
            of_key: BTreeMap::new(),
            free: BTreeSet::new(),
            next: 1,
        }
    }
}

impl Numbers {
    /// The smallest free number; `None` at a limit.
    fn hold(&mut self, peer: PeerId, ttl: Duration, now: Instant) -> Option<u32> {
        self.let_go(now);
        let mine = self.of_key.get(&peer).copied().unwrap_or(0);
        if mine >= PER_KEY || self.held.len() >= TOTAL {
            return None;
        }
        let number = self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let until = now + ttl;
        let free_at = until + REST;
        let held = Held {
            peer,
            until,
            free_at,
        };
        self.held.insert(number, held);
        self.free_at.insert((free_at, number));
        *self.of_key.entry(peer).or_default() += 1;
        Some(number)
    }

    /// Ends a number's time early; it rests as long as it would have.
    fn drop_early(&mut self, number: u32, peer: PeerId, now: Instant) {
        if let Some(held) = self.held.get_mut(&number)
            && held.peer == peer
        {
            held.until = held.until.min(now);
        }
    }

    /// Who holds it now.
    pub(super) fn holder(&self, number: u32, now: Instant) -> Option<PeerId> {
        let held = self.held.get(&number)?;
        (held.until > now).then_some(held.peer)
    }

    fn let_go(&mut self, now: Instant) {
        while let Some(&(at, number)) = self.free_at.first().filter(|(at, _)| *at <= now) {
            self.free_at.remove(&(at, number));
            let Some(held) = self.held.remove(&number) else {
                continue;
            };
            debug_assert_eq!(held.free_at, at, "each number is due once");
            self.free.insert(number);
            if let Some(count) = self.of_key.get_mut(&held.peer) {
                *count -= 1;
                if *count == 0 {
                    self.of_key.remove(&held.peer);
                }
            }
        }
    }
}

impl Rendezvous {
    pub(super) fn hold_number(
        &mut self,
        conn: ConnId,
        peer: PeerId,
        request: HoldNumber,
        now: Instant,
    ) {
        let id = request.id;
        let wanted = Duration::from_secs(u64::from(request.ttl_s));
        let ttl = wanted.clamp(Duration::from_secs(1), MAX_TTL);
        match self.numbers.hold(peer, ttl, now) {
            Some(number) => {
                let ttl_s = ttl.as_secs() as u32;
                self.send(conn, NumberHeld { id, number, ttl_s });
            }
            None => {
                let reason = FailReason::Busy;
                self.send(conn, Failed { id, reason });
            }
        }
    }

    pub(super) fn drop_number(&mut self, peer: PeerId, request: DropNumber, now: Instant) {
        self.numbers.drop_early(request.number, peer, now);
    }
}

/// The number a text means, if it is one.
pub(super) fn parse(text: &str) -> Option<u32> {
    let digits = text.strip_prefix(MARK)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
