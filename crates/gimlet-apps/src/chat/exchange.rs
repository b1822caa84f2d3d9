//! One side of a conversation: every line arrives once and in order, whatever becomes of connections.
//!
//! Lines are numbered and kept until they are acknowledged. On every connection each side says what it
//! has, and the other sends the rest again; what comes twice is dropped. A side that was restarted enters
//! as another *incarnation*: it begins behind what was delivered to the one before.
//!
//! ```text
//!           accepted              lost
//!  Asking ───────────▶ Together ──────▶ Away
//!    │                  ▲    │            │ │
//!    │ refused, nobody  ╰────┼────────────╯ │ nobody came back
//!    ╰───────────────▶ Over ◀┴──────────────╯
//! ```
//!
//! # Driving it
//!
//! After every call that takes `&mut self`, drain [`poll_transmit`](Exchange::poll_transmit) and
//! [`poll_event`](Exchange::poll_event), then sleep until [`poll_timeout`](Exchange::poll_timeout).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::wire::{ConversationId, Hello, Record};
use super::{Ended, MAX_UNDELIVERED};

mod hearing;

/// How long a request waits for its answer. A person who has not answered by then is not there.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How much longer the asking side waits, so that the other one's word about it arrives.
const GRACE: Duration = Duration::from_secs(5);

/// How long a conversation waits for its other side to come back: a restart, a tunnel, a lift.
pub(super) const AWAY_TIMEOUT: Duration = Duration::from_secs(600);

/// What happened in a conversation, as the machine tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Together, for the first time or again.
    Together,
    /// The other side said this.
    Line(String),
    /// So many more of ours have arrived there.
    Delivered(usize),
    /// The connection is gone; the conversation waits.
    Away,
    /// It is over. Nothing follows.
    Over(Ended),
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Exchange {
    id: ConversationId,
    incarnation: u64,
    asks: bool,
    name: String,
    state: State,
    /// The incarnation of the other side that `received` is about.
    theirs: Option<u64>,
    received: u64,
    /// Our lines up to this number have arrived.
    base: u64,
    /// Said and not known to have arrived; the first has the number after `base`. At most
    /// [`MAX_UNDELIVERED`].
    outbox: VecDeque<String>,
    /// Whether we want to leave, once everything has arrived.
    leaving: bool,
    link: Link,
    transmits: VecDeque<Record>,
    events: VecDeque<Told>,
}

/// What we have said on the connection that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// There is none, or nothing.
    Silent,
    /// Hello.
    Greeted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for the answer to the request.
    Asking {
        until: Instant,
    },
    /// Both have said hello on this connection.
    Together,
    /// There is a connection, or none; the other side has not said hello on it.
    Away {
        until: Instant,
    },
    Over,
}

impl Exchange {
    /// The side that asks for a conversation. `incarnation` must be drawn at random, and not be 0.
    pub(super) fn ask(
        id: ConversationId,
        incarnation: u64,
        asks: bool,
        name: String,
        now: Instant,
    ) -> Self {
        let until = now + ANSWER_TIMEOUT + GRACE;
        Self::new(id, incarnation, asks, name, State::Asking { until })
    }

    /// The side that accepts one. Then comes the connection, with [`handle_link_up`](Self::handle_link_up) and
    /// the request's hello.
    pub(super) fn accept(id: ConversationId, incarnation: u64, name: String, now: Instant) -> Self {
        let until = now + AWAY_TIMEOUT;
        Self::new(id, incarnation, false, name, State::Away { until })
    }

    fn new(id: ConversationId, incarnation: u64, asks: bool, name: String, state: State) -> Self {
        Self {
            id,
            incarnation,
            asks,
            name,
            state,
            theirs: None,
            received: 0,
            base: 0,
            outbox: VecDeque::new(),
            leaving: false,
            link: Link::Silent,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Says a line; `false` where so many have not arrived that no more are taken, or where all is over.
    pub(super) fn say(&mut self, text: String) -> bool {
        if self.outbox.len() >= MAX_UNDELIVERED || self.leaving || self.state == State::Over {
            return false;
        }
        if self.state == State::Together {
            let (seq, text) = (self.last_said() + 1, text.clone());
            self.transmits.push_back(Record::Line { seq, text });
        }
        self.outbox.push_back(text);
        true
    }

    /// Leaves as soon as everything said has arrived.
    pub(super) fn leave(&mut self) {
        if self.leaving {
            return;
        }
        self.leaving = true;
        if self.state == State::Together {
            self.transmits.push_back(Record::Bye);
        }
    }

    /// Takes a request back that nobody has answered; leaves otherwise.
    pub(super) fn withdraw(&mut self) {
        match self.state {
            State::Asking { .. } => self.end(Ended::Left),
            State::Together | State::Away { .. } | State::Over => self.leave(),
        }
    }

    /// A connection stands. The side that made it says hello first; the other answers what it hears.
    pub(super) fn handle_link_up(&mut self, dialled: bool) {
        self.transmits.clear();
        self.link = Link::Silent;
        if dialled && self.state != State::Over {
            self.greet();
        }
    }

    /// The connection is gone.
    pub(super) fn handle_link_down(&mut self, now: Instant) {
        self.transmits.clear();
        match self.state {
            State::Together if self.leaving && self.outbox.is_empty() => self.end(Ended::Left),
            State::Together => {
                let until = now + AWAY_TIMEOUT;
                self.state = State::Away { until };
                self.events.push_back(Told::Away);
            }
            // Who is asked has gone away, or nobody: the request waits for another connection.
            State::Asking { .. } | State::Away { .. } | State::Over => (),
        }
    }

    /// Advances time. Calling it early is a no-op.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Asking { until } if until <= now => self.end(Ended::Unanswered),
            State::Away { until } if until <= now => self.end(Ended::Away),
            State::Asking { .. } | State::Away { .. } | State::Together | State::Over => (),
        }
    }

    /// The next record to send on the connection that stands.
    pub(super) fn poll_transmit(&mut self) -> Option<Record> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub(super) fn poll_event(&mut self) -> Option<Told> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Asking { until } | State::Away { until } => Some(until),
            State::Together | State::Over => None,
        }
    }

    /// Whether nothing will happen any more.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether both are there.
    pub(super) fn is_together(&self) -> bool {
        self.state == State::Together
    }

    /// Lines that are not known to have arrived.
    #[cfg(test)]
    pub(super) fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    /// The number of the last line said.
    fn last_said(&self) -> u64 {
        self.base + self.outbox.len() as u64
    }

    fn greet(&mut self) {
        self.link = Link::Greeted;
        self.transmits.push_back(Record::Hello(Hello {
            id: self.id,
            incarnation: self.incarnation,
            base: self.base,
            heard: self.theirs.unwrap_or(0),
            received: self.received,
            asks: self.asks,
            name: self.name.clone(),
        }));
    }

    fn end(&mut self, how: Ended) {
        self.state = State::Over;
        self.events.push_back(Told::Over(how));
    }
}

#[cfg(test)]
mod tests;
