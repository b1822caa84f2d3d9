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
//! allocates nothing. After every call drain [`poll_transmit`](Relay::poll_transmit),
//! [`poll_update`](Relay::poll_update) and [`poll_event`](Relay::poll_event), then sleep until
//! [`poll_timeout`](Relay::poll_timeout).
//!
//! That is all there is to it where one socket receives everything. Where there are several, each has a
//! [`Lane`]: it is asked first, and only what it leaves is given to the relay. Every update is for every
//! lane.
//!
//! # Limits
//!
//! What sessions, peers and the server may carry is in [`limits`]; how a busy shard is shared in
//! [`fair`]. What is dropped is counted by session and reason, and reported as [`Event::Throttled`] for
//! the sender to be told.
//!
//! **Invariant:** nothing is sent to an address that did not come from a validated control session
//! or from a bind frame whose MAC is right, except answers that are no longer than what they answer.

mod controls;
pub mod fair;
mod flow;
mod heavy;
pub mod held;
mod interface;
mod lane;
pub mod limits;
mod meter;
pub mod runs;
mod seeded;
mod session;
pub mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::{self, Frame, FrameKind};
use crate::id::PeerId;
use crate::limit::Limiter;
use crate::secret::SessionId;
use controls::Controls;
use flow::{Clock, Flow};
use held::Held;
pub use interface::{
    Action, Answer, Command, Config, Control, Dropped, EndReason, Event, LimitChange, Transmit,
};
use lane::Change;
pub use lane::{HeavySender, Lane, Update};
use meter::Meter;
use runs::Run;
pub use session::Traffic;
use session::{BindError, Session};

/// How often the table is looked through for idle sessions and for what was dropped: often enough for a
/// person who wonders why it is slow, and rarely enough for 65,536 sessions.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3);

/// Peers whose use is remembered, in sessions or not: twice as many as can be in sessions. 20 MB. With
/// more, those without a session are forgotten.
const MAX_METERS: usize = 262_144;

/// The relay of one server. See the [module docs](self) for the driving contract.
#[derive(Debug)]
pub struct Relay {
    config: Config,
    seed: u64,
    clock: Clock,
    sessions: BTreeMap<SessionId, Session>,
    controls: Controls,
    held: Held,
    unknown: Limiter,
    meters: BTreeMap<PeerId, Arc<Meter>>,
    server: Arc<Meter>,
    sweep_at: Instant,
    transmits: VecDeque<Transmit>,
    updates: VecDeque<Update>,
    events: VecDeque<Event>,
}

