//! What is asked when, and through which fresh sockets.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::fresh::{Socket, Stage};
use super::{Hairpin, Prober};
use crate::candidate::{self, Behaviour};
use crate::nat::allocation::{self, Pattern};
use crate::nat::query::{Ask, Query};
use crate::nat::{Event, Slot};
use crate::stun::Change;

/// Fresh sockets of the first wave. The first of them only ever sends to the main endpoint.
const WAVE: u8 = 5;

/// The socket that filtering over IPv4 is tested with.
const FILTER: u8 = 0;

/// The first two of these to be answered are what hairpinning is tested with.
const HAIRPIN: [u8; 4] = [1, 2, 3, 4];

/// More samples of a block: with 16, one in 32,000 is taken for half as large as it is.
const BLOCK_SAMPLES: u8 = 11;

/// More samples of a sequence, over some time, to see what others take.
const SEQUENCE_SAMPLES: u8 = 3;

/// Time from one of these to the next.
const SEQUENCE_GAP: Duration = Duration::from_millis(100);

/// The socket that the IPv6 firewall is tested with.
pub(super) const FILTER_V6: u8 = WAVE + BLOCK_SAMPLES;

/// How long opening a socket may hold the wave up. It takes less than a millisecond, and on a machine
/// with too much to do as long as it takes; later the wave would be late for the report.
const OPEN_TIMEOUT: Duration = Duration::from_millis(400);

const PORT: Change = Change {
    ip: false,
    port: true,
};
const BOTH: Change = Change {
    ip: true,
    port: true,
};

impl Prober {
    pub(super) fn main(&self, v6: bool) -> Option<SocketAddr> {
        let mut targets = self.plan.targets.iter().map(|&(_, addr)| addr);
        targets.find(|addr| addr.is_ipv6() == v6)
    }

    /// Another port of the main server.
    fn second(&self, v6: bool) -> Option<SocketAddr> {
        let main = self.main(v6)?;
        let mut targets = self.plan.targets.iter().map(|&(_, addr)| addr);
        targets.find(|addr| addr.ip() == main.ip() && addr.port() != main.port())
    }

    /// Asks the own sockets' servers, and for the first wave of fresh ones.
    pub(super) fn begin(&mut self, now: Instant) {
        for (socket, addr) in self.plan.targets.clone() {
            self.ask(Slot::Own(socket), addr, Ask::Mapped, None, now);
        }
        if !self.plan.fresh || self.plan.targets.is_empty() {
            self.fresh.stage = Stage::Done;
            self.hairpin = Hairpin::Skipped;
            return;
        }
        if self.main(false).is_some() {
            (0..WAVE).for_each(|slot| self.open(slot, false, now));
        } else {
            self.fresh.stage = Stage::Done;
            self.hairpin = Hairpin::Skipped;
        }
        if self.second(true).is_some() {
            self.open(FILTER_V6, true, now);
        }
    }

    fn open(&mut self, slot: u8, v6: bool, now: Instant) {
        let until = now + OPEN_TIMEOUT;
        self.fresh.sockets[usize::from(slot)] = Socket::Opening { until };
        self.events.push_back(Event::Open { slot, v6 });
    }

    /// Goes on with whatever is ready for its next step.
    pub(super) fn step(&mut self, now: Instant) {
        for socket in &mut self.fresh.sockets {
            if matches!(socket, Socket::Opening { until } if *until <= now) {
                *socket = Socket::Failed;
            }
        }
        self.ask_other(now);
        self.ask_v6(now);
        loop {
            let before = self.fresh.stage;
            self.sample(now);
            if self.fresh.stage == before {
                break;
            }
        }
        self.try_hairpin(now);
    }

    /// The server's other address, from the sockets that peers will know us by.
    fn ask_other(&mut self, now: Instant) {
        let Some(other) = self.other else { return };
        let Some(&(socket, main)) = self.plan.targets.first() else {
            return;
        };
        let same_family = other.is_ipv4() == main.is_ipv4();
        if !same_family || !candidate::is_sendable(other, self.plan.allow_loopback) {
            return;
        }
        for (ip, port) in [
            (main.ip(), other.port()),
            (other.ip(), main.port()),
            (other.ip(), other.port()),
        ] {
            let to = SocketAddr::new(ip, port);
            let slot = Slot::Own(socket);
            if !self.queries.iter().any(|q| q.slot == slot && q.to == to) {
                self.ask(slot, to, Ask::Mapped, None, now);
            }
        }
    }

    fn ask_v6(&mut self, now: Instant) {
        let open = self.fresh.port(FILTER_V6).is_some() && !self.fresh.v6_asked;
        if let (Some(main), true) = (self.main(true), open) {
            self.fresh.v6_asked = true;
            let slot = Slot::Fresh(FILTER_V6);
            self.ask(slot, main, Ask::Describe, None, now);
            self.ask(slot, main, Ask::Change(PORT), None, now);
        }
    }

