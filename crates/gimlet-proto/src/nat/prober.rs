//! The prober: asks servers through our sockets and fresh ones, and keeps a [`Report`].
//!
//! # Driving it
//!
//! [`Prober`] performs no I/O and reads no clock. After **every** call that takes `&mut self`, drain
//! [`poll_transmit`](Prober::poll_transmit), then [`poll_event`](Prober::poll_event), then sleep until
//! [`poll_timeout`](Prober::poll_timeout).
//!
//! # A run
//!
//! ```text
//!  own sockets:  main, second port ───────▶ the other address, once it is known
//!  fresh ones:   a wave: allocation, ─────▶ samples more, where ports ────▶ hairpin
//!                filtering beside it        are in sequence or in a block
//! ```
//!
//! Everything that does not need an answer first is sent at once. A run takes 1.5 s at most, and asks
//! no more than [`MAX_QUERIES`] questions of five attempts.

mod fresh;
mod steps;
mod verdict;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::query::{Ask, Query, State};
use super::{Event, Report, Slot, Transmit};
use crate::stun;
use crate::traversal::SocketId;
use crate::traversal::entropy::Entropy;
use fresh::Fresh;

/// Server endpoints asked from our own sockets: four servers with two ports, in two families.
pub const MAX_TARGETS: usize = 16;

/// Questions in all. A run needs some 20 to 50 of them.
const MAX_QUERIES: usize = 96;

/// When the report is settled although something is still open. Longer, and whoever waits for it would
/// have to be told that it waits.
const SETTLE_AFTER: Duration = Duration::from_secs(1);

/// What to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Server endpoints and the socket that reaches each. The first of each family is the main one;
    /// another port of its address makes the mapping known, another address makes it exact.
    pub targets: Vec<(SocketId, SocketAddr)>,
    /// Our own addresses.
    pub local: Vec<(SocketId, SocketAddr)>,
    /// Whether sockets can be opened; without, only mapping and blocking are found out.
    pub fresh: bool,
    /// Whether a server may name an address of the loopback interface as its other one.
    pub allow_loopback: bool,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Prober {
    plan: Plan,
    entropy: Entropy,
    started_at: Instant,
    queries: Vec<Query>,
    fresh: Fresh,
    /// The shortest round trip to the main server.
    rtt: Option<Duration>,
    /// What the main server says it can answer from as well.
    other: Option<SocketAddr>,
    hairpin: Hairpin,
    report: Report,
    progress: Progress,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// How the hairpin test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hairpin {
    /// Not yet.
    Before,
    /// Its requests are under way.
    Asked,
    /// One has come through.
    Heard,
    /// It can't tell anything here.
    Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Running,
    Settled,
    Finished,
}

