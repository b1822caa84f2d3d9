//! What an operator decides about a rendezvous, with the defaults and their reasons.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::id::PeerId;
use crate::limit::Rate;

/// Who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Open,
    /// Whoever knows one of these tokens.
    Tokens(Vec<String>),
    /// The holders of these keys.
    Keys(BTreeSet<PeerId>),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("Open"),
            Self::Tokens(tokens) => write!(f, "Tokens({} of them)", tokens.len()),
            Self::Keys(keys) => f.debug_tuple("Keys").field(keys).finish(),
        }
    }
}

/// Tuning for [`Rendezvous`](super::Rendezvous).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Who may sign in.
    pub access: Access,
    /// Whether peers are told one another's observed addresses, and can resolve them. Default no:
    /// an address reveals where somebody is before they have accepted anybody.
    pub tell_observed: bool,
    /// Whether loopback candidates are passed on between any two peers. Default no: they are only
    /// between peers that the server sees at loopback addresses, which share its machine.
    pub allow_loopback: bool,
    /// UDP ports besides the main one that answer STUN, for the peers to know.
    pub stun_ports: Vec<u16>,
    /// Control sessions at once, of whatever kind. Default 50,000, some 500 bytes each here and 40 KB each in QUIC.
    pub max_peers: usize,
    /// Control sessions of one key that only dial. Default 16: the terminals and scripts of one
    /// person, and too few to fill the server with one key.
    pub max_dialing_per_key: usize,
    /// Sessions at once, pending ones included. Default 65,536, as many as the relay has.
    pub max_sessions: usize,
    /// Longest lease granted. Default 60 s: how long a peer that died unheard stays in the list.
    pub max_lease: Duration,
    /// Shortest lease granted. Default 5 s: keep-alives for less would be traffic for nothing.
    pub min_lease: Duration,
    /// Time a connection has to sign in. Default 10 s: a few lost packets on a slow link.
    pub sign_in_timeout: Duration,
    /// Time an introduction has to be answered. Default 10 s; where a person is asked, the dialer
    /// dials again.
    pub answer_timeout: Duration,
    /// Sessions a peer may take part in, pending ones included. Default 256.
    pub max_sessions_per_peer: usize,
    /// Introductions that may wait for one peer's answer. Default 32: more is a flood.
    pub max_pending_in: usize,
    /// Introductions of one dialer that may wait. Default 16, half of what one peer can be asked, so
    /// that nobody alone can use up another's.
    pub max_pending_out: usize,
    /// Requests of one connection. Default 100 units a second, 400 at once: lists of thousands of
    /// peers stay quick, and 20 connections that ask as fast as they can use half a core.
    pub requests: Rate,
    /// Requests over the rate before the connection is closed. Default 1,000: an honest client
    /// that is told `Busy` slows down long before.
    pub max_excess: u32,
    /// Peers that are to come back each second after the server was stopped. Default 1,000, what two cores
    /// sign in with some to spare: of a faster crowd most are refused, and each refusal costs as well.
    pub returns_per_s: u32,
    /// Limits on names.
    pub names: NameLimits,
}

/// The limits on sessions in a [`Config`], which can be changed under way. Sessions above them live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// In place of [`Config::max_sessions`].
    pub max_sessions: usize,
    /// In place of [`Config::max_sessions_per_peer`].
    pub max_sessions_per_peer: usize,
    /// In place of [`Config::max_pending_in`].
    pub max_pending_in: usize,
    /// In place of [`Config::max_pending_out`].
    pub max_pending_out: usize,
}

/// Limits on names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameLimits {
    /// Names a key may hold; with one more, it loses the one it used longest ago. Default 4.
    pub per_key: usize,
    /// Names in all. Default 200,000, some 30 MB.
    pub total: usize,
    /// A name that nobody signed in with for this long is free. Default 30 days: a holiday.
    pub unused_ttl: Duration,
}

impl Default for NameLimits {
    fn default() -> Self {
        Self {
            per_key: 4,
            total: 200_000,
            unused_ttl: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl Config {
    /// The defaults, for these peers.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            tell_observed: false,
            allow_loopback: false,
            stun_ports: Vec::new(),
            max_peers: 50_000,
            max_dialing_per_key: 16,
            max_sessions: 65_536,
            max_lease: Duration::from_secs(60),
            min_lease: Duration::from_secs(5),
            sign_in_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            max_sessions_per_peer: 256,
            max_pending_in: 32,
            max_pending_out: 16,
            requests: Rate::per_second(100, 400),
            max_excess: 1000,
            returns_per_s: 1000,
            names: NameLimits::default(),
        }
    }
}
