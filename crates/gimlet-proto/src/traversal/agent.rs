//! The agent: what goes in, what comes out, and the clock.

mod choice;
mod remote;
mod requests;
mod responses;
mod searching;
mod sending;
mod settling;
mod timers;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use self::choice::Lead;
use self::remote::Remote;
use self::sending::Sent;
use self::settling::Attempt;
use super::budget::Budget;
use super::config::{ANSWERS_PER_SECOND, CHECKS_AT_ONCE, CHECKS_PER_SECOND, MAX_QUEUE, MIN_MTU};
use super::entropy::Entropy;
use super::path::{Origin, Path, State};
use super::rank::Rank;
use super::search::Search;
use super::{Config, Dropped, Event, Family, Outcome, Role, Route, SocketId, Transmit};
use crate::candidate::{Candidate, MAX_CANDIDATES, NatClass};
use crate::secret::Credentials;
use crate::stun::{Body, Key, TransactionId, decode_check};

/// One side of one session. See the [module docs](super) for the driving contract.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use gimlet_proto::secret::Credentials;
/// use gimlet_proto::traversal::{Agent, Config, Family, Role, Route, SocketId};
///
/// let now = Instant::now();
/// let mine = Credentials { fragment: [1; 8], password: [2; 16] };
/// let sockets = [(SocketId(0), Family::V4)];
/// let agent = Agent::new(Config::default(), Role::Controlling, mine, &sockets, [7; 32], now);
/// assert_eq!(agent.selected(), Route::Relay);
/// assert_eq!(agent.poll_timeout(), None);
/// ```
#[derive(Debug)]
pub struct Agent {
    config: Config,
    role: Role,
    started_at: Instant,
    sockets: Vec<(SocketId, Family)>,
    credentials: Credentials,
    key: Key,
    local: Vec<Candidate>,
    local_nat: NatClass,
    remote: Option<Remote>,
    entropy: Entropy,
    /// The half of the tie-breaker that does not count.
    session_word: u32,
    mtu: u16,
    relay_up: bool,
    /// The relay and at most [`MAX_PAIRS`](super::config::MAX_PAIRS) pairs.
    paths: BTreeMap<Route, Path>,
    selected: Route,
    selected_at: Instant,
    /// Since when the selected route is doubted; it has not answered since.
    doubted_at: Option<Instant>,
    lead: Lead,
    /// Oldest first, at most [`MAX_OUTSTANDING`](super::config::MAX_OUTSTANDING).
    outstanding: VecDeque<Sent>,
    /// Oldest first, at most [`MAX_SEEN`](super::config::MAX_SEEN).
    seen: VecDeque<(TransactionId, Route)>,
    checks: Budget,
    answers: Budget,
    pacer_at: Option<Instant>,
    hold_until: Option<Instant>,
    attempt: Attempt,
    search: Search,
    outcome: Outcome,
    events: VecDeque<Event>,
    transmits: VecDeque<Transmit>,
}

impl Agent {
    /// Starts a session at `now`. `seed` decides transaction ids and jitter and thus the whole run:
    /// fresh randomness in production. No sockets means relay only.
    pub fn new(
        config: Config,
        role: Role,
        local: Credentials,
        sockets: &[(SocketId, Family)],
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let mut entropy = Entropy::new(&seed);
        let mut relay = Path::new(Route::Relay, Origin::Relay, Rank::Relay);
        relay.state = State::Idle;
        Self {
            config,
            role,
            started_at: now,
            sockets: sockets.to_vec(),
            key: Key::new(&local),
            credentials: local,
            local: Vec::new(),
            local_nat: NatClass::default(),
            remote: None,
            session_word: entropy.word(),
            entropy,
            mtu: MIN_MTU,
            relay_up: false,
            paths: BTreeMap::from([(Route::Relay, relay)]),
            selected: Route::Relay,
            selected_at: now,
            doubted_at: None,
            lead: Lead::new(role),
            outstanding: VecDeque::new(),
            seen: VecDeque::new(),
            checks: Budget::new(CHECKS_PER_SECOND, CHECKS_AT_ONCE, now),
            answers: Budget::new(ANSWERS_PER_SECOND, ANSWERS_PER_SECOND, now),
            pacer_at: None,
            hold_until: None,
            attempt: Attempt::NotStarted,
            search: Search::new(now),
            outcome: Outcome::default(),
            events: VecDeque::new(),
            transmits: VecDeque::new(),
        }
    }

