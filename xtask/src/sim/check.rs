//! What must hold, and whether it did.

use std::time::Duration;

use gimlet_trial::{Expectation, Share, Spread, Tally};
use serde::Serialize;

use super::measure::Measured;
use super::plan::Setting;

/// One way between any two in the even setting, milliseconds.
const TRIP_MS: f64 = 20.0;

/// One line of what must hold.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    /// What must hold.
    pub(super) rule: &'static str,
    /// What was found.
    pub(super) found: String,
    /// Cells that break it.
    pub(super) missed: Vec<String>,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.missed.is_empty()
    }
}

/// Everything that must hold and was measured.
pub(super) fn all(measured: &[Measured]) -> Vec<Check> {
    let varied = || {
        measured
            .iter()
            .filter(|m| m.cell.setting == Setting::Varied)
    };
    let searched = |share, secs| Expectation::Searched {
        share,
        within: Duration::from_secs(secs),
    };
    let checks = [
        share_check(
            "pairs that plain checks can join are always direct",
            varied(),
            Expectation::Plain,
        ),
        share_check(
            "strict with predictable ports or a block: at least 99 % within 3 s",
            varied(),
            searched(0.99, 3),
        ),
        share_check(
            "strict with random ports: at least 99 % within 20 s",
            varied(),
            searched(0.99, 20),
        ),
        share_check(
            "sequential with sequential: at least 95 %",
            varied(),
            searched(0.95, 20),
        ),
        relayed_check(varied()),
        silence_check(varied()),
        astray_check(measured),
        verdict_check(measured),
        time_check(
            "20 ms one way, no loss: half of each plain pair's attempts are direct 4 trips after candidates are exchanged",
            measured,
            |spread| spread.p50,
            4.0,
        ),
        time_check(
            "20 ms one way, no loss: nineteen of twenty are after 8 trips",
            measured,
            |spread| spread.p95,
            8.0,
        ),
        lossy_time_check(measured),
    ];
    checks.into_iter().flatten().collect()
}

/// What a cell must reach and has reached, where a share is asked for.
pub(super) fn reached(measured: &Measured) -> Option<(Share, f64)> {
    match measured.cell.pair.expectation() {
        Expectation::Plain => Some((measured.tally.figures().direct, 1.0)),
        Expectation::Searched { share, within } => {
            Some((measured.tally.direct_within(within), share))
        }
        Expectation::Measured | Expectation::Relayed { .. } => None,
    }
}

/// Whether a share is below what it must be. Few trials cannot tell 99 % from 97 %: then only what
/// the interval rules out counts.
pub(super) fn misses(share: &Share, least: f64) -> bool {
    const ENOUGH: u32 = 100;
    share.value() < least && (share.of >= ENOUGH || least >= 1.0 || share.high < least)
}

/// A cell's name in a list of those that miss something.
fn name(measured: &Measured) -> String {
    let cell = &measured.cell;
    let pair = &cell.pair;
    let loss = 100.0 * cell.loss;
    format!("{} → {} at {loss} % loss", pair.dialer, pair.acceptor)
}

fn share_check<'a>(
    rule: &'static str,
    measured: impl Iterator<Item = &'a Measured>,
    expected: Expectation,
) -> Option<Check> {
    let (mut count, mut of, mut cells, mut worst) = (0, 0, 0, None::<(f64, String)>);
    let mut missed = Vec::new();
    for m in measured.filter(|m| m.cell.pair.expectation() == expected) {
        let (share, least) = reached(m)?;
        (count, of, cells) = (count + share.count, of + share.of, cells + 1);
        if worst
            .as_ref()
            .is_none_or(|(worst, _)| share.value() < *worst)
        {
            worst = Some((share.value(), name(m)));
        }
        if misses(&share, least) {
            missed.push(format!("{}: {}", name(m), super::table::share(&share)));
        }
    }
    let (worst, at) = worst?;
    let mut found = format!(
        "{} in {cells} cells",
        super::table::share(&Share::new(count, of))
    );
    if worst < 1.0 {
        found += &format!("; worst {:.1} %, {at}", 100.0 * worst);
    }
    Some(Check {
        rule,
        found,
        missed,
    })
}

