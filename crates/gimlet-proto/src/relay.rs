//! The relay, server side: which datagram goes where.
//!
//! # Life of a session
//!
//! [`Command::Open`] comes when an introduction has been sent to the accepting side, and
//! [`Command::Accept`] when that side accepted. Each side binds its address with a frame
//! authenticated by its own secret; data is taken only from a bound address and sent to the other
//! side's bound address, or, until that side has bound one, to the address of its control session
//! (of another of the same peer, if that one is gone), which QUIC has validated. A session ends by [`Command::Close`] or after [`Config::idle_timeout`]
//! without a frame.
//!
//! Frames travel on another stream than the messages that announce them, so they may be early. A
//! few of them are held for a moment (see [`held`]), and only for senders that are signed in.
//!
//! # Driving it
//!
//! Split what a socket received with [`runs::runs`], give every frame run to
//! [`handle`](Relay::handle) and do what it says with the receive buffer: forwarding copies and
//! allocates nothing. After every call drain [`poll_transmit`](Relay::poll_transmit) and
//! [`poll_event`](Relay::poll_event), then sleep until [`poll_timeout`](Relay::poll_timeout).
//!
//! **Invariant:** nothing is sent to an address that did not come from a validated control session
//! or from a bind frame whose MAC is right, except answers that are no longer than what they answer.

mod controls;
pub mod held;
mod interface;
pub mod runs;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::frame::{self, Frame, FrameKind};
use crate::limit::Limiter;
use crate::secret::SessionId;
use controls::Controls;
use held::Held;
pub use interface::{
    Action, Answer, Command, Config, Control, Dropped, EndReason, Event, Transmit,
};
use runs::Run;
pub use session::Traffic;
use session::{BindError, Session};