    /// Tells what this side announced to the other, so that same-network candidates are recognised
    /// and the outcome can name the strategy. Call it before
    /// [`handle_remote`](Self::handle_remote), and again when it changes.
    pub fn set_local(&mut self, candidates: &[Candidate], nat: NatClass) {
        self.local = candidates.iter().copied().take(MAX_CANDIDATES).collect();
        self.local_nat = nat;
        for path in self.paths.values_mut() {
            if let Route::Direct { remote, .. } = path.route {
                path.rank = Rank::of(path.origin.kind(), remote, &self.local);
            }
        }
    }

    /// Holds direct checks back until `until`, or until one of the other side comes in.
    ///
    /// For the accepting side, before [`handle_remote`](Self::handle_remote): one of its own round
    /// trips to the server from when its answer leaves. A check that reaches the dialer's router
    /// before the dialer has sent is wasted, and on routers that accept packets for themselves it
    /// takes the announced port away from the dialer. One own round trip is right wherever the three
    /// are: as long as no detour is shorter than the straight way, neither side's first check
    /// reaches the other's router before that has let one out. It costs nothing, since the dialer
    /// can use no path before its own check is answered. Default: no hold.
    pub fn hold_checks(&mut self, until: Instant) {
        self.hold_until = Some(until);
    }

    /// Begins checking: the other side's credentials and candidates are known. A second call only
    /// adds candidates.
    pub fn handle_remote(
        &mut self,
        credentials: Credentials,
        candidates: &[Candidate],
        nat: NatClass,
        now: Instant,
    ) {
        if self.remote.is_none() {
            self.meet(credentials, nat, now);
        }
        self.handle_candidates(candidates, now);
    }

    /// Adds candidates that the other side found later.
    pub fn handle_candidates(&mut self, candidates: &[Candidate], now: Instant) {
        if self.add_candidates(candidates, now) {
            self.doubt_selected(now);
        }
        self.begin_attempt(now);
        self.burst(now);
        self.finish(now);
    }

    /// Feeds a STUN datagram that came in over `via`.
    ///
    /// # Errors
    ///
    /// Why it was ignored, for counting.
    pub fn handle_stun(
        &mut self,
        via: Route,
        datagram: &[u8],
        now: Instant,
    ) -> Result<(), Dropped> {
        let via = via.canonical();
        if self.handle_sample(via, datagram, now).is_some() {
            self.finish(now);
            return Ok(());
        }
        let incoming = decode_check(datagram).ok_or(Dropped::Malformed)?;
        let taken = match incoming.body {
            Body::Request { .. } => self.handle_request(via, &incoming, now),
            Body::Success(_) | Body::Error(_) => self.handle_response(via, &incoming, now),
        };
        self.finish(now);
        taken
    }

    /// QUIC of this session came in over `via`. It is not proof of anything by itself, so it only
    /// marks the selected path as confirmed.
    pub fn handle_heard(&mut self, via: Route, now: Instant) {
        let via = via.canonical();
        let first = self.outcome.times.quic_confirmed.is_none();
        if first && via == self.selected && via.is_direct() {
            self.outcome.times.quic_confirmed = Some(self.elapsed(now));
            self.push_event(Event::Confirmed { route: via });
        }
    }

    /// The owner sends over `via` and has heard nothing for a few round-trip times: the path is
    /// probed at once and given up within a second if it does not answer.
    pub fn handle_suspect(&mut self, via: Route, now: Instant) {
        let via = via.canonical();
        if let Some(path) = self.paths.get_mut(&via).filter(|path| path.is_valid()) {
            path.suspect(now);
            self.step(via, now);
            if via == self.selected {
                self.doubted_at.get_or_insert(now);
                self.rouse(now);
            }
        }
        self.finish(now);
    }

