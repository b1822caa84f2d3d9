//! This side's leg of a relay session: binds our address at the server and keeps it bound.
//!
//! ```text
//!  Down ──bind──▶ Binding ──bound──▶ Up ──refresh, unanswered three times──▶ Down
//!    ▲                                │
//!    ╰──────────── unknown ───────────╯
//! ```
//!
//! A server may be bound at before it has heard of the session: what says so takes another way, on which
//! it can be lost and repeated. So one that never took a bind is believed late that it knows nothing.
//!
//! A machine without I/O, driven like the others.

use std::time::{Duration, Instant};

use gimlet_proto::frame::{self, BIND_LEN};
use gimlet_proto::secret::{RelaySecret, SessionId};

/// Gap before the first repeat of a bind; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Longest gap between repeats, so that a relay that returns is used within seconds.
const MAX_RETRY: Duration = Duration::from_secs(2);

/// The same while somebody waits: some twenty binds in the seconds that a move may take.
const HURRIED_RETRY: Duration = Duration::from_millis(250);

/// Gap before the first repeat of a refresh; doubled each time. A relay that does not answer four of
/// them is down, within two seconds.
const REFRESH_RETRY: Duration = Duration::from_millis(250);

/// Binds in a row without an answer after which the relay counts as down.
const MISSES: u32 = 3;

/// The same before the first answer: nine seconds, about as long as a server waits for an introduction
/// to be accepted.
const UNHEARD: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not bound; a bind may be on its way.
    Binding { attempt: u32, repeat_at: Instant },
    /// Bound. `missed` binds since the last answer.
    Up { missed: u32, repeat_at: Instant },
    /// The server does not know the session; only a new introduction helps.
    Gone,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Leg {
    session: SessionId,
    secret: RelaySecret,
    counter: u64,
    /// The first bind since our address may have changed: an answer to this or a later one proves that
    /// the server knows the one we have now. On a far server some more are sent before it comes.
    asked_from: u64,
    /// Whether the server has heard of the session.
    is_known: bool,
    /// Gap between binds while all is well: keeps the server's session and the NAT's mapping alive.
    refresh: Duration,
    /// Longest gap between repeats.
    longest_retry: Duration,
    state: State,
}

impl Leg {
    /// A leg of a session that is being introduced. The first bind is due at once.
    pub(super) fn new(
        session: SessionId,
        secret: RelaySecret,
        refresh: Duration,
        now: Instant,
    ) -> Self {
        Self {
            session,
            secret,
            counter: 0,
            asked_from: 1,
            is_known: false,
            refresh,
            longest_retry: MAX_RETRY,
            state: State::Binding {
                attempt: 0,
                repeat_at: now,
            },
        }
    }

    /// Sets whether somebody waits for the server to take a bind, which it does once it has heard of
    /// the session.
    pub(super) fn set_hurried(&mut self, hurried: bool) {
        self.longest_retry = match hurried {
            true => HURRIED_RETRY,
            false => MAX_RETRY,
        };
    }

    pub(super) fn session(&self) -> SessionId {
        self.session
    }

    pub(super) fn secret(&self) -> &RelaySecret {
        &self.secret
    }

    /// Whether the server has our address.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether several binds in a row were not answered.
    pub(super) fn is_silent(&self) -> bool {
        match self.state {
            State::Binding { attempt, .. } => attempt > MISSES,
            State::Up { missed, .. } => missed >= MISSES,
            State::Gone => false,
        }
    }

    /// Whether the server has forgotten the session.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// The server took the bind with this counter.
    pub(super) fn handle_bound(&mut self, session: SessionId, counter: u64, now: Instant) {
        if session == self.session && (self.asked_from..=self.counter).contains(&counter) {
            self.asked_from = self.counter + 1;
            self.is_known = true;
            self.state = State::Up {
                missed: 0,
                repeat_at: now + self.refresh,
            };
        }
    }

    /// The server says that it does not know the session, or not from our address. Nobody signs
    /// that, so it is only believed after a bind of ours goes unanswered.
    pub(super) fn handle_unknown(&mut self, session: SessionId, now: Instant) {
        if session != self.session {
            return;
        }
        let believed_after = if self.is_known { MISSES } else { UNHEARD };
        match self.state {
            State::Up { .. } => {
                self.state = State::Binding {
                    attempt: 1,
                    repeat_at: now,
                }
            }
            State::Binding { attempt, .. } if attempt > believed_after => self.state = State::Gone,
            State::Binding { .. } | State::Gone => (),
        }
    }

    /// The server has ended the session: no late answer changes that.
    pub(super) fn handle_gone(&mut self) {
        self.asked_from = self.counter + 1;
        self.state = State::Gone;
    }

    /// Binds anew: our address may have changed.
    pub(super) fn rebind(&mut self, now: Instant) {
        if self.state != State::Gone {
            self.asked_from = self.counter + 1;
            // It had its time.
            self.is_known = true;
            self.state = State::Binding {
                attempt: 0,
                repeat_at: now,
            };
        }
    }

    /// Sets the gap between binds, from the next one on.
    pub(super) fn set_refresh(&mut self, refresh: Duration) {
        self.refresh = refresh;
    }

    /// Binds now instead of later, without giving up what stands: our address may have changed.
    pub(super) fn verify(&mut self, now: Instant) {
        match &mut self.state {
            State::Up {
                missed: 0,
                repeat_at,
            }
            | State::Binding { repeat_at, .. } => {
                self.asked_from = self.counter + 1;
                *repeat_at = now;
            }
            State::Up { .. } | State::Gone => (),
        }
    }

    /// Advances time; the bind frame to send, if one is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<[u8; BIND_LEN]> {
        match self.state {
            State::Binding { attempt, repeat_at } if repeat_at <= now => {
                let gap = (FIRST_RETRY * (1 << attempt.min(5))).min(self.longest_retry);
                self.state = State::Binding {
                    attempt: attempt + 1,
                    repeat_at: now + gap,
                };
            }
            State::Up { missed, repeat_at } if repeat_at <= now => {
                self.state = match missed {
                    MISSES.. => State::Binding {
                        attempt: 1,
                        repeat_at: now + FIRST_RETRY,
                    },
                    _ => State::Up {
                        missed: missed + 1,
                        repeat_at: now + REFRESH_RETRY * (1 << missed),
                    },
                };
            }
            State::Binding { .. } | State::Up { .. } | State::Gone => return None,
        }
        self.counter += 1;
        Some(frame::encode_bind(self.session, self.counter, &self.secret))
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Binding { repeat_at, .. } | State::Up { repeat_at, .. } => Some(repeat_at),
            State::Gone => None,
        }
    }
}

#[cfg(test)]
mod tests;
