//! One question to a server, repeated until it is answered or given up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Slot;
use crate::stun::{self, Change, TransactionId};

/// Times a question is asked at most. Answers name the attempt they are to, by its transaction id.
pub(super) const MAX_ATTEMPTS: usize = 5;

const ANSWERED: [Duration; 4] = [ms(100), ms(200), ms(400), ms(800)];
const CHANGED: [Duration; 5] = [ms(80), ms(80), ms(80), ms(80), ms(600)];
const HAIRPINNED: [Duration; 4] = [ms(50), ms(50), ms(50), ms(200)];

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Where am I seen?
    Mapped,
    /// The same, and what else is there of you?
    Describe,
    /// Answer me from elsewhere.
    Change(Change),
    /// A request that shall come to another socket of ours.
    Hairpin,
}

impl Ask {
    /// Waiting times after each attempt; the last is how long an answer may take. After 1.5 s, as
    /// every client of STUN, but less where silence is an answer: filtering is known within a second.
    fn gaps(self) -> &'static [Duration] {
        match self {
            Self::Mapped | Self::Describe => &ANSWERED,
            Self::Change(_) => &CHANGED,
            Self::Hairpin => &HAIRPINNED,
        }
    }

    fn encode(self, transaction: TransactionId) -> Vec<u8> {
        match self {
            Self::Mapped | Self::Hairpin => stun::encode_binding_request(transaction),
            Self::Describe => stun::encode_probe(transaction, Change::default(), None),
            Self::Change(change) => stun::encode_probe(transaction, change, None),
        }
    }
}

/// How a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting {
        next_at: Instant,
    },
    /// `first`: it was the first attempt that was answered.
    Answered {
        mapped: Option<SocketAddr>,
        first: bool,
    },
    /// The server does not do this.
    Refused,
    Silent,
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) slot: Slot,
    pub(super) to: SocketAddr,
    pub(super) ask: Ask,
    pub(super) state: State,
    pub(super) sent_at: Instant,
    /// Which series of samples it belongs to, and its place in it.
    pub(super) sample: Option<(u8, u32)>,
    ids: Vec<TransactionId>,
}

impl Query {
    /// A question that is asked at the next [`handle_timeout`](Self::handle_timeout), at `now`.
    pub(super) fn new(slot: Slot, to: SocketAddr, ask: Ask, now: Instant) -> Self {
        Self {
            slot,
            to,
            ask,
            state: State::Waiting { next_at: now },
            sent_at: now,
            sample: None,
            ids: Vec::with_capacity(MAX_ATTEMPTS),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { next_at } => Some(next_at),
            State::Answered { .. } | State::Refused | State::Silent => None,
        }
    }

    /// Which attempt `transaction` belongs to, from 0.
    pub(super) fn attempt_of(&self, transaction: TransactionId) -> Option<usize> {
        self.ids.iter().position(|id| *id == transaction)
    }

    /// What to send now, if anything. `patience` replaces the last waiting time where silence is an
    /// answer, since it knows the round trip.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        patience: Option<Duration>,
        draw: impl FnOnce() -> TransactionId,
    ) -> Option<Vec<u8>> {
        let due = self.next_at().is_some_and(|at| at <= now);
        due.then_some(())?;
        let gaps = self.ask.gaps();
        let Some(&gap) = gaps.get(self.ids.len()) else {
            self.state = State::Silent;
            return None;
        };
        if self.ids.is_empty() {
            self.sent_at = now;
        }
        let is_last = self.ids.len() + 1 == gaps.len();
        let shorter = patience.filter(|_| is_last && matches!(self.ask, Ask::Change(_)));
        let transaction = draw();
        self.ids.push(transaction);
        self.state = State::Waiting {
            next_at: now + shorter.map_or(gap, |patience| patience.min(gap)),
        };
        Some(self.ask.encode(transaction))
    }
}
