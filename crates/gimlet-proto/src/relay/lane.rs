//! What one shard needs to send data on by itself: where each session's two sides are.
//!
//! A server receives with one socket a core. The [`Relay`](super::Relay) decides everything, on one of
//! them; each of them, that one too, has a lane: a copy of the addresses that both sides of a session
//! have bound, kept true by [`Update`]s. A lane knows data between two bound sides, which is nearly
//! everything, and neither asks nor locks. For all else it says `None`: then the relay is to be asked.
//!
//! Only the relay takes bind frames, in one order, so copies can't disagree about who a side is: one
//! that is behind sends to where the side was a moment ago.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::fair::{Fair, Share};
use super::flow::{Clock, Flow};
use super::heavy::{Heavy, Use};
use super::interface::{Action, Dropped};
use super::limits::{Limits, ThrottleReason};
use super::runs::Run;
use super::seeded::Seeded;
use crate::frame::{Frame, FrameKind};
use crate::secret::SessionId;

/// The sessions as one shard sees them. See the top of its file.
#[derive(Debug)]
pub struct Lane {
    /// One entry a session with two bound sides, which the relay bounds.
    routes: HashMap<SessionId, Route, Seeded>,
    fair: Fair,
    heavy: Heavy,
    /// Found heavy and not yet told. One is enough: who goes on is found again.
    found: Option<HeavySender>,
    /// Whether what comes now waited in the queue of all.
    is_shared: bool,
    limits: Limits,
    /// Nothing is limited, as [`Limits::is_unlimited`].
    unlimited: bool,
    clock: Clock,
}

#[derive(Debug)]
struct Route {
    addresses: [SocketAddr; 2],
    flow: Arc<Flow>,
    share: Share,
    uses: [Use; 2],
}

/// One that sends much more than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeavySender {
    /// From where.
    pub source: SocketAddr,
    /// In which session.
    pub session: SessionId,
    /// What it used lately, which [`Turns`](super::turns::Turns) charge it.
    pub cost: u64,
}

/// What a relay tells its lanes.
#[derive(Debug, Clone)]
pub struct Update(pub(super) Change);

impl Route {
    fn side(&self, source: SocketAddr) -> Option<usize> {
        self.addresses.iter().position(|at| *at == source)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Both sides of this session are bound, to these addresses.
    Route {
        session: SessionId,
        addresses: [SocketAddr; 2],
        flow: Arc<Flow>,
    },
    Gone(SessionId),
    Limits(Limits),
}

impl Lane {
    pub(super) fn new(limits: Limits, seed: u64, clock: Clock, now: Instant) -> Self {
        Self {
            routes: HashMap::with_hasher(Seeded(seed)),
            fair: Fair::new(now),
            heavy: Heavy::new(now),
            found: None,
            is_shared: true,
            unlimited: limits.is_unlimited(),
            limits,
            clock,
        }
    }

    /// Takes note of what the relay decided.
    pub fn apply(&mut self, update: Update) {
        match update.0 {
            Change::Route {
                session,
                addresses,
                flow,
            } => {
                // A session that moves keeps its debts.
                let old = self.routes.get(&session);
                let share = old.map(|route| route.share).unwrap_or_default();
                let uses = [0, 1].map(|side: usize| {
                    let stayed = old.filter(|old| old.addresses[side] == addresses[side]);
                    stayed.map(|old| old.uses[side]).unwrap_or_default()
                });
                let route = Route {
                    addresses,
                    flow,
                    share,
                    uses,
                };
                self.routes.insert(session, route);
            }
            Change::Gone(session) => {
                self.routes.remove(&session);
                // Give back what a crowd took, but not at every session.
                if self.routes.capacity() > 1024 && self.routes.len() < self.routes.capacity() / 8 {
                    self.routes.shrink_to(self.routes.len() * 2);
                }
            }
            Change::Limits(limits) => {
                self.unlimited = limits.is_unlimited();
                self.limits = limits;
            }
        }
    }

    /// Notes a receive call on the queue of all: `dry` if it emptied it. An overloaded shard is one that never
    /// does, and drops what is above its session's share (see [`fair`](super::fair)).
    pub fn received(&mut self, dry: bool, now: Instant) {
        self.is_shared = true;
        self.heavy.received(dry, now);
        self.fair.received(dry, now);
    }

    /// Notes a receive call on the queue that one sender has for itself. What is in it is not judged by
    /// what others send: it takes nothing from them.
    pub fn received_own(&mut self) {
        self.is_shared = false;
    }

    /// Notes that the system has dropped what no shard read in time: overload, whatever the queue is like now.
    pub fn overflowed(&mut self) {
        self.heavy.overflowed();
        self.fair.overflowed();
    }

    /// Who sends so much into the queue of all that it should have one of its own. If it gets one,
    /// [`set_apart`](Self::set_apart) says so; if that can't be, nothing is to be done.
    pub fn poll_heavy(&mut self) -> Option<HeavySender> {
        self.found.take()
    }

    /// Notes whether this sender has a queue of its own now.
    pub fn set_apart(&mut self, source: SocketAddr, session: SessionId, is_apart: bool) {
        if let Some(route) = self.routes.get_mut(&session)
            && let Some(from) = route.side(source)
        {
            route.uses[from].is_apart = is_apart;
            if is_apart {
                self.heavy.parted();
            }
        }
    }

    /// Until when [`Turns`](super::turns::Turns) are to be held.
    pub fn held_until(&self) -> Option<Instant> {
        self.heavy.held_until()
    }

    /// How many send into the queue of all, those that send little counting little.
    pub fn senders(&self) -> u64 {
        self.heavy.senders()
    }

    /// Counts what the system dropped from the queue that this sender has for itself.
    pub fn dropped(&self, source: SocketAddr, session: SessionId, bytes: u64) {
        let route = self.routes.get(&session);
        let from = route.and_then(|route| route.side(source));
        if let Some((route, from)) = route.zip(from) {
            route.flow.dropped(from, ThrottleReason::Share, bytes);
        }
    }

    /// Judges a run of frames from `source`, if that can be done here; otherwise
    /// [`Relay::handle`](super::Relay::handle) does.
    pub fn handle(
        &mut self,
        source: SocketAddr,
        frame: &Frame,
        run: &Run,
        now: Instant,
    ) -> Option<Action> {
        if frame.kind != FrameKind::Data {
            return None;
        }
        let route = self.routes.get_mut(&frame.session)?;
        let from = route.side(source)?;
        let (packets, bytes) = (run.segments() as u64, run.bytes.len() as u64);
        let now = self.clock.nanos(now);
        route.flow.heard(from, now);
        let drawn = match self.unlimited {
            true => Ok(()),
            false => route.flow.draw(from, bytes, &self.limits, now),
        };
        let passed = drawn.and_then(|()| {
            if !self.is_shared {
                return Ok(());
            }
            if let Some(cost) = self.heavy.note(&mut route.uses[from], packets, bytes) {
                let session = frame.session;
                self.found = Some(HeavySender {
                    source,
                    session,
                    cost,
                });
            }
            match self.fair.pass(&mut route.share, packets, bytes) {
                true => Ok(()),
                false => Err(ThrottleReason::Share),
            }
        });
        Some(match passed {
            Ok(()) => {
                route.flow.carried(from, packets, bytes);
                let to = route.addresses[1 - from];
                Action::Forward { to }
            }
            Err(reason) => {
                route.flow.dropped(from, reason, bytes);
                Action::Dropped(Dropped::Throttled(reason))
            }
        })
    }

    /// Sessions known here.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether no session is known here.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}
