//! Playing all cells on several threads. The result does not depend on how many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gimlet_trial::{Tally, play};

use super::plan::{Cell, Plan};

/// Trials a thread takes at a time: under a second of work, so that all end together.
const BATCH: u32 = 25;

/// A cell and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) cell: Cell,
    pub(super) tally: Tally,
}

/// Plays every cell of a plan. `progress` is told the share that is done.
pub(super) fn measure(plan: &Plan, threads: usize, progress: impl Fn(f64) + Sync) -> Vec<Measured> {
    let cells = plan.cells();
    let batches: Vec<(usize, u32, u32)> = cells
        .iter()
        .enumerate()
        .flat_map(|(index, cell)| {
            let starts = (0..cell.trials).step_by(BATCH as usize);
            let end = |start: u32| (start + BATCH).min(cell.trials);
            starts.map(move |start| (index, start, end(start)))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![None; batches.len()]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(index, start, end)) = batches.get(number) else {
                return;
            };
            let cell = &cells[index];
            let mut tally = Tally::default();
            for trial in start..end {
                let sites = [cell.pair.dialer, cell.pair.acceptor];
                let seed = cell.seed(plan.seed, trial);
                tally.add(&play(seed, sites, &cell.conditions()));
            }
            done.lock().expect("no thread panics with it")[number] = Some(tally);
            progress((number + 1) as f64 / batches.len() as f64);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().expect("no thread panics with it");
    let mut measured: Vec<_> = cells
        .iter()
        .map(|cell| Measured {
            cell: *cell,
            tally: Tally::default(),
        })
        .collect();
    // In the order of the trials, whichever thread was first.
    for ((index, _, _), tally) in batches.iter().zip(done) {
        measured[*index].tally.merge(&tally.unwrap_or_default());
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::report::Report;

    fn plan(seed: u64) -> Plan {
        Plan {
            seed,
            trials: Some(3),
            quick: false,
            pairs: ["strict,strict", "sym-seq,strict", "sym-random,adm-random"]
                .map(|pair| pair.parse().unwrap())
                .to_vec(),
            losses: vec![0.0, 0.02],
            server_addresses: 2,
        }
    }

    fn json(seed: u64, threads: usize) -> String {
        let plan = plan(seed);
        let measured = measure(&plan, threads, |_| ());
        Report::new(&plan, &measured, &[]).json().unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_report_on_any_number_of_threads() {
        let first = json(1, 1);
        assert_eq!(first, json(1, 3));
        assert_ne!(first, json(2, 1));
    }
}
