//! The agent: inputs, outputs and the clock.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Config, Dropped, Event, Family, Outcome, Role, Route, SocketId, Transmit};
use crate::candidate::{Candidate, NatClass};
use crate::secret::Credentials;
use crate::stun::TransactionId;

/// One side of one session. See the [module docs](super) for the driving contract.
#[derive(Debug)]
pub struct Agent {
    events: VecDeque<Event>,
    transmits: VecDeque<Transmit>,
}

impl Agent {
    /// Starts a session at `now`. `seed` decides transaction ids and jitter and thus the whole run:
    /// fresh randomness in production. No sockets means relay only.
    pub fn new(
        _config: Config,
        _role: Role,
        _local: Credentials,
        _sockets: &[(SocketId, Family)],
        _seed: [u8; 32],
        _now: Instant,
    ) -> Self {
        Self {
            events: VecDeque::new(),
            transmits: VecDeque::new(),
        }
    }

    /// Tells what this side announced to the other, so that same-network candidates are recognised
    /// and the outcome can name the strategy. Call it again when it changes.
    pub fn set_local(&mut self, _candidates: &[Candidate], _nat: NatClass) {}

    /// Begins checking: the other side's credentials and candidates are known.
    pub fn handle_remote(
        &mut self,
        _credentials: Credentials,
        _candidates: &[Candidate],
        _nat: NatClass,
        _now: Instant,
    ) {
    }

    /// Adds candidates that the other side found later.
    pub fn handle_candidates(&mut self, _candidates: &[Candidate], _now: Instant) {}

    /// Feeds a STUN datagram that came in over `via`.
    ///
    /// # Errors
    ///
    /// Why it was ignored, for counting.
    pub fn handle_stun(
        &mut self,
        _via: Route,
        _datagram: &[u8],
        _now: Instant,
    ) -> Result<(), Dropped> {
        Err(Dropped::Malformed)
    }

    /// QUIC of this session came in over `via`.
    pub fn handle_heard(&mut self, _via: Route, _now: Instant) {}

    /// The owner sends over `via` and has heard nothing for a few round-trip times.
    pub fn handle_suspect(&mut self, _via: Route, _now: Instant) {}

    /// The operating system refused a datagram for `via`.
    pub fn handle_send_failed(&mut self, _via: Route, _now: Instant) {}

    /// Whether the relay can be used. An agent begins without.
    pub fn handle_relay(&mut self, _up: bool, _now: Instant) {}

    /// Sets the datagram size, without IP and UDP headers, that a direct path must be proven to
    /// carry before it is chosen. Default and minimum 1,200 bytes.
    pub fn set_mtu(&mut self, _bytes: u16) {}

    /// Checks everything again: this host's network changed.
    pub fn restart(&mut self, _now: Instant) {}

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, _now: Instant) {}

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
        None
    }

    /// Whether a response with this transaction id is for this agent.
    pub fn owns(&self, _transaction: &TransactionId) -> bool {
        false
    }

    /// Over what to send now. The relay until something better is found.
    pub fn selected(&self) -> Route {
        Route::Relay
    }

    /// What came of the attempt so far.
    pub fn outcome(&self) -> Outcome {
        Outcome::default()
    }
}
