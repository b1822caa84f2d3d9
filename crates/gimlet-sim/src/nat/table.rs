//! The mappings of a NAT and, within each, the sessions with remote endpoints.
//!
//! A mapping ties an inside endpoint to an outside one. A session is one remote endpoint's use of a
//! mapping: it admits that remote's packets and leads packets to that remote out through the
//! mapping it came in by. Old entries count as absent and are removed when met or when room is short.
//!
//! **Invariants:** an outside endpoint has one mapping; `by_key` and `by_outside` name the same
//! mappings; every session's mapping exists; `outward` and `inward` name the same sessions.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// What a mapping is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) inside: SocketAddr,
    pub(super) scope: Scope,
}

/// Which remotes a mapping serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Every,
    Address(IpAddr),
    Endpoint(SocketAddr),
    /// One remote, whose packets may not use the mapping they otherwise would.
    Moved(SocketAddr),
}

#[derive(Debug)]
struct Entry {
    key: Key,
    ends_at: Instant,
}

/// One remote endpoint's use of a mapping.
#[derive(Debug)]
struct Session {
    /// The remote as the inside host knows it.
    seen: SocketAddr,
    ends_at: Instant,
}

/// No room for another entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug)]
pub(super) struct Table {
    max_mappings: usize,
    max_sessions: usize,
    by_outside: BTreeMap<SocketAddr, Entry>,
    by_key: BTreeMap<Key, SocketAddr>,
    /// (outside, remote) to the session.
    inward: BTreeMap<(SocketAddr, SocketAddr), Session>,
    /// (inside, remote as seen) to (outside, remote).
    outward: BTreeMap<(SocketAddr, SocketAddr), (SocketAddr, SocketAddr)>,
    /// Nothing ends before this, so a full table is not searched in vain.
    purge_at: Option<Instant>,
}

impl Table {
    pub(super) fn new(max_mappings: usize, max_sessions: usize) -> Self {
        Self {
            max_mappings,
            max_sessions,
            by_outside: BTreeMap::new(),
            by_key: BTreeMap::new(),
            inward: BTreeMap::new(),
            outward: BTreeMap::new(),
            purge_at: None,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_mappings, self.max_sessions);
    }

    pub(super) fn mapping_count(&self) -> usize {
        self.by_outside.len()
    }

    pub(super) fn session_count(&self) -> usize {
        self.inward.len()
    }

    /// The outside endpoint mapped for `key`.
    pub(super) fn outside_of(&self, now: Instant, key: Key) -> Option<SocketAddr> {
        let outside = *self.by_key.get(&key)?;
        self.inside_of(now, outside).map(|_| outside)
    }

    /// The inside endpoint mapped at `outside`.
    pub(super) fn inside_of(&self, now: Instant, outside: SocketAddr) -> Option<SocketAddr> {
        let entry = self.by_outside.get(&outside)?;
        (now < entry.ends_at).then_some(entry.key.inside)
    }

    /// Whether an inside address has a mapping.
    pub(super) fn is_idle(&self, now: Instant, inside: IpAddr) -> bool {
        let from = Key {
            inside: SocketAddr::new(inside, 0),
            scope: Scope::Every,
        };
        self.by_key
            .range(from..)
            .take_while(|(key, _)| key.inside.ip() == inside)
            .all(|(_, outside)| self.inside_of(now, *outside).is_none())
    }

