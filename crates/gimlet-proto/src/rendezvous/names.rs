//! Names bound to keys: first come, first served, until given back or unused for long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::config::NameLimits;
use crate::id::PeerId;
use crate::name::Name;

/// A name, whose it is, and when it was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// The name.
    pub name: Name,
    /// The key it is bound to.
    pub peer: PeerId,
    /// Last use, seconds since 1970.
    pub used_unix_s: u64,
}

/// A change to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameChange {
    /// The name is bound like this from now on.
    Bound(NameRecord),
    /// The name is free.
    Freed(Name),
}

/// Why a name can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// Another key has it.
    Taken,
    /// The server holds as many names as it may.
    Full,
}

/// A use is written down when the last one written is older: a write a day and name, not one a sign-in.
const TOUCH_S: u64 = 24 * 3600;

#[derive(Debug)]
pub(super) struct Names {
    limits: NameLimits,
    by_name: BTreeMap<Name, (PeerId, u64)>,
    by_peer: BTreeMap<PeerId, BTreeSet<Name>>,
    changes: VecDeque<NameChange>,
}

impl Names {
    pub(super) fn new(limits: NameLimits, stored: impl IntoIterator<Item = NameRecord>) -> Self {
        let mut names = Self {
            limits,
            by_name: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            changes: VecDeque::new(),
        };
        for record in stored.into_iter().take(limits.total) {
            names.insert(record.name, record.peer, record.used_unix_s);
        }
        names
    }

    /// Who has this name.
    pub(super) fn holder(&self, name: &Name) -> Option<PeerId> {
        self.by_name.get(name).map(|&(peer, _)| peer)
    }

    /// The name this key used last.
    pub(super) fn latest_of(&self, peer: PeerId) -> Option<&Name> {
        let held = self.by_peer.get(&peer)?.iter();
        held.max_by_key(|name| self.by_name.get(*name).map(|&(_, used)| used))
    }

    /// Binds a name to a key, or notes that its holder uses it.
    pub(super) fn claim(
        &mut self,
        name: &Name,
        peer: PeerId,
        unix_s: u64,
    ) -> Result<(), ClaimError> {
        match self.by_name.get(name) {
            Some(&(holder, _)) if holder != peer => return Err(ClaimError::Taken),
            Some(_) => {
                self.touch(name, unix_s);
                return Ok(());
            }
            None if self.by_name.len() >= self.limits.total => return Err(ClaimError::Full),
            None => (),
        }
        while self.by_peer.get(&peer).map_or(0, BTreeSet::len) >= self.limits.per_key.max(1) {
            let held = self.by_peer.get(&peer).into_iter().flatten();
            let oldest = held.min_by_key(|name| self.by_name.get(*name).map(|&(_, used)| used));
            let Some(oldest) = oldest.cloned() else { break };
            self.free(&oldest);
        }
        self.insert(name.clone(), peer, unix_s);
        self.changed(name);
        Ok(())
    }

    /// Notes that a name is in use.
    pub(super) fn touch(&mut self, name: &Name, unix_s: u64) {
        if let Some((_, used)) = self.by_name.get_mut(name)
            && *used + TOUCH_S <= unix_s
        {
            *used = unix_s;
            self.changed(name);
        }
    }

    /// Gives a name back, if this key has it.
    pub(super) fn release(&mut self, name: &Name, peer: PeerId) -> bool {
        let held = self.holder(name) == Some(peer);
        if held {
            self.free(name);
        }
        held
    }

    /// Frees what was unused for too long.
    pub(super) fn expire(&mut self, unix_s: u64) {
        let ttl = self.limits.unused_ttl.as_secs();
        let unused = |used: u64| used.saturating_add(ttl) <= unix_s;
        let expired = self.by_name.iter().filter(|(_, (_, used))| unused(*used));
        let expired: Vec<Name> = expired.map(|(name, _)| name.clone()).collect();
        for name in expired {
            self.free(&name);
        }
    }

    pub(super) fn poll_change(&mut self) -> Option<NameChange> {
        self.changes.pop_front()
    }

    fn insert(&mut self, name: Name, peer: PeerId, unix_s: u64) {
        self.by_peer.entry(peer).or_default().insert(name.clone());
        self.by_name.insert(name, (peer, unix_s));
    }

    fn free(&mut self, name: &Name) {
        let Some((peer, _)) = self.by_name.remove(name) else {
            return;
        };
        if let Some(held) = self.by_peer.get_mut(&peer) {
            held.remove(name);
            if held.is_empty() {
                self.by_peer.remove(&peer);
            }
        }
        self.changes.push_back(NameChange::Freed(name.clone()));
    }

    fn changed(&mut self, name: &Name) {
        if let Some(&(peer, used_unix_s)) = self.by_name.get(name) {
            let name = name.clone();
            self.changes.push_back(NameChange::Bound(NameRecord {
                name,
                peer,
                used_unix_s,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: NameLimits = NameLimits {
        per_key: 2,
        total: 4,
        unused_ttl: Duration::from_secs(100),
    };
    const ALICE: PeerId = PeerId::from_bytes([1; 32]);
    const BOB: PeerId = PeerId::from_bytes([2; 32]);

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn names() -> Names {
        Names::new(LIMITS, [])
    }

    #[test]
    fn a_name_is_its_first_comers_until_given_back() {
        let mut names = names();
        assert_eq!(names.claim(&name("a"), ALICE, 0), Ok(()));
        assert_eq!(names.claim(&name("a"), BOB, 1), Err(ClaimError::Taken));
        assert!(!names.release(&name("a"), BOB));
        assert!(names.release(&name("a"), ALICE));
        assert_eq!(names.claim(&name("a"), BOB, 2), Ok(()));
        assert_eq!(names.holder(&name("a")), Some(BOB));
    }

    #[test]
    fn one_name_too_many_costs_the_one_used_longest_ago() {
        let mut names = names();
        names.claim(&name("a"), ALICE, 5).unwrap();
        names.claim(&name("b"), ALICE, 3).unwrap();
        names.claim(&name("c"), ALICE, 9).unwrap();
        assert_eq!(names.holder(&name("b")), None);
        assert_eq!(names.latest_of(ALICE), Some(&name("c")));
    }

    #[test]
    fn the_total_is_bounded_and_unused_names_come_free() {
        let mut names = names();
        for (n, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let peer = PeerId::from_bytes([n as u8; 32]);
            names.claim(&name(text), peer, n as u64).unwrap();
        }
        assert_eq!(names.claim(&name("e"), BOB, 50), Err(ClaimError::Full));
        names.expire(101);
        assert_eq!(names.claim(&name("e"), BOB, 101), Ok(()));
        assert_eq!(names.holder(&name("b")), None);
        assert_eq!(names.holder(&name("c")).map(|p| p.as_bytes()[0]), Some(2));
    }

    #[test]
    fn what_was_written_down_makes_the_same_table_again() {
        let mut names = names();
        names.claim(&name("a"), ALICE, 5).unwrap();
        names.claim(&name("b"), BOB, 6).unwrap();
        names.claim(&name("a"), ALICE, 7).unwrap();
        names.release(&name("b"), BOB);
        let mut stored = BTreeMap::new();
        while let Some(change) = names.poll_change() {
            match change {
                NameChange::Bound(record) => stored.insert(record.name.clone(), record),
                NameChange::Freed(name) => stored.remove(&name),
            };
        }
        let again = Names::new(LIMITS, stored.into_values());
        assert_eq!(again.by_name, names.by_name);
        assert_eq!(again.by_peer, names.by_peer);
    }
}
