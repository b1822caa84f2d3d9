//! Sending checks, and remembering them until they are answered.

use std::time::Instant;

use super::Agent;
use crate::candidate::is_sendable;
use crate::stun::{Check, CheckRole, TransactionId, encode_check};
use crate::traversal::config::MAX_OUTSTANDING;
use crate::traversal::path::Size;
use crate::traversal::{Role, Route, Transmit};

/// A check on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) transaction: TransactionId,
    pub(super) route: Route,
    pub(super) sent_at: Instant,
    /// Bytes of the datagram.
    pub(super) size: u16,
    /// The nomination it carried.
    pub(super) nomination: Option<u32>,
}

/// PRIORITY of every check: a peer-reflexive candidate of the first component (RFC 8445 section
/// 5.1.2). The dialer chooses by what it measures, so nothing depends on the value.
const PRIORITY: u32 = 110 << 24 | 65535 << 8 | 255;

impl Agent {
    /// Sends a check, if the budget allows. Without, the path's own timer brings the next.
    pub(super) fn send_check(&mut self, route: Route, size: Size, now: Instant) {
        self.transmit_check(route, size, None, now);
    }

    /// Sends a check that nominates its path.
    pub(super) fn send_nomination(&mut self, route: Route, number: u32, now: Instant) {
        self.transmit_check(route, Size::Small, Some(number), now);
    }

    /// Sends a check of the search, which has a budget of its own.
    pub(super) fn send_probe(&mut self, route: Route, now: Instant) {
        let Route::Direct { remote, .. } = route else {
            return;
        };
        if is_sendable(remote, self.config.allow_loopback) {
            self.put_on_wire(route, Size::Small, None, now);
        }
    }

    fn transmit_check(&mut self, route: Route, size: Size, nomination: Option<u32>, now: Instant) {
        if self.remote.is_some() && self.checks.take(now) {
            self.put_on_wire(route, size, nomination, now);
        }
    }

    fn put_on_wire(&mut self, route: Route, size: Size, nomination: Option<u32>, now: Instant) {
        let Some(remote) = &self.remote else {
            return;
        };
        let tie_breaker = u64::from(self.session_word) << 32 | u64::from(self.lead.number());
        let check = Check {
            transaction: self.entropy.transaction(),
            priority: PRIORITY,
            role: match self.role {
                Role::Controlling => CheckRole::Controlling {
                    tie_breaker,
                    nominate: nomination.is_some(),
                },
                Role::Controlled => CheckRole::Controlled { tie_breaker },
            },
        };
        let padded = match size {
            Size::Full => usize::from(self.mtu),
            Size::Small => 0,
        };
        let payload = encode_check(&check, &remote.seal, padded);
        if self.outstanding.len() == MAX_OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(Sent {
            transaction: check.transaction,
            route,
            sent_at: now,
            size: u16::try_from(payload.len()).unwrap_or(u16::MAX),
            nomination,
        });
        self.outcome.counts.checks_sent = self.outcome.counts.checks_sent.saturating_add(1);
        if route.is_direct() && self.outcome.times.first_check_sent.is_none() {
            self.outcome.times.first_check_sent = Some(self.elapsed(now));
        }
        self.push_transmit(Transmit {
            via: route,
            payload,
        });
    }
}
