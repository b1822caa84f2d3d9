//! How long a silent mapping lives.
//!
//! Several fresh sockets ask a server once, and then keep silent. After its time each is called: another
//! socket asks the server to answer to its outside port (RESPONSE-PORT), and if nothing comes, the
//! mapping has ended. All times run beside each other, since being called renews a mapping.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Event, Slot, Transmit};
use crate::stun::{self, Change, TransactionId};
use crate::traversal::entropy::Entropy;

/// After how long each socket is called. The last is the longest worth knowing: a keep-alive every 15 s
/// to 90 s follows from these, and all is over within three minutes.
const TIMES: [Duration; 9] = [
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_secs(45),
    Duration::from_secs(60),
    Duration::from_secs(90),
    Duration::from_secs(120),
    Duration::from_secs(150),
    Duration::from_secs(170),
];

/// The socket that asks for calls. The silent ones follow it.
const CALLER: u8 = 0;

/// Times a question or a call is sent, and how far apart. Two of a hundred packets lost would else end
/// a mapping wrongly in every tenth run.
const ATTEMPTS: u8 = 4;
const GAP: Duration = Duration::from_millis(400);

/// How one silent socket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    /// It asks where it is seen.
    Asking {
        attempt: u8,
        next_at: Instant,
    },
    /// It is seen there, and keeps silent.
    Silent {
        outside: u16,
        call_at: Instant,
    },
    /// It is called.
    Called {
        outside: u16,
        attempt: u8,
        next_at: Instant,
    },
    Alive,
    Dead,
    /// It can't be told.
    Void,
}

/// Measures the lifetime of mappings. Driven as a [`Prober`](super::Prober) is, with [`Event::Open`],
/// [`Event::Close`] and [`Event::Finished`] alone.
#[derive(Debug)]
pub struct Lifetime {
    server: SocketAddr,
    silent: [State; TIMES.len()],
    caller: bool,
    /// A call to the first socket at once: whether the server does this at all.
    control: Option<State>,
    ids: Vec<(TransactionId, u8)>,
    entropy: Entropy,
    finished: bool,
    transmits: Vec<Transmit>,
    events: Vec<Event>,
}

impl Lifetime {
    /// Starts measuring with this server at `now`. `seed` decides every transaction id.
    pub fn new(server: SocketAddr, seed: [u8; 32]) -> Self {
        let open = |slot| Event::Open {
            slot,
            v6: server.is_ipv6(),
        };
        Self {
            server,
            silent: [State::Opening; TIMES.len()],
            caller: false,
            control: None,
            ids: Vec::new(),
            entropy: Entropy::new(&seed),
            finished: false,
            transmits: Vec::new(),
            events: (0..=TIMES.len() as u8).rev().map(open).collect(),
        }
    }

    /// The longest time after which a mapping was alive, once all shorter ones are known to be.
    pub fn lifetime(&self) -> Option<Duration> {
        if self.silent[0] == State::Dead {
            return Some(Duration::ZERO);
        }
        let alive = self
            .silent
            .iter()
            .take_while(|state| **state == State::Alive);
        alive.count().checked_sub(1).map(|last| TIMES[last])
    }

    /// A socket asked for is open.
    pub fn handle_opened(&mut self, slot: u8, now: Instant) {
        match slot {
            CALLER => self.caller = true,
            slot => {
                if let Some(state @ State::Opening) = self.silent.get_mut(usize::from(slot) - 1) {
                    *state = State::Asking {
                        attempt: 0,
                        next_at: now,
                    };
                }
            }
        }
        self.handle_timeout(now);
    }

    /// A socket asked for can't be had.
    pub fn handle_open_failed(&mut self, slot: u8, now: Instant) {
        match slot {
            CALLER => self.finish(),
            slot => {
                if let Some(state @ State::Opening) = self.silent.get_mut(usize::from(slot) - 1) {
                    *state = State::Void;
                }
                self.handle_timeout(now);
            }
        }
    }

