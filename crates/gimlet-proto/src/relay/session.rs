//! One relay session: two sides, the address each has bound, and what went through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::flow::Flow;
use super::interface::Control;
use super::limits::{REASONS, ThrottleReason};
use crate::frame;
use crate::id::PeerId;
use crate::limit::{Bucket, Rate};
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

/// Data for a side that has not bound an address yet: first flights, some checks, and an early answer
/// or two. More would be a way around the shares, which only count bound sides.
const UNBOUND: Rate = Rate::per_second(1 << 20, 1 << 20);

/// Where data for one side goes.
pub(super) struct Destination {
    pub(super) bound: Option<SocketAddr>,
    pub(super) control: Control,
    /// Which side it is from.
    pub(super) from: usize,
}

#[derive(Debug)]
pub(super) struct Session {
    /// Dialer and accepting side.
    sides: [Side; 2],
    pub(super) flow: Arc<Flow>,
    /// Toward sides that are not bound.
    unbound: Bucket,
    /// What was dropped when its senders were last told of it.
    told: Option<Box<Told>>,
}

/// Bytes dropped of each side, by reason.
type Told = [[u64; REASONS.len()]; 2];

#[derive(Debug)]
struct Side {
    /// The control session that asked or was asked.
    control: Control,
    /// `None` until this side has accepted.
    secret: Option<RelaySecret>,
    bound: Option<Bound>,
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
        flow: Arc<Flow>,
    ) -> Self {
        let side = |control, secret| Side {
            control,
            secret,
            bound: None,
        };
        Self {
            sides: [side(dialer, Some(secret)), side(acceptor, None)],
            flow,
            unbound: Bucket::default(),
            told: None,
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

    /// The other side's destination, or `None` if `source` is not bound.
    pub(super) fn other_side(&self, source: SocketAddr) -> Option<Destination> {
        let from = self.sides.iter().position(|side| side.is_at(source))?;
        let other = &self.sides[1 - from];
        Some(Destination {
            bound: other.bound.map(|bound| bound.address),
            control: other.control,
            from,
        })
    }

    /// Whether so much more may go to a side that is not bound.
    pub(super) fn may_reach_unbound(&mut self, bytes: usize, now: Instant) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.unbound.take(bytes, &UNBOUND, now)
    }

    /// Both addresses, once both sides have bound one.
    pub(super) fn addresses(&self) -> Option<[SocketAddr; 2]> {
        let [a, b] = &self.sides;
        Some([a.bound?.address, b.bound?.address])
    }

    /// Binds `source` to the side whose secret made the frame's MAC; the counter to answer with.
    pub(super) fn bind(
        &mut self,
        id: SessionId,
        source: SocketAddr,
        payload: &[u8],
        now: u64,
    ) -> Result<u64, BindError> {
        for (from, side) in self.sides.iter_mut().enumerate() {
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
            self.flow.heard(from, now);
            return Ok(counter);
        }
        Err(BindError::Mac)
    }

    /// What was dropped of each side since the last call: whose, for which reason most, and how much.
    pub(super) fn throttled(&mut self) -> [Option<Throttling>; 2] {
        [0, 1].map(|from: usize| {
            let dropped = self.flow.dropped_by_reason(from);
            let before = self
                .told
                .as_ref()
                .map_or([0; REASONS.len()], |told| told[from]);
            if dropped == before {
                return None;
            }
            let told = self.told.get_or_insert_default();
            told[from] = dropped;
            let since = dropped.iter().zip(before).map(|(now, then)| now - then);
            let (bytes, reason) = since.clone().zip(REASONS).max_by_key(|(bytes, _)| *bytes)?;
            debug_assert!(bytes > 0);
            Some(Throttling {
                peer: self.sides[from].control.peer,
                reason,
                dropped_bytes: since.sum(),
            })
        })
    }
}

/// What was dropped of one side.
pub(super) struct Throttling {
    pub(super) peer: PeerId,
    pub(super) reason: ThrottleReason,
    pub(super) dropped_bytes: u64,
}

impl Side {
    fn is_at(&self, source: SocketAddr) -> bool {
        self.bound.is_some_and(|bound| bound.address == source)
    }
}