impl Relay {
    /// An empty relay. `seed` hides the layout of the rate limiter from strangers.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            // 4,096 prefixes that are over their rate at the same time are an attack; 200 KB.
            unknown: Limiter::new(config.unknown_rate, 4096, seed),
            config,
            seed,
            clock: Clock::new(now),
            sessions: BTreeMap::new(),
            controls: Controls::default(),
            held: Held::default(),
            meters: BTreeMap::new(),
            server: Arc::default(),
            sweep_at: now + SWEEP_INTERVAL,
            transmits: VecDeque::new(),
            updates: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A lane that knows of the sessions as they are before the updates still to be polled.
    pub fn lane(&self, now: Instant) -> Lane {
        let mut lane = Lane::new(self.config.limits, self.seed, self.clock, now);
        for (&id, session) in &self.sessions {
            if let Some(route) = route(id, session) {
                lane.apply(route);
            }
        }
        lane
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
                let peers = [dialer.peer, acceptor.peer].map(|peer| self.meter(peer));
                let server = self.server.clone();
                let flow = Flow::new(peers, server, self.clock.nanos(now));
                let opened = Session::new(dialer, secret, acceptor, Arc::new(flow));
                if self.sessions.insert(session, opened).is_some() {
                    self.updates.push_back(Update(Change::Gone(session)));
                }
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
                    self.gone(session, EndReason::Closed, &closed);
                }
            }
            Command::Limit(change) => {
                self.config.limits = change.limits;
                self.config.max_sessions = change.max_sessions;
                self.updates
                    .push_back(Update(Change::Limits(change.limits)));
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

    /// Returns what every lane is to be told next, if anything.
    pub fn poll_update(&mut self) -> Option<Update> {
        self.updates.pop_front()
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
        let binds = match frame.kind {
            FrameKind::Data => false,
            FrameKind::Bind => true,
            // First of all: answered, two servers could be set to answer each other for ever.
            FrameKind::Bound | FrameKind::Unknown => {
                return Verdict::Do(Action::Dropped(Dropped::NotForServers));
            }
        };
        let Some(session) = self.sessions.get_mut(&id) else {
            return match self.controls.at(source) {
                Some(_) => Verdict::Early { session: id },
                None => Verdict::Stray { session: id },
            };
        };
        if !binds {
            return match self.carry(source, id, run, now) {
                Some(action) => Verdict::Do(action),
                None => self.early_or_stray(source, id),
            };
        }
        let heard_at = self.clock.nanos(now);
        match session.bind(id, source, frame.payload, heard_at) {
            Ok(counter) => {
                self.updates.extend(route(id, session));
                let answer = Answer::Bound(frame::encode_bound(id, counter));
                // The sender's data may have overtaken its bind frame.
                self.release(id, now);
                Verdict::Do(Action::Answer(answer))
            }
            Err(BindError::Stale) => Verdict::Do(Action::Dropped(Dropped::StaleBind)),
            Err(BindError::Mac) => self.early_or_stray(source, id),
        }
    }

    /// What becomes of data from a side that is bound; `None` if `source` is not.
    fn carry(
        &mut self,
        source: SocketAddr,
        id: SessionId,
        run: &Run,
        now: Instant,
    ) -> Option<Action> {
        let session = self.sessions.get_mut(&id)?;
        let other = session.other_side(source)?;
        let (from, packets, bytes) = (other.from, run.segments() as u64, run.bytes.len() as u64);
        let at = self.clock.nanos(now);
        session.flow.heard(from, at);
        let to = match other.bound {
            Some(to) => to,
            None => match self.controls.reach(other.control) {
                Some(to) if session.may_reach_unbound(run.bytes.len(), now) => to,
                Some(_) => return Some(Action::Dropped(Dropped::Unbound)),
                None => return Some(Action::Dropped(Dropped::NoRoute)),
            },
        };
        let limits = &self.config.limits;
        Some(match session.flow.draw(from, bytes, limits, at) {
            Ok(()) => {
                session.flow.carried(from, packets, bytes);
                Action::Forward { to }
            }
            Err(reason) => {
                session.flow.dropped(from, reason, bytes);
                Action::Dropped(Dropped::Throttled(reason))
            }
        })
    }

    /// A side that has bound nothing yet is known by the address of its control session.
    fn early_or_stray(&self, source: SocketAddr, id: SessionId) -> Verdict {
        let control = self.controls.at(source);
        let session = self.sessions.get(&id);
        let early = control
            .zip(session)
            .is_some_and(|(control, session)| session.expects(control.peer));
        match early {
            true => Verdict::Early { session: id },
            false => Verdict::Stray { session: id },
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
        let at = self.clock.nanos(now);
        let mut over = Vec::new();
        for (&id, session) in &mut self.sessions {
            for throttling in session.throttled().into_iter().flatten() {
                self.events.push_back(Event::Throttled {
                    session: id,
                    peer: throttling.peer,
                    reason: throttling.reason,
                    dropped_bytes: throttling.dropped_bytes,
                });
            }
            if session.flow.idle(at) >= self.config.idle_timeout {
                over.push(id);
            }
        }
        for id in over {
            if let Some(session) = self.sessions.remove(&id) {
                self.gone(id, EndReason::Idle, &session);
            }
        }
        let period = self.config.limits.period;
        let unused = |meter: &Arc<Meter>| Arc::strong_count(meter) == 1;
        self.meters
            .retain(|_, meter| !(unused(meter) && meter.is_fresh(period, at)));
    }

    /// What this peer has drawn, in whichever session.
    fn meter(&mut self, peer: PeerId) -> Arc<Meter> {
        if self.meters.len() >= MAX_METERS {
            self.meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        self.meters.entry(peer).or_default().clone()
    }

    fn gone(&mut self, id: SessionId, reason: EndReason, session: &Session) {
        self.updates.push_back(Update(Change::Gone(id)));
        self.ended(id, reason, session.flow.traffic());
    }

    fn ended(&mut self, session: SessionId, reason: EndReason, relayed: [Traffic; 2]) {
        self.events.push_back(Event::Ended {
            session,
            reason,
            relayed,
        });
    }
}

/// What lanes are to know of this session, once both sides are bound.
fn route(session: SessionId, entry: &Session) -> Option<Update> {
    Some(Update(Change::Route {
        session,
        addresses: entry.addresses()?,
        flow: entry.flow.clone(),
    }))
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