impl Prober {
    /// Starts asking at `now`. `seed` decides every transaction id; nobody else may know it.
    pub fn new(mut plan: Plan, seed: [u8; 32], now: Instant) -> Self {
        plan.targets.truncate(MAX_TARGETS);
        let mut prober = Self {
            plan,
            entropy: Entropy::new(&seed),
            started_at: now,
            queries: Vec::new(),
            fresh: Fresh::default(),
            rtt: None,
            other: None,
            hairpin: Hairpin::Before,
            report: Report::default(),
            progress: Progress::Running,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        prober.begin(now);
        prober.proceed(now);
        prober
    }

    /// What was asked.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is known so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Whether the report says what it will about mapping, filtering and hairpinning.
    pub fn is_settled(&self) -> bool {
        self.progress != Progress::Running
    }

    /// Whether every question to the endpoint's own sockets' servers is answered or given up.
    pub fn is_mapped(&self) -> bool {
        let mut own = self
            .queries
            .iter()
            .filter(|q| matches!(q.slot, Slot::Own(_)));
        !own.any(Query::is_waiting)
    }

    /// Where servers see the endpoint's own sockets, without doubles.
    pub fn mapped(&self) -> Vec<(SocketId, SocketAddr)> {
        let mut mapped: Vec<_> = self
            .seen()
            .into_iter()
            .filter_map(|seen| match seen.slot {
                Slot::Own(socket) => Some((socket, seen.mapped)),
                Slot::Fresh(_) => None,
            })
            .collect();
        mapped.sort_unstable();
        mapped.dedup();
        mapped
    }

    /// A socket asked for is open, on this port.
    pub fn handle_opened(&mut self, slot: u8, port: u16, now: Instant) {
        self.fresh.opened(slot, port);
        self.proceed(now);
    }

    /// A socket asked for can't be had; what it was for stays unknown.
    pub fn handle_open_failed(&mut self, slot: u8, now: Instant) {
        self.fresh.failed(slot);
        self.proceed(now);
    }

    /// Feeds a datagram that came to `slot` from `remote`; false when it is nothing to us.
    pub fn handle_datagram(
        &mut self,
        slot: Slot,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let known =
            self.take_hairpin(slot, datagram) || self.take_answer(slot, remote, datagram, now);
        if known {
            self.proceed(now);
        }
        known
    }

    fn take_hairpin(&mut self, slot: Slot, datagram: &[u8]) -> bool {
        let Some(transaction) = stun::transaction_of_request(datagram) else {
            return false;
        };
        let sent = self.queries.iter_mut().find(|query| {
            query.ask == Ask::Hairpin
                && query.slot != slot
                && query.attempt_of(transaction).is_some()
        });
        let Some(query) = sent else {
            return false;
        };
        query.state = State::Answered {
            mapped: None,
            first: false,
        };
        self.hairpin = Hairpin::Heard;
        true
    }

    fn take_answer(
        &mut self,
        slot: Slot,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let response = stun::decode_binding_response(datagram);
        let refusal = stun::decode_binding_error(datagram);
        let Some(transaction) = response.map(|r| r.transaction).or(refusal) else {
            return false;
        };
        let asked = self.queries.iter_mut().find_map(|query| {
            let attempt = query
                .attempt_of(transaction)
                .filter(|_| query.slot == slot)?;
            Some((query, attempt))
        });
        let Some((query, attempt)) = asked else {
            return false;
        };
        let from_there = match query.ask {
            Ask::Mapped | Ask::Describe => remote == query.to,
            Ask::Change(change) => {
                (remote.ip() != query.to.ip()) == change.ip
                    && (remote.port() != query.to.port()) == change.port
            }
            Ask::Hairpin => false,
        };
        let (Some(response), true) = (response, from_there) else {
            // Refused, or answered from where it was asked: the server does not do this.
            if remote == query.to && query.is_waiting() {
                query.state = State::Refused;
            }
            return remote == query.to;
        };
        if let State::Answered { .. } = query.state {
            return true;
        }
        query.state = State::Answered {
            mapped: Some(response.mapped),
            first: attempt == 0,
        };
        let took = now.saturating_duration_since(query.sent_at);
        if attempt == 0 {
            self.rtt = Some(self.rtt.map_or(took, |rtt| rtt.min(took)));
        }
        if query.ask == Ask::Describe || self.plan.targets.first().is_some_and(|t| t.1 == query.to)
        {
            self.other = self.other.or(response.other);
        }
        true
    }

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.proceed(now);
    }

    /// The next datagram to send, if any.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called; `None` when finished.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let settle_at = match self.progress {
            Progress::Running if self.rtt.is_some() => Some(self.started_at + SETTLE_AFTER),
            Progress::Running | Progress::Settled => None,
            Progress::Finished => return None,
        };
        let queries = self.queries.iter().filter_map(Query::next_at);
        queries.chain(settle_at).chain(self.fresh.due_at()).min()
    }

    fn ask(
        &mut self,
        slot: Slot,
        to: SocketAddr,
        ask: Ask,
        sample: Option<(u8, u32)>,
        now: Instant,
    ) {
        if self.queries.len() < MAX_QUERIES {
            let mut query = Query::new(slot, to, ask, now);
            query.sample = sample;
            self.queries.push(query);
        }
    }

    /// Does everything that can be done now: sends, judges, goes on to what comes next.
    fn proceed(&mut self, now: Instant) {
        if self.progress == Progress::Finished {
            return;
        }
        self.send(now);
        self.step(now);
        self.send(now);
        let report = self.judge();
        if report != self.report {
            self.report = report;
            self.events.push_back(Event::Changed);
        }
        self.end(now);
    }

    fn send(&mut self, now: Instant) {
        // An answer takes a round trip, and some of them half of that more.
        let patience = self
            .rtt
            .map(|rtt| rtt + rtt / 2 + Duration::from_millis(60));
        for query in &mut self.queries {
            let sent = query.handle_timeout(now, patience, || self.entropy.transaction());
            if let Some(payload) = sent {
                self.transmits.push_back(Transmit {
                    slot: query.slot,
                    remote: query.to,
                    payload,
                });
            }
        }
    }

    fn end(&mut self, now: Instant) {
        let opening = self.fresh.is_pending() || self.fresh.is_opening();
        let done = !opening && !self.queries.iter().any(Query::is_waiting);
        let done = done && self.hairpin != Hairpin::Before;
        let late = self.rtt.is_some() && self.started_at + SETTLE_AFTER <= now;
        if self.progress == Progress::Running && (done || late) {
            self.progress = Progress::Settled;
            self.events.push_back(Event::Settled);
        }
        if done {
            self.progress = Progress::Finished;
            for slot in self.fresh.close() {
                self.events.push_back(Event::Close { slot });
            }
            self.events.push_back(Event::Finished);
        }
    }
}