fn relayed_check<'a>(measured: impl Iterator<Item = &'a Measured>) -> Option<Check> {
    let is_relayed =
        |m: &&Measured| matches!(m.cell.pair.expectation(), Expectation::Relayed { .. });
    let cells: Vec<_> = measured.filter(is_relayed).collect();
    let direct = |m: &&&Measured| m.tally.figures().direct.count > 0;
    let missed: Vec<_> = cells.iter().filter(direct).map(|m| name(m)).collect();
    (!cells.is_empty()).then(|| Check {
        rule: "pairs that cannot be joined stay relayed",
        found: format!("{} of {} cells", cells.len() - missed.len(), cells.len()),
        missed,
    })
}

fn silence_check<'a>(measured: impl Iterator<Item = &'a Measured>) -> Option<Check> {
    let silent = Expectation::Relayed { silent: true };
    let cells: Vec<_> = measured
        .filter(|m| m.cell.pair.expectation() == silent)
        .collect();
    let searched = |m: &&&Measured| m.tally.figures().searched > 0;
    let missed: Vec<_> = cells.iter().filter(searched).map(|m| name(m)).collect();
    (!cells.is_empty()).then(|| Check {
        rule: "random ports on both sides: nobody sends a search packet",
        found: format!("{} of {} cells", cells.len() - missed.len(), cells.len()),
        missed,
    })
}

fn astray_check(measured: &[Measured]) -> Option<Check> {
    let astray = |m: &&Measured| m.tally.figures().astray > 0;
    let missed: Vec<_> = measured.iter().filter(astray).map(name).collect();
    (!measured.is_empty()).then(|| Check {
        rule: "nobody sends to a host that was neither announced nor heard from",
        found: format!(
            "{} of {} cells",
            measured.len() - missed.len(),
            measured.len()
        ),
        missed,
    })
}

/// The prober's verdicts, which searches are planned by.
fn verdict_check(measured: &[Measured]) -> Option<Check> {
    let figures = measured.iter().map(|m| (m, m.tally.figures()));
    let (mut right, mut all, mut missed) = (0, 0, Vec::new());
    for (m, figures) in figures {
        let sides = 2 * figures.direct.of;
        let share = Share::new(sides - figures.misjudged, sides);
        (right, all) = (right + share.count, all + share.of);
        if misses(&share, 0.99) {
            missed.push(format!("{}: {}", name(m), super::table::share(&share)));
        }
    }
    (all > 0).then(|| Check {
        rule: "what a side finds out about its mapping and ports is never wrong in more than 1 % of a cell",
        found: format!("{} right", super::table::share(&Share::new(right, all))),
        missed,
    })
}

/// Times of plain pairs in the even setting, in trips; each pair by itself.
fn time_check(
    rule: &'static str,
    measured: &[Measured],
    pick: impl Fn(Spread) -> f64,
    trips: f64,
) -> Option<Check> {
    let mut missed = Vec::new();
    let mut slowest = None::<f64>;
    let mut cells = 0;
    for m in even(measured).filter(|m| m.cell.loss == 0.0) {
        let took = pick(m.tally.figures().after_exchange_ms?) / TRIP_MS;
        cells += 1;
        slowest = Some(slowest.map_or(took, |slowest| slowest.max(took)));
        if took > trips {
            missed.push(format!("{}: {took:.1} trips", name(m)));
        }
    }
    Some(Check {
        rule,
        found: format!("at most {:.1} trips in each of {cells} cells", slowest?),
        missed,
    })
}

/// The same with loss, all pairs together: one pair has too few attempts to tell its slowest.
fn lossy_time_check(measured: &[Measured]) -> Option<Check> {
    let mut all = Tally::default();
    let lossy = |m: &&Measured| m.cell.loss > 0.0;
    even(measured)
        .filter(lossy)
        .for_each(|m| all.merge(&m.tally));
    let spread = all.figures().after_exchange_ms?;
    let (p50, p95) = (spread.p50 / TRIP_MS, spread.p95 / TRIP_MS);
    let found = format!("{p50:.1} and {p95:.1} trips, all pairs together");
    Some(Check {
        rule: "20 ms one way, with loss: half are after 4 trips, nineteen of twenty after 8",
        missed: match p50 <= 4.0 && p95 <= 8.0 {
            true => Vec::new(),
            false => vec![found.clone()],
        },
        found,
    })
}

fn even(measured: &[Measured]) -> impl Iterator<Item = &Measured> {
    let even = |m: &&Measured| m.cell.setting == Setting::Even;
    measured.iter().filter(even)
}
