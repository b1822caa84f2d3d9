//! Relayed packets of sessions not known yet: a dialer's first flight may overtake its
//! introduction, or wait for a person to accept it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use gimlet_proto::secret::SessionId;

/// Sessions held for at once. Only the server can fill it, and it holds few itself.
const MAX_SESSIONS: usize = 64;

/// Datagrams held per session: a first flight of two, and its repeats.
const MAX_DATAGRAMS: usize = 8;

/// How long they are held: as long as a person may take to decide.
const TTL: Duration = Duration::from_secs(12);

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(super) struct Held {
    sessions: HashMap<SessionId, (Instant, Vec<Vec<u8>>)>,
}

impl Held {
    /// Holds a datagram, or drops it where the bounds are reached.
    pub(super) fn hold(&mut self, session: SessionId, datagram: Vec<u8>, now: Instant) {
        if self.sessions.len() >= MAX_SESSIONS && !self.sessions.contains_key(&session) {
            self.expire(now);
            if self.sessions.len() >= MAX_SESSIONS {
                return;
            }
        }
        let (_, datagrams) = self
            .sessions
            .entry(session)
            .or_insert_with(|| (now, Vec::new()));
        if datagrams.len() < MAX_DATAGRAMS {
            datagrams.push(datagram);
        }
    }

    /// Gives out what was held for a session, in the order it came.
    pub(super) fn take(&mut self, session: SessionId) -> Vec<Vec<u8>> {
        self.sessions
            .remove(&session)
            .map(|(_, datagrams)| datagrams)
            .unwrap_or_default()
    }

    /// Drops what is too old.
    pub(super) fn expire(&mut self, now: Instant) {
        self.sessions
            .retain(|_, (since, _)| now.saturating_duration_since(*since) < TTL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back_in_order_and_once() {
        let (mut held, now) = (Held::default(), Instant::now());
        held.hold(SessionId([1; 8]), vec![1], now);
        held.hold(SessionId([1; 8]), vec![2], now);
        assert_eq!(held.take(SessionId([1; 8])), [vec![1], vec![2]]);
        assert!(held.take(SessionId([1; 8])).is_empty());
    }

    #[test]
    fn it_holds_a_bounded_amount_for_a_bounded_time() {
        let (mut held, now) = (Held::default(), Instant::now());
        for n in 0..=255 {
            for _ in 0..20 {
                held.hold(SessionId([n; 8]), vec![0; 1200], now);
            }
        }
        assert_eq!(held.sessions.len(), MAX_SESSIONS);
        assert!(
            held.sessions
                .values()
                .all(|(_, datagrams)| datagrams.len() == MAX_DATAGRAMS)
        );
        held.expire(now + TTL);
        assert!(held.sessions.is_empty());
    }
}
