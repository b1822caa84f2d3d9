//! Everything that a run found, for the table, the pages and the JSON file.

use std::collections::BTreeMap;

use gimlet_sim::{Verdict, oracle};
use gimlet_trial::{Expectation, Figures, Site, Tally};
use serde::Serialize;

use super::check::{self, Check};
use super::measure::Measured;
use super::plan::{Pair, Plan, Setting};
use super::population::Population;

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) losses: Vec<f64>,
    pub(super) server_addresses: u8,
    /// Whether every pair was played.
    pub(super) complete: bool,
    pub(super) checks: Vec<Check>,
    pub(super) populations: Vec<Weighted>,
    pub(super) cells: Vec<CellReport>,
    /// All loss rates of a pair together, by dialer and acceptor.
    #[serde(skip)]
    pub(super) pooled: BTreeMap<Pair, Figures>,
}

/// One cell.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CellReport {
    pub(super) dialer: &'static str,
    pub(super) acceptor: &'static str,
    pub(super) setting: &'static str,
    pub(super) loss: f64,
    pub(super) oracle: Verdict,
    pub(super) expected: String,
    /// `None` where nothing is promised.
    pub(super) met: Option<bool>,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// What a population gets.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Weighted {
    pub(super) name: String,
    pub(super) source: String,
    /// Of all pairs, 0 to 1: direct.
    pub(super) direct: f64,
    /// Of all pairs, 0 to 1: those that plain checks join.
    pub(super) plain: f64,
    /// Of all pairs, 0 to 1, by how a direct path was found.
    pub(super) by_strategy: BTreeMap<&'static str, f64>,
}

impl Report {
    pub(super) fn new(plan: &Plan, measured: &[Measured], populations: &[Population]) -> Self {
        let mut tallies = BTreeMap::<Pair, Tally>::new();
        for m in measured
            .iter()
            .filter(|m| m.cell.setting == Setting::Varied)
        {
            tallies.entry(m.cell.pair).or_default().merge(&m.tally);
        }
        let pooled: BTreeMap<_, _> = tallies
            .into_iter()
            .map(|(pair, tally)| (pair, tally.figures()))
            .collect();
        let complete = plan.pairs.is_empty();
        let populations = match complete {
            true => populations.iter().map(|p| weigh(p, &pooled)).collect(),
            false => Vec::new(),
        };
        let mut cells: Vec<_> = measured.iter().collect();
        cells.sort_by(|a, b| {
            let key = |m: &Measured| (m.cell.setting, m.cell.pair);
            key(a)
                .cmp(&key(b))
                .then(a.cell.loss.total_cmp(&b.cell.loss))
        });
        Self {
            seed: plan.seed,
            losses: plan.losses.clone(),
            server_addresses: plan.server_addresses,
            complete,
            checks: check::all(measured),
            populations,
            cells: cells.into_iter().map(CellReport::new).collect(),
            pooled,
        }
    }

    pub(super) fn all_met(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }

    /// How many trials there were.
    pub(super) fn trials(&self) -> u64 {
        self.cells
            .iter()
            .map(|c| u64::from(c.figures.direct.of))
            .sum()
    }

    /// As JSON. The same seed gives the same bytes.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl CellReport {
    fn new(measured: &Measured) -> Self {
        let cell = &measured.cell;
        let Pair { dialer, acceptor } = cell.pair;
        let figures = measured.tally.figures();
        let met = match cell.pair.expectation() {
            Expectation::Measured => None,
            Expectation::Relayed { silent } => {
                Some(figures.direct.count == 0 && !(silent && figures.searched > 0))
            }
            Expectation::Plain | Expectation::Searched { .. } => {
                check::reached(measured).map(|(share, least)| !check::misses(&share, least))
            }
        };
        Self {
            dialer: dialer.name(),
            acceptor: acceptor.name(),
            setting: match cell.setting {
                Setting::Varied => "varied",
                Setting::Even => "even",
            },
            loss: cell.loss,
            oracle: oracle(dialer.class(), acceptor.class()),
            expected: in_words(cell.pair.expectation()),
            met,
            figures,
        }
    }
}

/// What must come of a pair, in a few words.
pub(super) fn in_words(expectation: Expectation) -> String {
    match expectation {
        Expectation::Plain => "direct".to_owned(),
        Expectation::Searched { share, within } => {
            format!("{:.0} % in {} s", 100.0 * share, within.as_secs())
        }
        Expectation::Measured => "no promise".to_owned(),
        Expectation::Relayed { silent: true } => "relay, no search".to_owned(),
        Expectation::Relayed { silent: false } => "relay".to_owned(),
    }
}

/// Every pair by how often it occurs when two hosts of the population meet.
fn weigh(population: &Population, pooled: &BTreeMap<Pair, Figures>) -> Weighted {
    let (mut direct, mut plain, mut by_strategy) = (0.0, 0.0, BTreeMap::new());
    for dialer in Site::ALL {
        for acceptor in Site::ALL {
            let weight = population.share(dialer) * population.share(acceptor);
            let pair = Pair { dialer, acceptor };
            let Some(figures) = pooled.get(&pair) else {
                continue;
            };
            direct += weight * figures.direct.value();
            if pair.expectation() == Expectation::Plain {
                plain += weight * figures.direct.value();
            }
            for (strategy, count) in &figures.strategies {
                let share = f64::from(*count) / f64::from(figures.direct.of.max(1));
                *by_strategy.entry(*strategy).or_default() += weight * share;
            }
        }
    }
    Weighted {
        name: population.name.clone(),
        source: population.source.clone(),
        direct,
        plain,
        by_strategy,
    }
}
