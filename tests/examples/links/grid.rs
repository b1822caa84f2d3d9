//! A flow of ours beside one with CUBIC, over many lines: neither is to take more than three quarters.

use std::sync::Arc;
use std::time::Duration;

use gimlet_sim::JitterKind;
use gimlet_tests::{Controllers, Line};
use quinn::congestion::CubicConfig;

use super::shared::together;
use super::{Wanted, controllers, parallel};

/// Rates, Mbit/s.
const RATES: [u64; 3] = [10, 20, 100];

/// Round trips of an idle line, ms.
const RTTS: [u64; 3] = [20, 100, 200];

/// Queues, halves of what the line itself holds.
const HALVES: [u64; 3] = [1, 2, 4];

/// And of lines with jitter: rates, and the round trip.
const WANDERING: ([u64; 2], u64) = ([20, 100], 40);

/// Most that a packet is late there each way, and what makes it late.
const JITTER: (Duration, JitterKind) = (Duration::from_millis(5), JitterKind::Turns);

/// Head starts of the flow that begins, ms. Nothing else is left to chance on these lines.
const HEAD_STARTS: [u64; 3] = [3_000, 5_000, 8_300];

/// One line of the table.
#[derive(Debug, Clone, Copy)]
struct Cell {
    mbit: u64,
    rtt_ms: u64,
    halves: u64,
    wanders: bool,
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for mbit in RATES {
            for rtt_ms in RTTS {
                cells.extend(HALVES.map(|halves| Self {
                    mbit,
                    rtt_ms,
                    halves,
                    wanders: false,
                }));
            }
        }
        for mbit in WANDERING.0 {
            cells.extend(HALVES.map(|halves| Self {
                mbit,
                rtt_ms: WANDERING.1,
                halves,
                wanders: true,
            }));
        }
        cells
    }

    fn line(self) -> Line {
        let rate = self.mbit * 1_000_000;
        let product = rate / 8 * self.rtt_ms / 1_000;
        let (jitter, jitter_kind) = match self.wanders {
            true => JITTER,
            false => (Duration::ZERO, JitterKind::InOrder),
        };
        Line {
            rate: Some(rate),
            queue: (product * self.halves / 2) as usize,
            rtt: Duration::from_millis(self.rtt_ms),
            jitter,
            jitter_kind,
            ..Line::common()
        }
    }

    fn name(self) -> String {
        let products = self.halves as f64 / 2.0;
        let jitter = if self.wanders { ", jitter" } else { "" };
        format!(
            "grid, {} Mbit/s, {} ms{jitter}, {products}",
            self.mbit, self.rtt_ms
        )
    }
}

/// Shares in percent, one for each head start.
#[derive(Debug, Clone, Copy)]
struct Shares {
    begun_first: [f64; 3],
    begun_second: [f64; 3],
    /// Least of both flows together, of the line's rate.
    used: f64,
}

fn play(cell: Cell, ours: &Controllers) -> Shares {
    let line = cell.line();
    let cubic: Controllers = Arc::new(CubicConfig::default());
    let mut used = f64::INFINITY;
    let mut share = |first: &Controllers, second: &Controllers, ms| {
        let head_start = Duration::from_millis(ms);
        let seen = together(&line, first.clone(), second.clone(), head_start);
        used = used.min(seen.goodput * 8.0 / cell.mbit as f64);
        seen.first * 100.0
    };
    let begun_first = HEAD_STARTS.map(|ms| share(ours, &cubic, ms));
    let begun_second = HEAD_STARTS.map(|ms| 100.0 - share(&cubic, ours, ms));
    Shares {
        begun_first,
        begun_second,
        used,
    }
}

/// Prints the table, and how far shares go from a half.
pub(super) fn print(wanted: &Wanted) {
    for (name, ours) in controllers() {
        let is_wanted = |cell: &Cell| wanted.includes(&cell.name(), name);
        let cells: Vec<_> = Cell::all().into_iter().filter(is_wanted).collect();
        if !cells.is_empty() {
            print_of(name, &ours, &cells);
        }
    }
}

fn print_of(name: &str, ours: &Controllers, cells: &[Cell]) {
    println!(
        "\n| grid | of {name} beside CUBIC, begun first, % | begun second | both, of the line, % |"
    );
    println!("| --- | --- | --- | --- |");
    let (mut least, mut most) = (100.0_f64, 0.0_f64);
    parallel::in_order(
        cells,
        |&cell| (cell, play(cell, ours)),
        |(cell, shares)| {
            let text = |shares: [f64; 3]| shares.map(|share| format!("{share:.0}")).join(", ");
            for share in shares.begun_first.into_iter().chain(shares.begun_second) {
                (least, most) = (least.min(share), most.max(share));
            }
            println!(
                "| {} | {} | {} | {:.0} |",
                cell.name(),
                text(shares.begun_first),
                text(shares.begun_second),
                shares.used * 100.0
            );
        },
    );
    println!("\nLeast {least:.0} %, most {most:.0} %.");
}
