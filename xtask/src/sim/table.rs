//! What a run shows in the terminal.

use anstyle::Style;
use gimlet_trial::{Expectation, Figures, Share, Site, Spread};

use super::plan::Pair;
use super::report::{CellReport, Report, Weighted, in_words};
use crate::term::{BAD, DIM, GOOD, HEAD, NOTE, paint};

/// Width of a cell of the matrix. Sixteen of them and the names fit in 80 columns.
const CELL: usize = 4;
/// Width of the names beside it, with the number of the column.
const NAME: usize = 14;

/// Sites, and what must come of each pair.
pub(super) fn list() {
    for (n, site) in Site::ALL.iter().enumerate() {
        anstream::println!("{:2} {site:11} {}", n + 1, paint(DIM, site.in_terms()));
    }
    anstream::println!("\n{}", paint(HEAD, "what must come of a pair"));
    let mut expectations: Vec<(String, Vec<String>)> = Vec::new();
    for pair in Pair::all().into_iter().filter(|p| p.dialer <= p.acceptor) {
        let words = in_words(pair.expectation());
        let name = format!("{},{}", pair.dialer, pair.acceptor);
        match expectations.iter_mut().find(|(known, _)| *known == words) {
            Some((_, pairs)) => pairs.push(name),
            None => expectations.push((words, vec![name])),
        }
    }
    for (words, pairs) in expectations {
        anstream::println!("{}: {}", paint(HEAD, words), pairs.join(" "));
    }
}

/// The whole report.
pub(super) fn print(report: &Report) {
    if report.complete {
        matrix(report);
    } else {
        cells(&report.cells);
    }
    checks(report);
    for (n, population) in report.populations.iter().enumerate() {
        if n == 0 {
            anstream::println!("\n{}", paint(HEAD, "when two hosts of a population meet"));
        }
        anstream::println!("{}", weighted(population));
    }
}

/// A share with its interval, as in `99.4 % (98.8 to 99.7)`.
pub(super) fn share(share: &Share) -> String {
    let [value, low, high] = [share.value(), share.low, share.high].map(number);
    format!("{value} % ({low} to {high})")
}

/// A percentage that says 100 only when it is.
pub(super) fn percent(value: f64) -> String {
    format!("{} %", number(value))
}

/// Of 0 to 1, in percent: the closer to 100, the more digits.
fn number(value: f64) -> String {
    let percent = 100.0 * value;
    match percent {
        _ if percent <= 0.0 || percent >= 100.0 => format!("{percent:.0}"),
        _ if percent > 99.9 => format!("{:.3}", percent.min(99.999)),
        _ if percent > 99.0 => format!("{percent:.2}"),
        _ => format!("{percent:.1}"),
    }
}

/// Milliseconds, as people read them.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// p50 and p95.
pub(super) fn spread(spread: Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("–".to_owned(), |s| {
        format!("{} / {}", show(s.p50), show(s.p95))
    })
}

/// The share of direct trials of every pair, all loss rates together.
fn matrix(report: &Report) {
    let title = "direct, percent; rows dial, columns answer; every loss rate together";
    anstream::println!("\n{}", paint(HEAD, title));
    let numbers: String = (1..=Site::ALL.len())
        .map(|n| format!("{n:CELL$}"))
        .collect();
    anstream::println!("{}", paint(DIM, format!("{:NAME$}{numbers}", "")));
    for (n, dialer) in Site::ALL.into_iter().enumerate() {
        let mut line = format!("{:2} {dialer:11}", n + 1);
        for acceptor in Site::ALL {
            let pair = Pair { dialer, acceptor };
            let Some(figures) = report.pooled.get(&pair) else {
                continue;
            };
            let (style, text) = cell(pair, figures);
            line += &paint(style, format!("{text:>CELL$}"));
        }
        anstream::println!("{line}");
    }
    anstream::println!(
        "{}   {}   {}",
        paint(GOOD, "100 plain checks"),
        paint(NOTE, "99 a search"),
        paint(DIM, "· relayed")
    );
}

fn cell(pair: Pair, figures: &Figures) -> (Style, String) {
    let value = figures.direct.value();
    // Cut, so that 100 means all.
    let text = match figures.direct.count {
        0 => "·".to_owned(),
        _ => format!("{}", (100.0 * value + 1e-9).floor()),
    };
    let style = match pair.expectation() {
        Expectation::Plain if value < 1.0 => BAD,
        Expectation::Plain => GOOD,
        Expectation::Searched { share, .. } if value < share => BAD,
        Expectation::Relayed { .. } if value > 0.0 => BAD,
        _ if value > 0.0 => NOTE,
        Expectation::Searched { .. } | Expectation::Measured | Expectation::Relayed { .. } => DIM,
    };
    (style, text)
}

/// A line a cell, where only some were played.
fn cells(cells: &[CellReport]) {
    for cell in cells {
        let figures = &cell.figures;
        let mark = match cell.met {
            Some(true) => paint(GOOD, "✓"),
            Some(false) => paint(BAD, "✗"),
            None => paint(DIM, "·"),
        };
        let head = format!(
            "{} → {}, {}, {} % loss",
            cell.dialer,
            cell.acceptor,
            cell.setting,
            100.0 * cell.loss
        );
        anstream::println!("\n{mark} {}", paint(HEAD, head));
        let line = |name: &str, text: String| {
            anstream::println!("  {} {text}", paint(DIM, format!("{name:16}")));
        };
        line("expected", cell.expected.clone());
        line(
            "direct",
            format!("{} of {} trials", share(&figures.direct), figures.direct.of),
        );
        line("from connect", spread(figures.after_connect_ms, time));
        line("from exchange", spread(figures.after_exchange_ms, time));
        let count = |n: f64| format!("{n:.0}");
        let sent = |s| spread(Some(s), count);
        line(
            "packets",
            format!(
                "dialer {}, acceptor {}; at most {} in a second",
                sent(figures.sent_by_dialer),
                sent(figures.sent_by_acceptor),
                figures.busiest_second
            ),
        );
        for (name, counts) in [
            ("found by", &figures.strategies),
            ("not, because", &figures.failures),
        ] {
            if !counts.is_empty() {
                let counts: Vec<_> = counts.iter().map(|(k, n)| format!("{k} {n}")).collect();
                line(name, counts.join(", "));
            }
        }
    }
    anstream::println!("\n{}", paint(DIM, "times and packets are p50 / p95"));
}

fn checks(report: &Report) {
    anstream::println!("\n{}", paint(HEAD, "must hold"));
    for check in &report.checks {
        let mark = match check.holds() {
            true => paint(GOOD, "✓"),
            false => paint(BAD, "✗"),
        };
        anstream::println!("{mark} {}", check.rule);
        anstream::println!("  {}", paint(DIM, &check.found));
        for missed in &check.missed {
            anstream::println!("  {}", paint(BAD, format!("✗ {missed}")));
        }
    }
}

fn weighted(population: &Weighted) -> String {
    let share = |value: f64| format!("{:.1} %", 100.0 * value);
    let birthday = population
        .by_strategy
        .get("birthday")
        .copied()
        .unwrap_or(0.0);
    let how = format!(
        "plain checks {}, prediction {}, birthday {}",
        share(population.plain),
        share(population.direct - population.plain - birthday),
        share(birthday)
    );
    format!(
        "{:18} {:>7} direct  {}",
        population.name,
        share(population.direct),
        paint(DIM, how)
    )
}
