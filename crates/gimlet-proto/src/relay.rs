//! The relay, server side: which datagram goes where.
//!
//! # Life of a session
//!
//! [`Command::Open`] comes when an introduction has been sent to the accepting side, and
//! [`Command::Accept`] when that side accepted. Each side binds its address with a frame
//! authenticated by its own secret; data is taken only from a bound address and sent to the other
//! side's bound address, or, until that side has bound one, to the address of its control session,
//! which QUIC has validated. A session ends by [`Command::Close`] or after [`Config::idle_timeout`]
//! without a frame.
//!
//! Frames travel on another stream than the messages that announce them, so they may be early. A
//! few of them are held for a moment ([`held`]), and only for senders that are signed in.
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

pub mod held;
pub mod runs;
pub mod session;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::frame::{self, Frame, FrameKind};
use crate::id::PeerId;
use crate::limit::{Limiter, Rate};
use crate::secret::{RelaySecret, SessionId};
use held::Held;
use runs::Run;
use session::{BindError, Session, Traffic};

/// Tuning for [`Relay`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Sessions at once. Default 65,536: some 30 MB. Further ones are refused.
    pub max_sessions: usize,
    /// A session without a frame either way for this long ends. Default 60 s: both sides keep it
    /// alive every 15 s, so three may be lost, and it survives a control session's reconnect.
    pub idle_timeout: Duration,
    /// `Unknown` answers a prefix may draw. Default 20 a second, 40 at once: enough for a peer
    /// with many sessions to learn that the server was restarted, and too few to flood anybody.
    pub unknown_rate: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 65_536,
            idle_timeout: Duration::from_secs(60),
            unknown_rate: Rate::per_second(20, 40),
        }
    }
}

/// What the control side tells the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A peer signed in, or its control session moved to this address.
    PeerAt {
        /// Who.
        peer: PeerId,
        /// The control session's remote address, as the socket shows it.
        control: SocketAddr,
    },
    /// A peer is no longer signed in. Its sessions live on while they are used.
    PeerGone {
        /// Who.
        peer: PeerId,
    },
    /// The accepting side has been told of this session.
    Open {
        /// The session.
        session: SessionId,
        /// Side A.
        dialer: PeerId,
        /// Authenticates the dialer's bind frames.
        secret: RelaySecret,
        /// Side B.
        acceptor: PeerId,
    },
    /// The accepting side accepted.
    Accept {
        /// The session.
        session: SessionId,
        /// Authenticates the accepting side's bind frames.
        secret: RelaySecret,
    },
    /// The session is over.
    Close {
        /// The session.
        session: SessionId,
    },
}

/// What to do with a run of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the run on as it is.
    Forward {
        /// Where to.
        to: SocketAddr,
    },
    /// Send this back to where the run came from.
    Answer(Answer),
    /// Copied, to be judged again when the control side catches up.
    Held,
    /// Nothing.
    Dropped(Dropped),
}

/// A short frame for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The bind frame was taken.
    Bound([u8; frame::HEADER_LEN + 8]),
    /// There is no such session, or the sender is not bound to it.
    Unknown([u8; frame::HEADER_LEN]),
}

impl Answer {
    fn unknown(session: SessionId) -> Self {
        Self::Unknown(frame::header(FrameKind::Unknown, session))
    }

    /// The datagram.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bound(bytes) => bytes,
            Self::Unknown(bytes) => bytes,
        }
    }
}

/// Why a run was ignored. Counted by the driver, never fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// A kind of frame that only a server sends.
    NotForServers,
    /// No such session, or the sender is not bound to it, and the sender has been told often enough.
    Unknown,
    /// A bind frame older than the last one of that side.
    StaleBind,
    /// The other side is neither bound nor signed in.
    NoRoute,
}

/// Something the control side or the log should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A session is over here.
    Ended {
        /// Which.
        session: SessionId,
        /// Why.
        reason: EndReason,
        /// What was relayed from the dialer, and from the accepting side.
        relayed: [Traffic; 2],
    },
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The control side said so.
    Closed,
    /// No frame for [`Config::idle_timeout`].
    Idle,
    /// [`Config::max_sessions`] was reached when it should have opened.
    Full,
}

/// How often the table is looked through for idle sessions: a tenth of the default timeout.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The relay of one server. See the [module docs](self) for the driving contract.
#[derive(Debug)]
pub struct Relay {
    config: Config,
    sessions: BTreeMap<SessionId, Session>,
    /// Where signed-in peers are. One entry a control session, which the control side bounds.
    peers: BTreeMap<PeerId, SocketAddr>,
    controls: BTreeMap<SocketAddr, PeerId>,
    held: Held,
    unknown: Limiter,
    sweep_at: Instant,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// One datagram to put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to send it.
    pub to: SocketAddr,
    /// The whole frame.
    pub datagram: Vec<u8>,
}

impl Relay {
    /// An empty relay. `seed` hides the layout of the rate limiter from strangers.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            // 4,096 prefixes that are over their rate at the same time are an attack; 200 KB.
            unknown: Limiter::new(config.unknown_rate, 4096, seed),
            config,
            sessions: BTreeMap::new(),
            peers: BTreeMap::new(),
            controls: BTreeMap::new(),
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
            Command::PeerAt { peer, control } => self.place(peer, control),
            Command::PeerGone { peer } => self.remove(peer),
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
        let control_of = self.controls.get(&source);
        let Some(session) = self.sessions.get_mut(&id) else {
            return match control_of {
                Some(_) => Verdict::Early { session: id },
                None => Verdict::Stray { session: id },
            };
        };
        // A side that has bound nothing yet is known by the address of its control session.
        let early = control_of.is_some_and(|peer| session.expects(peer));
        match frame.kind {
            FrameKind::Data => match session.carry(source, run, now) {
                Some(to) => match to.bound.or_else(|| self.peers.get(&to.peer).copied()) {
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

    fn place(&mut self, peer: PeerId, control: SocketAddr) {
        self.remove(peer);
        // Two peers behind one socket share an address; the newest is the one that counts.
        if let Some(other) = self.controls.insert(control, peer) {
            self.peers.remove(&other);
        }
        self.peers.insert(peer, control);
    }

    fn remove(&mut self, peer: PeerId) {
        if let Some(control) = self.peers.remove(&peer) {
            self.controls.remove(&control);
        }
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
