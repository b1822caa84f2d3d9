//! The way back from a tunnel to UDP.
//!
//! ```text
//!           ╭──── no answer ─────╮
//!           ▼                    │
//!  Off    Idle ──interval──▶ Asking ──three answers──▶ Trying ──heard──▶ Leaving ──▶ Off
//!           ▲                                            │
//!           ╰────────────────── not heard ───────────────╯
//! ```
//!
//! On a tunnel, the server is asked over UDP (STUN) now and then. Once it answers for a few seconds, the
//! control session's packets go over UDP: the server sees its peer move, as behind any NAT, and nothing
//! is broken. What it says must come over UDP as well, or everything goes back. The tunnel is kept for a
//! moment, for what is still in it.
//!
//! A machine without I/O, driven like the others.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::stun::TransactionId;

use super::dial::ServerPlace;

/// Gap between questions while there is no answer: one small packet each.
const INTERVAL: Duration = Duration::from_secs(15);

/// Answers in a row before anything is moved, and the gap between the questions: a network that lets
/// UDP pass for a moment is not worth a move.
const ANSWERS: u32 = 3;
const GAP: Duration = Duration::from_secs(1);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the server may take to be heard over UDP after the move: the session asks it meanwhile.
const TRIAL: Duration = Duration::from_secs(2);

/// Pause after it was not: what answers STUN but carries no QUIC will not soon.
const REST: Duration = Duration::from_secs(120);

/// How long the tunnel is kept after the move: sessions with peers bind anew within it.
const GRACE: Duration = Duration::from_secs(5);

/// What the session is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Ask the server over UDP.
    Ask {
        /// From and to where.
        place: ServerPlace,
        /// The question's id.
        transaction: TransactionId,
    },
    /// Send the session's packets over UDP, and ask the server whether it hears.
    Move(ServerPlace),
    /// It does: the session is there now, seen as this.
    Moved {
        /// Where it is.
        place: ServerPlace,
        /// Where the server sees it.
        observed: SocketAddr,
    },
    /// It does not: back into the tunnel.
    Return,
    /// The tunnel is not needed any more.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Over UDP, or there is no way to ask.
    Off,
    Idle {
        ask_at: Instant,
    },
    /// Asked; `answers` came in a row before, of which the last was from `place`.
    Asking {
        transaction: TransactionId,
        answers: u32,
        place: Option<ServerPlace>,
        until: Instant,
    },
    /// Answered.
    Pausing {
        answers: u32,
        place: ServerPlace,
        ask_at: Instant,
    },
    Trying {
        place: ServerPlace,
        observed: SocketAddr,
        since: Instant,
    },
    Leaving {
        until: Instant,
    },
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Climb {
    /// Where the server may be over UDP.
    places: Vec<ServerPlace>,
    state: State,
    actions: VecDeque<Action>,
}

impl Climb {
    /// For a session over UDP: nothing to do.
    pub(super) fn off() -> Self {
        Self {
            places: Vec::new(),
            state: State::Off,
            actions: VecDeque::new(),
        }
    }

    /// For a session on a tunnel, to a server that is at these places over UDP.
    pub(super) fn new(places: Vec<ServerPlace>, now: Instant) -> Self {
        let state = match places.is_empty() {
            true => State::Off,
            false => State::Idle {
                ask_at: now + INTERVAL,
            },
        };
        Self {
            places,
            state,
            actions: VecDeque::new(),
        }
    }

    /// This host is somewhere else: asks at once.
    pub(super) fn restart(&mut self, now: Instant) {
        match self.state {
            State::Idle { .. } | State::Asking { .. } | State::Pausing { .. } => {
                self.state = State::Idle { ask_at: now };
            }
            State::Off | State::Trying { .. } | State::Leaving { .. } => (),
        }
    }

    /// An answer over UDP: from which place, to what, and where it sees us.
    pub(super) fn handle_answer(
        &mut self,
        from: ServerPlace,
        answered: TransactionId,
        observed: SocketAddr,
        now: Instant,
    ) {
        let State::Asking {
            transaction,
            answers,
            place,
            ..
        } = self.state
        else {
            return;
        };
        let asked = match place {
            Some(place) => place == from,
            None => self.places.contains(&from),
        };
        if answered != transaction || !asked {
            return;
        }
        self.state = match answers + 1 {
            ANSWERS.. => {
                self.actions.push_back(Action::Move(from));
                State::Trying {
                    place: from,
                    observed,
                    since: now,
                }
            }
            answers => State::Pausing {
                answers,
                place: from,
                ask_at: now + GAP,
            },
        };
    }

    /// Advances time. `heard_at` is when the session last heard the server where its packets go;
    /// `random` draws transaction ids.
    pub(super) fn handle_timeout(
        &mut self,
        heard_at: Option<Instant>,
        random: &mut impl FnMut() -> [u8; 12],
        now: Instant,
    ) {
        match self.state {
            State::Idle { ask_at } if ask_at <= now => self.ask(0, None, random, now),
            State::Pausing {
                answers,
                place,
                ask_at,
            } if ask_at <= now => self.ask(answers, Some(place), random, now),
            State::Asking { until, .. } if until <= now => {
                self.state = State::Idle {
                    ask_at: now + INTERVAL,
                };
            }
            State::Trying {
                place,
                observed,
                since,
            } => {
                if heard_at.is_some_and(|at| at > since) {
                    self.actions.push_back(Action::Moved { place, observed });
                    self.state = State::Leaving { until: now + GRACE };
                } else if since + TRIAL <= now {
                    self.actions.push_back(Action::Return);
                    self.state = State::Idle { ask_at: now + REST };
                }
            }
            State::Leaving { until } if until <= now => {
                self.actions.push_back(Action::Close);
                self.state = State::Off;
            }
            State::Off
            | State::Idle { .. }
            | State::Asking { .. }
            | State::Pausing { .. }
            | State::Leaving { .. } => (),
        }
    }

    /// The next thing to do, if any.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Off => None,
            State::Idle { ask_at } | State::Pausing { ask_at, .. } => Some(ask_at),
            State::Asking { until, .. } | State::Leaving { until } => Some(until),
            // Looks whether the server is heard.
            State::Trying { since, .. } => Some((now + TRIAL / 20).min(since + TRIAL)),
        }
    }

    fn ask(
        &mut self,
        answers: u32,
        place: Option<ServerPlace>,
        random: &mut impl FnMut() -> [u8; 12],
        now: Instant,
    ) {
        let transaction = TransactionId(random());
        let places = match place {
            Some(place) => vec![place],
            None => self.places.clone(),
        };
        let asks = places.into_iter();
        self.actions
            .extend(asks.map(|place| Action::Ask { place, transaction }));
        self.state = State::Asking {
            transaction,
            answers,
            place,
            until: now + PATIENCE,
        };
    }
}

#[cfg(test)]
mod tests;