    /// Feeds a datagram; false when it is nothing to us.
    pub fn handle_datagram(
        &mut self,
        slot: u8,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> bool {
        let Some(response) = stun::decode_binding_response(datagram) else {
            return false;
        };
        let known = self.ids.contains(&(response.transaction, slot));
        if remote != self.server || !known || slot == CALLER || self.finished {
            return false;
        }
        let nth = usize::from(slot) - 1;
        match self.silent[nth] {
            State::Asking { .. } => {
                let outside = response.mapped.port();
                self.silent[nth] = State::Silent {
                    outside,
                    call_at: now + TIMES[nth],
                };
                self.control.get_or_insert(State::Called {
                    outside,
                    attempt: 0,
                    next_at: now,
                });
            }
            State::Called { .. } => self.silent[nth] = State::Alive,
            State::Silent { outside, .. } => {
                // The control call: its mapping is renewed, so its time begins anew.
                self.control = Some(State::Alive);
                self.silent[nth] = State::Silent {
                    outside,
                    call_at: now + TIMES[nth],
                };
            }
            State::Opening | State::Alive | State::Dead | State::Void => (),
        }
        self.handle_timeout(now);
        true
    }

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        for nth in 0..self.silent.len() {
            self.silent[nth] = self.advance(self.silent[nth], nth as u8 + 1, now);
        }
        if let Some(control) = self.control {
            let first = self
                .silent
                .iter()
                .position(|s| matches!(s, State::Silent { .. }));
            let slot = first.map_or(1, |first| first as u8 + 1);
            self.control = Some(self.advance(control, slot, now));
        }
        let open = |s: &State| !matches!(s, State::Alive | State::Dead | State::Void);
        // What outlives a dead one has not been kept longer.
        let dead = self
            .silent
            .iter()
            .take_while(|s| !open(s))
            .any(|s| *s == State::Dead);
        if dead || self.control == Some(State::Dead) || !self.silent.iter().any(open) {
            self.finish();
        }
    }

    fn advance(&mut self, state: State, slot: u8, now: Instant) -> State {
        match state {
            State::Asking { attempt, next_at } if next_at <= now => {
                if attempt == ATTEMPTS {
                    return State::Void;
                }
                let id = self.draw(slot);
                self.send(slot, stun::encode_binding_request(id));
                State::Asking {
                    attempt: attempt + 1,
                    next_at: now + GAP,
                }
            }
            State::Silent { outside, call_at } if call_at <= now && self.caller => self.advance(
                State::Called {
                    outside,
                    attempt: 0,
                    next_at: now,
                },
                slot,
                now,
            ),
            State::Called {
                outside,
                attempt,
                next_at,
            } if next_at <= now && self.caller => {
                if attempt == ATTEMPTS {
                    return State::Dead;
                }
                let id = self.draw(slot);
                self.send(
                    CALLER,
                    stun::encode_probe(id, Change::default(), Some(outside)),
                );
                State::Called {
                    outside,
                    attempt: attempt + 1,
                    next_at: now + GAP,
                }
            }
            State::Opening
            | State::Asking { .. }
            | State::Silent { .. }
            | State::Called { .. }
            | State::Alive
            | State::Dead
            | State::Void => state,
        }
    }

    fn draw(&mut self, slot: u8) -> TransactionId {
        let id = self.entropy.transaction();
        self.ids.push((id, slot));
        id
    }

    fn send(&mut self, slot: u8, payload: Vec<u8>) {
        self.transmits.insert(
            0,
            Transmit {
                slot: Slot::Fresh(slot),
                remote: self.server,
                payload,
            },
        );
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            let close = (0..=TIMES.len() as u8).map(|slot| Event::Close { slot });
            self.events = [Event::Finished].into_iter().chain(close).collect();
        }
    }

    /// The next datagram to send, if any.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop()
    }

    /// The next event, if any.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called; `None` when finished.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = |state: &State| match *state {
            State::Asking { next_at, .. } => Some(next_at),
            State::Silent { call_at, .. } => self.caller.then_some(call_at),
            State::Called { next_at, .. } => self.caller.then_some(next_at),
            State::Opening | State::Alive | State::Dead | State::Void => None,
        };
        let all = self
            .silent
            .iter()
            .chain(&self.control)
            .filter_map(due)
            .min();
        all.filter(|_| !self.finished)
    }
}