/// How often the table is looked through for idle sessions: a tenth of the default timeout.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The relay of one server. See the [module docs](self) for the driving contract.
#[derive(Debug)]
pub struct Relay {
    config: Config,
    sessions: BTreeMap<SessionId, Session>,
    controls: Controls,
    held: Held,
    unknown: Limiter,
    sweep_at: Instant,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Relay {
    /// An empty relay. `seed` hides the layout of the rate limiter from strangers.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            // 4,096 prefixes that are over their rate at the same time are an attack; 200 KB.
            unknown: Limiter::new(config.unknown_rate, 4096, seed),
            config,
            sessions: BTreeMap::new(),
            controls: Controls::default(),
            held: Held::default(),
            sweep_at: now + SWEEP_INTERVAL,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Judges a run of frames from `source`.
    pub fn handle(&mut self, source: SocketAddr, frame: &Frame, run: &Run, now: Instant) -> Action {
        match self.judge(source, frame, run, now) {
            Verdict::Do(action) => action,
            Verdict::Early { session } if self.held.take(source, session, run, now) => Action::Held,
            Verdict::Early { session } | Verdict::Stray { session } => {
                match self.unknown.allow(source.ip(), now) {
                    true => Action::Answer(Answer::unknown(session)),
                    false => Action::Dropped(Dropped::Unknown),
                }
            }
        }
    }

    /// Takes note of what the control side did, and lets go what was held for it.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::ControlAt { control, address } => self.controls.place(control, address),
            Command::ControlGone { control } => self.controls.remove(control),
            Command::Open {
                session,
                dialer,
                secret,
                acceptor,
            } => {
                if self.sessions.len() >= self.config.max_sessions {
                    return self.ended(session, EndReason::Full, Default::default());
                }
                let opened = Session::new(dialer, secret, acceptor, now);
                self.sessions.insert(session, opened);
                self.release(session, now);
            }
            Command::Accept { session, secret } => {
                if let Some(entry) = self.sessions.get_mut(&session) {
                    entry.accept(secret);
                    self.release(session, now);
                }
            }
            Command::Close { session } => {
                if let Some(closed) = self.sessions.remove(&session) {
                    self.ended(session, EndReason::Closed, closed.traffic());
                }
            }
        }
    }

    /// Advances time. Calling it early is a no-op.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((session, sources)) = self.held.expire(now) {
            // Nobody announced this session: tell its senders, who may not know of a restart.
            for source in sources {
                if self.unknown.allow(source.ip(), now) {
                    let datagram = Answer::unknown(session).as_bytes().to_vec();
                    let to = source;
                    self.transmits.push_back(Transmit { to, datagram });
                }
            }
        }
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
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
        let sweep_at = (!self.sessions.is_empty()).then_some(self.sweep_at);
        sweep_at.into_iter().chain(self.held.next_expiry()).min()
    }

    /// Sessions now open.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is open.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn judge(&mut self, source: SocketAddr, frame: &Frame, run: &Run, now: Instant) -> Verdict {
        let id = frame.session;
        let control = self.controls.at(source);
        let Some(session) = self.sessions.get_mut(&id) else {
            return match control {
                Some(_) => Verdict::Early { session: id },
                None => Verdict::Stray { session: id },
            };
        };
        // A side that has bound nothing yet is known by the address of its control session.
        let early = control.is_some_and(|control| session.expects(control.peer));
        match frame.kind {
            FrameKind::Data => match session.carry(source, run, now) {
                Some(to) => match to.bound.or_else(|| self.controls.reach(to.control)) {
                    Some(to) => Verdict::Do(Action::Forward { to }),
                    None => Verdict::Do(Action::Dropped(Dropped::NoRoute)),
                },
                None if early => Verdict::Early { session: id },
                None => Verdict::Stray { session: id },
            },
            FrameKind::Bind => match session.bind(id, source, frame.payload, now) {
                Ok(counter) => {
                    let answer = Answer::Bound(frame::encode_bound(id, counter));
                    // The sender's data may have overtaken its bind frame.
                    self.release(id, now);
                    Verdict::Do(Action::Answer(answer))
                }
                Err(BindError::Stale) => Verdict::Do(Action::Dropped(Dropped::StaleBind)),
                Err(BindError::Mac) if early => Verdict::Early { session: id },
                Err(BindError::Mac) => Verdict::Stray { session: id },
            },
            FrameKind::Bound | FrameKind::Unknown => {
                Verdict::Do(Action::Dropped(Dropped::NotForServers))
            }
        }
    }

    /// Judges again what was held for this session. What is still early stays held, with its old
    /// deadline; the rest goes where it should or nowhere.
    fn release(&mut self, session: SessionId, now: Instant) {
        let Some(mut waiting) = self.held.remove(session) else {
            return;
        };
        // Bind frames first: data is only taken from a bound address.
        waiting.sort_binds_first();
        let mut early = Vec::new();
        for (source, datagram) in waiting.datagrams.drain(..) {
            let run = Run::single(&datagram);
            let Some(frame) = Frame::decode(&datagram) else {
                continue;
            };
            match self.judge(source, &frame, &run, now) {
                Verdict::Do(Action::Forward { to }) => {
                    self.transmits.push_back(Transmit { to, datagram });
                }
                Verdict::Do(Action::Answer(answer)) => self.transmits.push_back(Transmit {
                    to: source,
                    datagram: answer.as_bytes().to_vec(),
                }),
                Verdict::Early { .. } => early.push((source, datagram)),
                Verdict::Do(Action::Held | Action::Dropped(_)) | Verdict::Stray { .. } => (),
            }
        }
        waiting.datagrams = early;
        self.held.put_back(session, waiting);
    }

    fn sweep(&mut self, now: Instant) {
        let idle = |session: &Session| session.idle(now) >= self.config.idle_timeout;
        let over = self.sessions.iter().filter(|(_, session)| idle(session));
        let over: Vec<SessionId> = over.map(|(&id, _)| id).collect();
        for id in over {
            if let Some(session) = self.sessions.remove(&id) {
                self.ended(id, EndReason::Idle, session.traffic());
            }
        }
    }

    fn ended(&mut self, session: SessionId, reason: EndReason, relayed: [Traffic; 2]) {
        self.events.push_back(Event::Ended {
            session,
            reason,
            relayed,
        });
    }
}

enum Verdict {
    Do(Action),
    /// From a signed-in peer whose messages may still be under way.
    Early {
        session: SessionId,
    },
    /// From a stranger to the session.
    Stray {
        session: SessionId,
    },
}

#[cfg(test)]
mod tests;
