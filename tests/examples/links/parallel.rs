//! Runs of a table on all cores, shown in the table's order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does `work` for all items on all cores, and shows what came of it in their order.
pub(super) fn in_order<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut show: impl FnMut(R),
) {
    let (next, (tx, rx)) = (AtomicUsize::new(0), mpsc::channel());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (tx, next, work) = (tx.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((nth, item)) = take(next, items) {
                    // Nobody listens only when showing has panicked.
                    let _ = tx.send((nth, work(item)));
                }
            });
        }
        drop(tx);
        let mut waiting = BTreeMap::new();
        let mut shown = 0;
        for (nth, result) in rx {
            waiting.insert(nth, result);
            while let Some(result) = waiting.remove(&shown) {
                show(result);
                shown += 1;
            }
        }
    });
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let nth = next.fetch_add(1, Ordering::Relaxed);
    items.get(nth).map(|item| (nth, item))
}