    /// The other side has addresses that it had not before: it may have left those it had.
    fn doubt_selected(&mut self, now: Instant) {
        let via = self.selected;
        if let Some(path) = self.paths.get_mut(&via)
            && via.is_direct()
            && path.is_valid()
        {
            path.suspect(now);
            self.doubted_at.get_or_insert(now);
            self.step(via, now);
            self.rouse(now);
        }
    }

    /// The operating system refused a datagram for `via`.
    pub fn handle_send_failed(&mut self, via: Route, now: Instant) {
        let via = via.canonical();
        if let Some(path) = self.paths.get_mut(&via) {
            path.send_failed();
        }
        self.handle_suspect(via, now);
    }

    /// Whether the relay can be used. An agent begins without.
    pub fn handle_relay(&mut self, up: bool, now: Instant) {
        if up != self.relay_up {
            self.relay_up = up;
            if self.selected == Route::Relay && self.relay().answers > 0 {
                self.doubted_at.get_or_insert(now);
            }
            self.relay().state = State::Idle;
            self.check_relay(now);
        }
        self.finish(now);
    }

    /// The relay is another one from now on: what was measured of the last says nothing about it.
    pub fn handle_relay_replaced(&mut self, now: Instant) {
        self.relay().renew();
        self.check_relay(now);
        self.finish(now);
    }

    /// Sets the datagram size, without IP and UDP headers, that a direct path must be proven to
    /// carry before it is chosen. Default and minimum 1,200 bytes, what QUIC needs; at most 1,500.
    pub fn set_mtu(&mut self, bytes: u16) {
        self.mtu = bytes.clamp(MIN_MTU, 1500);
    }

    /// Sets the gap between checks of paths kept in reserve and of the relay, from now on: how long a
    /// NAT on the way keeps a mapping may be found out late. Default: that of the configuration.
    pub fn set_keepalive(&mut self, interval: Duration) {
        self.config.keepalive_interval = interval;
    }

    /// Checks everything again: this host's network changed.
    pub fn restart(&mut self, now: Instant) {
        let selected = self.selected;
        self.doubted_at.get_or_insert(now);
        for path in self.paths.values_mut().filter(|p| p.route.is_direct()) {
            match path.route == selected && path.is_usable() {
                true => path.suspect(now),
                false => path.renew(),
            }
        }
        self.relay().state = State::Idle;
        self.check_relay(now);
        self.search.reset();
        self.attempt = Attempt::NotStarted;
        self.begin_attempt(now);
        self.step(selected, now);
        self.burst(now);
        self.finish(now);
    }

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.step_due(now);
        self.pace(now);
        self.repeat_nomination(now);
        self.finish(now);
    }

    /// Returns the next datagram to send, if any.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Returns the next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) must next be called, or `None` if
    /// nothing is scheduled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let paths = self.paths.values().filter_map(Path::next_at);
        paths
            .chain(self.pacer_at)
            .chain(self.lead.repeat_at())
            .chain(self.settle_at())
            .chain(self.search_timeout())
            .min()
    }

    /// Whether a response with this transaction id is for this agent.
    pub fn owns(&self, transaction: &TransactionId) -> bool {
        self.outstanding
            .iter()
            .any(|sent| sent.transaction == *transaction)
            || self.owns_sample(transaction)
    }

    /// Over what to send now. The relay until something better is found.
    pub fn selected(&self) -> Route {
        self.selected
    }

    /// Since when the selected path is doubted; `None` while nothing speaks against it.
    pub fn doubted_at(&self) -> Option<Instant> {
        self.doubted_at
    }

    /// The round-trip time of a path, as its checks measured it.
    pub fn rtt(&self, via: Route) -> Option<Duration> {
        self.paths.get(&via.canonical())?.rtt
    }

    /// What came of the attempt so far.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What every input ends with: choose, search if need be, then see whether the attempt is over.
    fn finish(&mut self, now: Instant) {
        self.choose(now);
        self.drive_search(now);
        self.settle(now);
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    fn push_event(&mut self, event: Event) {
        if self.events.len() == MAX_QUEUE {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn push_transmit(&mut self, transmit: Transmit) {
        if self.transmits.len() == MAX_QUEUE {
            self.transmits.pop_front();
        }
        self.transmits.push_back(transmit);
    }
}

#[cfg(test)]
mod tests;