    fn sample(&mut self, now: Instant) {
        let Some(main) = self.main(false) else { return };
        match self.fresh.stage {
            Stage::Opening if !self.fresh.are_opening(0..WAVE) => {
                if self.fresh.port(FILTER).is_some() {
                    let slot = Slot::Fresh(FILTER);
                    self.ask(slot, main, Ask::Describe, Some((0, 0)), now);
                    self.ask(slot, main, Ask::Change(PORT), None, now);
                    self.ask(slot, main, Ask::Change(BOTH), None, now);
                }
                self.ask_each(1..WAVE, 0, now);
                self.fresh.stage = Stage::Wave;
            }
            Stage::Wave if self.is_answered(0, now) => self.fresh.stage = self.follow_up(now),
            Stage::BlockOpening if !self.fresh.are_opening(WAVE..WAVE + BLOCK_SAMPLES) => {
                self.ask_each(WAVE..WAVE + BLOCK_SAMPLES, 1, now);
                self.fresh.stage = Stage::More;
            }
            Stage::Sequence { next, at } if at <= now => {
                let slot = WAVE + next;
                if self.fresh.port(slot).is_some() {
                    let sample = Some((1, u32::from(next)));
                    self.ask(Slot::Fresh(slot), main, Ask::Mapped, sample, now);
                }
                self.fresh.stage = match next + 1 {
                    SEQUENCE_SAMPLES => Stage::More,
                    next => Stage::Sequence {
                        next,
                        at: now + SEQUENCE_GAP,
                    },
                };
            }
            Stage::More if self.is_answered(1, now) => self.fresh.stage = Stage::Done,
            Stage::Opening
            | Stage::Wave
            | Stage::BlockOpening
            | Stage::Sequence { .. }
            | Stage::More
            | Stage::Done => (),
        }
    }

    /// Each of these sockets asks both ports, one socket after the other.
    fn ask_each(&mut self, slots: Range<u8>, series: u8, now: Instant) {
        let mut nth = u32::from(series == 0);
        let ports: Vec<_> = [self.main(false), self.second(false)]
            .into_iter()
            .flatten()
            .collect();
        let open: Vec<_> = slots
            .filter(|&slot| self.fresh.port(slot).is_some())
            .collect();
        for slot in open {
            for to in &ports {
                self.ask(
                    Slot::Fresh(slot),
                    *to,
                    Ask::Mapped,
                    Some((series, nth)),
                    now,
                );
                nth += 1;
            }
        }
    }

    /// Whether the samples of a series are in: all of them, or those that were not lost.
    fn is_answered(&self, series: u8, now: Instant) -> bool {
        let of_series = || {
            let is = |q: &&Query| q.sample.is_some_and(|(s, _)| s == series);
            self.queries.iter().filter(is)
        };
        let waiting = of_series().filter(|q| q.is_waiting()).count();
        // What is still out after half as long again was lost; a few samples less do no harm.
        let late = of_series().all(|q| {
            let patience = self
                .rtt
                .map(|rtt| rtt + rtt / 2 + Duration::from_millis(30));
            patience.is_some_and(|patience| q.sent_at + patience <= now)
        });
        waiting == 0 || (late && 4 * waiting <= of_series().count())
    }

    /// What the first samples make worth asking more of.
    fn follow_up(&mut self, now: Instant) -> Stage {
        let samples = self.samples();
        match allocation::classify(&samples) {
            Some(Pattern::Sequential { .. }) => {
                (WAVE..WAVE + SEQUENCE_SAMPLES).for_each(|slot| self.open(slot, false, now));
                Stage::Sequence {
                    next: 0,
                    at: now + SEQUENCE_GAP,
                }
            }
            Some(Pattern::Block { .. } | Pattern::Random) if allocation::may_be_block(&samples) => {
                (WAVE..WAVE + BLOCK_SAMPLES).for_each(|slot| self.open(slot, false, now));
                Stage::BlockOpening
            }
            Some(Pattern::Block { .. } | Pattern::Random | Pattern::Preserving) | None => {
                Stage::Done
            }
        }
    }

    /// Two fresh sockets send to each other's outside endpoints, when these are known and will be the
    /// same for each other; or whoever sends is let in.
    fn try_hairpin(&mut self, now: Instant) {
        if self.hairpin != Hairpin::Before || self.fresh.is_pending() {
            return;
        }
        let report = self.judge();
        let class = report.class;
        let seen = self.seen();
        let outside = |slot| {
            let of_slot = seen.iter().find(|seen| seen.slot == Slot::Fresh(slot));
            of_slot.map(|seen| (slot, seen.mapped))
        };
        let mut known = HAIRPIN.into_iter().filter_map(outside);
        let (Some(a), Some(b)) = (known.next(), known.next()) else {
            if !HAIRPIN.into_iter().any(|slot| self.is_asking(slot)) {
                self.hairpin = Hairpin::Skipped;
            }
            return;
        };
        let open = class.filtering == Some(Behaviour::EndpointIndependent);
        match (class.mapping, report.translated) {
            (_, Some(false)) => self.hairpin = Hairpin::Skipped,
            (Some(Behaviour::EndpointIndependent), _) => self.send_hairpin(a, b, now),
            (Some(_), _) if open => self.send_hairpin(a, b, now),
            // Filtering may yet turn out to be open.
            (mapping, _)
                if self.is_filtering_open() || (mapping.is_none() && !self.is_mapped()) => {}
            _ => self.hairpin = Hairpin::Skipped,
        }
    }

    fn send_hairpin(&mut self, a: (u8, SocketAddr), b: (u8, SocketAddr), now: Instant) {
        self.hairpin = Hairpin::Asked;
        self.ask(Slot::Fresh(a.0), b.1, Ask::Hairpin, None, now);
        self.ask(Slot::Fresh(b.0), a.1, Ask::Hairpin, None, now);
    }

    fn is_asking(&self, slot: u8) -> bool {
        let mut of_slot = self.queries.iter().filter(|q| q.slot == Slot::Fresh(slot));
        of_slot.any(Query::is_waiting)
    }

    fn is_filtering_open(&self) -> bool {
        let is_filter = |q: &&Query| matches!(q.ask, Ask::Change(_));
        self.queries.iter().filter(is_filter).any(Query::is_waiting)
    }
}
