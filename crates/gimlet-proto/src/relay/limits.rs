//! What sessions, peers and the whole server may carry, and why something was not carried.
//!
//! An operator sets [`Limits`]; they can be changed while sessions run. Everything is unlimited unless
//! said otherwise: a relay that is too slow is the more common complaint.

use std::num::NonZeroU64;
use std::time::Duration;

pub use crate::message::ThrottleReason;

/// Limits on relayed bytes, headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Of one session, both ways together. Its total is that of its life. Default unlimited.
    pub session: Quota,
    /// Of what one peer sends, in all its sessions. Who is sent to pays nothing: otherwise one peer
    /// could use up what another has. Default unlimited.
    pub peer: Quota,
    /// Of everything. Default unlimited.
    pub server: Quota,
    /// After this long the totals of peers and of the server begin anew. Default a day. They are kept
    /// in memory, so they also do when the server starts.
    pub period: Duration,
}

/// A rate and a total; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes a second.
    pub rate: Option<ByteRate>,
    /// Bytes in all.
    pub total: Option<u64>,
}

/// Bytes a second, and how many at once after a rest.
///
/// A batch passes as a whole while anything is left, and what it was too long by is paid off before
/// the next: the rate is kept however short the burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate {
    /// Bytes a second.
    pub per_second: NonZeroU64,
    /// Bytes at once.
    pub burst: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: Quota::default(),
            peer: Quota::default(),
            server: Quota::default(),
            period: Duration::from_secs(24 * 3600),
        }
    }
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        [self.session, self.peer, self.server] == [Quota::default(); 3]
    }
}

/// The reasons there are, for counters by reason. Each stands at the place of its number.
pub const REASONS: [ThrottleReason; 7] = [
    ThrottleReason::SessionRate,
    ThrottleReason::SessionTotal,
    ThrottleReason::PeerRate,
    ThrottleReason::PeerTotal,
    ThrottleReason::ServerRate,
    ThrottleReason::ServerTotal,
    ThrottleReason::Share,
];
