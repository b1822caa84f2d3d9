//! A bounded table whose least recently used entry makes room for a new one.
//!
//! A machine without a clock: what counts as use is for the caller to say.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Table<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used_at: Instant,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
        }
    }

    /// The entry, which counts as used.
    pub(crate) fn touch(&mut self, now: Instant, key: &K) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        entry.used_at = now;
        Some(&mut entry.value)
    }

    /// Puts an entry in, and takes out the one that it replaces or that had to make room.
    pub(crate) fn insert(&mut self, now: Instant, key: K, value: V) -> Option<V> {
        let room = match self.entries.contains_key(&key) || self.entries.len() < self.capacity {
            true => None,
            false => self.remove_oldest(),
        };
        let used_at = now;
        let replaced = self.entries.insert(key, Entry { value, used_at });
        replaced.map(|entry| entry.value).or(room)
    }

    fn remove_oldest(&mut self) -> Option<V> {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
        let key = oldest.map(|(key, _)| key.clone())?;
        self.entries.remove(&key).map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_entry_makes_room() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut table = Table::new(2);
        assert_eq!(table.insert(at(0), 'a', 1), None);
        assert_eq!(table.insert(at(1), 'b', 2), None);
        assert_eq!(table.touch(at(2), &'a'), Some(&mut 1));
        assert_eq!(table.insert(at(3), 'c', 3), Some(2));
        assert_eq!(table.touch(at(4), &'b'), None);
        assert_eq!(table.touch(at(4), &'a'), Some(&mut 1));
    }

    #[test]
    fn an_entry_put_in_again_replaces_the_old_one_and_nobody_else() {
        let now = Instant::now();
        let mut table = Table::new(2);
        table.insert(now, 'a', 1);
        table.insert(now, 'b', 2);
        assert_eq!(table.insert(now, 'a', 3), Some(1));
        assert_eq!(table.touch(now, &'b'), Some(&mut 2));
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let now = Instant::now();
        let mut table = Table::new(16);
        for n in 0..1000 {
            table.insert(now, n, n);
            assert!(table.entries.len() <= 16);
        }
    }
}
