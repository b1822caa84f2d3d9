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
mod tests {
    use super::*;
    use gimlet_proto::traversal::SocketId;

    #[test]
    fn a_server_that_answers_for_seconds_is_moved_to_and_the_tunnel_is_left_later() {
        let mut t = Bench::new();
        t.wait(INTERVAL);
        assert_eq!(t.asked(), [place(1), place(2)]);
        t.answer(place(2));
        for _ in 1..ANSWERS {
            assert_eq!(t.action(), None);
            t.wait(GAP);
            assert_eq!(t.asked(), [place(2)]);
            t.answer(place(2));
        }
        assert_eq!(t.action(), Some(Action::Move(place(2))));
        t.wait(Duration::from_millis(200));
        assert_eq!(t.action(), None);
        t.heard_at = Some(t.now);
        t.wait(Duration::from_millis(200));
        let (place, observed) = (place(2), seen());
        assert_eq!(t.action(), Some(Action::Moved { place, observed }));
        t.wait(GRACE);
        assert_eq!(t.action(), Some(Action::Close));
        assert_eq!(t.climb.poll_timeout(t.now), None);
    }

    #[test]
    fn one_answer_that_stays_away_begins_it_anew() {
        let mut t = Bench::new();
        t.wait(INTERVAL);
        t.asked();
        t.answer(place(1));
        t.wait(GAP);
        t.asked();
        t.wait(PATIENCE + INTERVAL);
        assert_eq!(t.asked(), [place(1), place(2)]);
    }

    #[test]
    fn what_is_not_heard_over_udp_goes_back_and_rests() {
        let mut t = Bench::new();
        // Heard before the move, which says nothing.
        t.heard_at = Some(t.now);
        t.wait(INTERVAL);
        for _ in 0..ANSWERS {
            t.asked();
            t.answer(place(1));
            t.wait(GAP);
        }
        assert_eq!(t.action(), Some(Action::Move(place(1))));
        t.wait(TRIAL);
        assert_eq!(t.action(), Some(Action::Return));
        // The trial began with the last answer, a gap ago.
        t.wait(REST - GAP - Duration::from_secs(1));
        assert_eq!(t.action(), None);
        t.wait(Duration::from_secs(1));
        assert_eq!(t.asked(), [place(1), place(2)]);
    }

    #[test]
    fn answers_of_others_and_to_other_questions_are_ignored() {
        let mut t = Bench::new();
        t.wait(INTERVAL);
        t.asked();
        t.answer(place(3));
        let transaction = TransactionId([0xff; 12]);
        t.climb.handle_answer(place(1), transaction, seen(), t.now);
        t.wait(PATIENCE);
        assert_eq!(t.action(), None);
        t.wait(INTERVAL);
        assert_eq!(t.asked(), [place(1), place(2)]);
    }

    #[test]
    fn after_a_move_of_the_host_it_asks_at_once() {
        let mut t = Bench::new();
        t.climb.restart(t.now);
        t.wait(Duration::ZERO);
        assert_eq!(t.asked(), [place(1), place(2)]);
    }

    #[test]
    fn without_places_there_is_nothing_to_do() {
        let climb = Climb::new(Vec::new(), Instant::now());
        assert_eq!(climb.poll_timeout(Instant::now()), None);
    }

    struct Bench {
        climb: Climb,
        now: Instant,
        heard_at: Option<Instant>,
        last: TransactionId,
        drawn: u8,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                climb: Climb::new(vec![place(1), place(2)], now),
                now,
                heard_at: None,
                last: TransactionId([0; 12]),
                drawn: 0,
            }
        }

        /// Lets time pass, from deadline to deadline.
        fn wait(&mut self, span: Duration) {
            let until = self.now + span;
            while let Some(at) = self.climb.poll_timeout(self.now).filter(|at| *at <= until) {
                self.now = at.max(self.now);
                let before = self.climb.state;
                self.timeout();
                if self.climb.state == before && at >= until {
                    break;
                }
            }
            self.now = until;
        }

        fn timeout(&mut self) {
            let drawn = &mut self.drawn;
            let mut random = || {
                *drawn += 1;
                [*drawn; 12]
            };
            self.climb
                .handle_timeout(self.heard_at, &mut random, self.now);
        }

        fn asked(&mut self) -> Vec<ServerPlace> {
            let mut asked = Vec::new();
            while let Some(action) = self.action() {
                let Action::Ask { place, transaction } = action else {
                    panic!("{action:?}");
                };
                self.last = transaction;
                asked.push(place);
            }
            asked
        }

        fn answer(&mut self, from: ServerPlace) {
            self.climb.handle_answer(from, self.last, seen(), self.now);
        }

        fn action(&mut self) -> Option<Action> {
            self.climb.poll_action()
        }
    }

    fn place(n: u16) -> ServerPlace {
        ServerPlace {
            socket: SocketId(n),
            addr: SocketAddr::from(([192, 0, 2, n as u8], 443)),
        }
    }

    fn seen() -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 7], 7000))
    }
}
