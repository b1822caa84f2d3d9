//! One relay session: two sides, the address each has bound, and what went through.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::interface::Control;
use super::runs::Run;
use crate::frame;
use crate::id::PeerId;
use crate::secret::{RelaySecret, SessionId};

/// What one side sent through the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Data frames.
    pub packets: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
}

/// Why a bind frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindError {
    /// No side of this session has a secret that makes this MAC.
    Mac,
    /// A side sent it, but a newer one was taken already: a replay, or reordered.
    Stale,
}

/// Where data for one side goes.
pub(super) struct Destination {
    pub(super) bound: Option<SocketAddr>,
    pub(super) control: Control,
}

#[derive(Debug)]
pub(super) struct Session {
    /// Dialer and accepting side.
    sides: [Side; 2],
    heard_at: Instant,
}

#[derive(Debug)]
struct Side {
    /// The control session that asked or was asked.
    control: Control,
    /// `None` until this side has accepted.
    secret: Option<RelaySecret>,
    bound: Option<Bound>,
    sent: Traffic,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    address: SocketAddr,
    counter: u64,
}

impl Session {
    pub(super) fn new(
        dialer: Control,
        secret: RelaySecret,
        acceptor: Control,
        now: Instant,
    ) -> Self {
        let side = |control, secret| Side {
            control,
            secret,
            bound: None,
            sent: Traffic::default(),
        };
        Self {
            sides: [side(dialer, Some(secret)), side(acceptor, None)],
            heard_at: now,
        }
    }

    /// The accepting side's secret. Only the first counts.
    pub(super) fn accept(&mut self, secret: RelaySecret) {
        self.sides[1].secret.get_or_insert(secret);
    }

    /// Whether this peer is a side that has not bound an address yet, over whichever connection:
    /// it may have reconnected.
    pub(super) fn expects(&self, peer: PeerId) -> bool {
        let mut sides = self.sides.iter();
        sides.any(|side| side.control.peer == peer && side.bound.is_none())
    }

    /// Counts data from `source`; the other side's destination, or `None` if `source` is not bound.
    pub(super) fn carry(
        &mut self,
        source: SocketAddr,
        run: &Run,
        now: Instant,
    ) -> Option<Destination> {
        let from = self.sides.iter().position(|side| side.is_at(source))?;
        self.heard_at = now;
        let sent = &mut self.sides[from].sent;
        sent.packets += run.segments() as u64;
        sent.bytes += run.bytes.len() as u64;
        let other = &self.sides[1 - from];
        Some(Destination {
            bound: other.bound.map(|bound| bound.address),
            control: other.control,
        })
    }

    /// Binds `source` to the side whose secret made the frame's MAC; the counter to answer with.
    pub(super) fn bind(
        &mut self,
        id: SessionId,
        source: SocketAddr,
        payload: &[u8],
        now: Instant,
    ) -> Result<u64, BindError> {
        for side in &mut self.sides {
            let Some(secret) = &side.secret else { continue };
            let Some(counter) = frame::verify_bind(id, payload, secret) else {
                continue;
            };
            match side.bound {
                // Our answer was lost, and the peer repeats itself.
                Some(bound) if bound.counter == counter && bound.address == source => (),
                Some(bound) if bound.counter >= counter => return Err(BindError::Stale),
                Some(_) | None => {
                    let address = source;
                    side.bound = Some(Bound { address, counter });
                }
            }
            self.heard_at = now;
            return Ok(counter);
        }
        Err(BindError::Mac)
    }

    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard_at)
    }

    pub(super) fn traffic(&self) -> [Traffic; 2] {
        [self.sides[0].sent, self.sides[1].sent]
    }
}

impl Side {
    fn is_at(&self, source: SocketAddr) -> bool {
        self.bound.is_some_and(|bound| bound.address == source)
    }
}
