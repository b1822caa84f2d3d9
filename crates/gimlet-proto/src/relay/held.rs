//! The few datagrams that came before the message that explains them.
//!
//! A dialer sends its first flight in the same breath as its introduction, on another stream. What
//! arrives first waits here for [`HOLD_TIME`] at most.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::runs::Run;
use crate::frame::{Frame, FrameKind};
use crate::secret::SessionId;

/// How long a datagram waits: longer than a control message takes over a bad link with one
/// retransmission, and as long as QUIC's own first retransmission, which makes waiting pointless.
pub const HOLD_TIME: Duration = Duration::from_secs(1);

/// Most datagrams held for one session: a bind frame, the two of a post-quantum ClientHello, a
/// check and a repetition of each.
pub const MAX_PER_SESSION: usize = 8;

/// Most datagrams held in all: 2 MiB at [`MAX_LEN`].
pub const MAX_TOTAL: usize = 1024;

/// Most datagrams held from one address, so that one signed-in peer can't take all room.
pub const MAX_PER_SOURCE: usize = 32;

/// Longest datagram held: first flights fit any path's MTU.
pub const MAX_LEN: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Held {
    sessions: BTreeMap<SessionId, Waiting>,
    /// In the order of arrival, which is that of their deadlines. An entry outlives its session's
    /// release, by [`HOLD_TIME`] at most.
    expiries: VecDeque<(Instant, SessionId)>,
    per_source: BTreeMap<SocketAddr, usize>,
    total: usize,
}

/// What is held for one session.
#[derive(Debug)]
pub(super) struct Waiting {
    expires_at: Instant,
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
}

impl Waiting {
    pub(super) fn sort_binds_first(&mut self) {
        let is_bind = |datagram: &[u8]| {
            Frame::decode(datagram).is_some_and(|frame| frame.kind == FrameKind::Bind)
        };
        self.datagrams
            .sort_by_key(|(_, datagram)| !is_bind(datagram));
    }
}

impl Held {
    /// Copies a run; `false` when not all of it has room, and nothing of it is held then.
    pub(super) fn take(
        &mut self,
        source: SocketAddr,
        session: SessionId,
        run: &Run,
        now: Instant,
    ) -> bool {
        let count = run.segments();
        let from_source = self.per_source.get(&source).copied().unwrap_or(0);
        let for_session = self
            .sessions
            .get(&session)
            .map_or(0, |waiting| waiting.datagrams.len());
        if for_session + count > MAX_PER_SESSION
            || from_source + count > MAX_PER_SOURCE
            || self.total + count > MAX_TOTAL
            || self.expiries.len() >= MAX_TOTAL
            || run.stride > MAX_LEN
        {
            return false;
        }
        let waiting = self.sessions.entry(session).or_insert_with(|| {
            let expires_at = now + HOLD_TIME;
            self.expiries.push_back((expires_at, session));
            Waiting {
                expires_at,
                datagrams: Vec::new(),
            }
        });
        let copies = run.datagrams().map(|datagram| (source, datagram.to_vec()));
        waiting.datagrams.extend(copies);
        *self.per_source.entry(source).or_default() += count;
        self.total += count;
        true
    }

    /// Takes out what is held for a session.
    pub(super) fn remove(&mut self, session: SessionId) -> Option<Waiting> {
        let waiting = self.sessions.remove(&session)?;
        self.total -= waiting.datagrams.len();
        for (source, _) in &waiting.datagrams {
            if let Some(count) = self.per_source.get_mut(source) {
                *count -= 1;
                if *count == 0 {
                    self.per_source.remove(source);
                }
            }
        }
        Some(waiting)
    }

    /// Puts back what [`remove`](Self::remove) gave, or part of it.
    pub(super) fn put_back(&mut self, session: SessionId, waiting: Waiting) {
        if waiting.datagrams.is_empty() {
            return;
        }
        self.total += waiting.datagrams.len();
        for (source, _) in &waiting.datagrams {
            *self.per_source.entry(*source).or_default() += 1;
        }
        self.sessions.insert(session, waiting);
    }

    /// The next session whose time is up, with the addresses that were waiting.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(SessionId, Vec<SocketAddr>)> {
        while let Some(&(expires_at, session)) = self.expiries.front() {
            if expires_at > now {
                return None;
            }
            self.expiries.pop_front();
            // Released since, and perhaps held for anew with a later deadline of its own.
            let due = self
                .sessions
                .get(&session)
                .is_some_and(|waiting| waiting.expires_at <= now);
            if let Some(waiting) = due.then(|| self.remove(session)).flatten() {
                let mut sources: Vec<_> = waiting.datagrams.into_iter().map(|(s, _)| s).collect();
                sources.sort_unstable();
                sources.dedup();
                return Some((session, sources));
            }
        }
        None
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.front().map(|&(expires_at, _)| expires_at)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.total
    }
}
