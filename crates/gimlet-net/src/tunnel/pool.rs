//! Memory of messages, used again: taking 64 KiB from the system for each costs more than filling them.

use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that are kept: 1 MiB, as many as are on their way at once through the queues of a busy
/// process. More would only be memory that idle tunnels hold.
const MAX_KEPT: usize = 16;

/// Buffers of messages, for any number of tunnels.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// An empty buffer, with the memory of an earlier one if there is any.
    pub(super) fn get(&self) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_default()
    }

    /// Takes a buffer that is not used any more.
    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 {
            return;
        }
        buffer.clear();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_what_is_too_much_goes() {
        let pool = Pool::default();
        assert_eq!(pool.get().capacity(), 0);
        for _ in 0..2 * MAX_KEPT {
            pool.put(vec![7; 100]);
        }
        pool.put(Vec::new());
        let again: Vec<_> = std::iter::from_fn(|| Some(pool.get()))
            .take_while(|buffer| buffer.capacity() > 0)
            .collect();
        assert_eq!(again.len(), MAX_KEPT);
        assert!(again.iter().all(Vec::is_empty));
    }
}