    /// Makes sure a mapping can be added.
    pub(super) fn room_for_mapping(&mut self, now: Instant) -> Result<(), Full> {
        if self.by_outside.len() >= self.max_mappings {
            self.purge(now);
        }
        if self.by_outside.len() < self.max_mappings {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Makes sure a session can be added.
    pub(super) fn room_for_session(&mut self, now: Instant) -> Result<(), Full> {
        if self.inward.len() >= self.max_sessions {
            self.purge(now);
        }
        if self.inward.len() < self.max_sessions {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Maps `key` at `outside`, in place of an old mapping of either.
    pub(super) fn map(&mut self, key: Key, outside: SocketAddr, ends_at: Instant) {
        if let Some(old) = self.by_key.get(&key).copied() {
            self.unmap(old);
        }
        self.unmap(outside);
        self.by_key.insert(key, outside);
        self.by_outside.insert(outside, Entry { key, ends_at });
    }

    /// Where a packet from `inside` to the remote it knows as `seen` leaves: (outside, remote).
    pub(super) fn way_out(
        &self,
        now: Instant,
        inside: SocketAddr,
        seen: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let (outside, remote) = *self.outward.get(&(inside, seen))?;
        self.way_in(now, outside, remote).map(|_| (outside, remote))
    }

    /// How a packet from `remote` to `outside` arrives, if there is a session: (inside, seen).
    pub(super) fn way_in(
        &self,
        now: Instant,
        outside: SocketAddr,
        remote: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let session = self.inward.get(&(outside, remote))?;
        let inside = self.inside_of(now, outside)?;
        (now < session.ends_at).then_some((inside, session.seen))
    }

    /// Whether any port of `address` has a session with the mapping at `outside`.
    pub(super) fn knows_address(&self, now: Instant, outside: SocketAddr, address: IpAddr) -> bool {
        self.inward
            .range((outside, SocketAddr::new(address, 0))..)
            .take_while(|((at, remote), _)| *at == outside && remote.ip() == address)
            .any(|(_, session)| now < session.ends_at)
    }

    /// Adds a session to the mapping at `outside`, which must exist.
    pub(super) fn open(
        &mut self,
        now: Instant,
        outside: SocketAddr,
        remote: SocketAddr,
        seen: SocketAddr,
        ends_at: Instant,
    ) -> Result<(), Full> {
        self.close(outside, remote);
        self.room_for_session(now)?;
        let Some(entry) = self.by_outside.get(&outside) else {
            return Err(Full);
        };
        let inside = entry.key.inside;
        // An ended session may still hold this way out.
        if let Some((at, from)) = self.outward.get(&(inside, seen)).copied() {
            self.close(at, from);
        }
        self.inward
            .insert((outside, remote), Session { seen, ends_at });
        self.outward.insert((inside, seen), (outside, remote));
        Ok(())
    }

    /// Lets a mapping and its session with `remote` last until `ends_at`.
    pub(super) fn refresh(&mut self, outside: SocketAddr, remote: SocketAddr, ends_at: Instant) {
        if let Some(session) = self.inward.get_mut(&(outside, remote)) {
            session.ends_at = ends_at;
        }
        self.refresh_mapping(outside, ends_at);
    }

    /// Lets a mapping last until `ends_at`.
    pub(super) fn refresh_mapping(&mut self, outside: SocketAddr, ends_at: Instant) {
        if let Some(entry) = self.by_outside.get_mut(&outside) {
            entry.ends_at = ends_at;
        }
    }

    fn close(&mut self, outside: SocketAddr, remote: SocketAddr) {
        let Some(session) = self.inward.remove(&(outside, remote)) else {
            return;
        };
        if let Some(entry) = self.by_outside.get(&outside) {
            self.outward.remove(&(entry.key.inside, session.seen));
        }
    }

    /// Removes the mapping at `outside`, if there is one, and its sessions.
    pub(super) fn unmap(&mut self, outside: SocketAddr) {
        let lowest = SocketAddr::from(([0, 0, 0, 0], 0));
        let remotes: Vec<SocketAddr> = self
            .inward
            .range((outside, lowest)..)
            .take_while(|((at, _), _)| *at == outside)
            .map(|((_, remote), _)| *remote)
            .collect();
        for remote in remotes {
            self.close(outside, remote);
        }
        if let Some(entry) = self.by_outside.remove(&outside) {
            self.by_key.remove(&entry.key);
        }
    }

    /// Removes what has ended.
    fn purge(&mut self, now: Instant) {
        if self.purge_at.is_some_and(|at| now < at) {
            return;
        }
        let ended = |ends_at: &Instant| *ends_at <= now;
        let mappings: Vec<_> = self
            .by_outside
            .iter()
            .filter(|(_, e)| ended(&e.ends_at))
            .map(|(at, _)| *at)
            .collect();
        for outside in mappings {
            self.unmap(outside);
        }
        let sessions: Vec<_> = self
            .inward
            .iter()
            .filter(|(_, s)| ended(&s.ends_at))
            .map(|(at, _)| *at)
            .collect();
        for (outside, remote) in sessions {
            self.close(outside, remote);
        }
        let mapping_ends = self.by_outside.values().map(|entry| entry.ends_at);
        let session_ends = self.inward.values().map(|session| session.ends_at);
        self.purge_at = mapping_ends.chain(session_ends).min();
    }

    /// Panics if an invariant is broken.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.by_key.len(), self.by_outside.len());
        for (key, outside) in &self.by_key {
            assert_eq!(self.by_outside[outside].key, *key);
        }
        assert_eq!(self.inward.len(), self.outward.len());
        for ((outside, remote), session) in &self.inward {
            let inside = self.by_outside[outside].key.inside;
            assert_eq!(self.outward[&(inside, session.seen)], (*outside, *remote));
        }
    }
}
