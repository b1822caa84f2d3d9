//! What an operator may change while the server runs.

use gimlet_proto::relay::{LimitChange, limits};
use gimlet_proto::rendezvous::SessionLimits;

use crate::config::Config;

/// Limits on sessions and on what they carry. What a new limit is too late for lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes relayed: per session, per peer and in all. Default unlimited.
    pub relay: limits::Limits,
    /// Sessions at once, pending ones included. Default 65,536: some 50 MB, and 9 MB more a shard.
    pub sessions: usize,
    /// Of these, of one peer. Default 256.
    pub sessions_per_peer: usize,
    /// Introductions that may wait for one peer's answer. Default 32.
    pub pending_in: usize,
    /// Introductions of one dialer that may wait. Default 16.
    pub pending_out: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Limits {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            relay: config.relay.limits,
            sessions: config.rendezvous.max_sessions,
            sessions_per_peer: config.rendezvous.max_sessions_per_peer,
            pending_in: config.rendezvous.max_pending_in,
            pending_out: config.rendezvous.max_pending_out,
        }
    }

    pub(crate) fn of_sessions(&self) -> SessionLimits {
        SessionLimits {
            max_sessions: self.sessions,
            max_sessions_per_peer: self.sessions_per_peer,
            max_pending_in: self.pending_in,
            max_pending_out: self.pending_out,
        }
    }

    pub(crate) fn of_relay(&self) -> LimitChange {
        LimitChange {
            limits: self.relay,
            max_sessions: self.sessions,
        }
    }
}

impl Config {
    /// The same with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        let sessions = limits.of_sessions();
        self.relay.limits = limits.relay;
        self.relay.max_sessions = sessions.max_sessions;
        self.rendezvous.max_sessions = sessions.max_sessions;
        self.rendezvous.max_sessions_per_peer = sessions.max_sessions_per_peer;
        self.rendezvous.max_pending_in = sessions.max_pending_in;
        self.rendezvous.max_pending_out = sessions.max_pending_out;
        self
    }
}
