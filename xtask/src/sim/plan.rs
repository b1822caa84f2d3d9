//! Which cells are played, and how often.

use std::str::FromStr;

use anyhow::Context;
use gimlet_trial::{Conditions, Expectation, Site, expectation};

/// Two sites; the first one's host dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// Where the dialing host is.
    pub(crate) dialer: Site,
    /// Where the answering host is.
    pub(crate) acceptor: Site,
}

impl FromStr for Pair {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (dialer, acceptor) = text
            .split_once(',')
            .context("a pair is two sites: strict,sym-random")?;
        let site = |name: &str| {
            Site::by_name(name.trim())
                .with_context(|| format!("no site is called {name:?}; see --list"))
        };
        Ok(Self {
            dialer: site(dialer)?,
            acceptor: site(acceptor)?,
        })
    }
}

impl Pair {
    /// Every pair in both directions.
    pub(super) fn all() -> Vec<Self> {
        let with = |dialer| Site::ALL.map(|acceptor| Self { dialer, acceptor });
        Site::ALL.into_iter().flat_map(with).collect()
    }

    /// What must come of it.
    pub(super) fn expectation(self) -> Expectation {
        expectation(self.dialer, self.acceptor)
    }

    /// Its place among all, so that a pair has its own trials whatever else is played.
    fn number(self) -> u64 {
        let place = |site| Site::ALL.iter().position(|other| *other == site);
        let place = |site| place(site).unwrap_or_default() as u64;
        place(self.dialer) * 1000 + place(self.acceptor)
    }
}

/// In what a cell is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    /// Delays, jitter and other people's traffic as they come.
    Varied,
    /// 20 ms between any two: for the times.
    Even,
}

/// A pair in one setting with one loss rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub(super) pair: Pair,
    pub(super) setting: Setting,
    /// 0 to 1.
    pub(super) loss: f64,
    pub(super) server_addresses: u8,
    pub(super) trials: u32,
}

impl Cell {
    pub(super) fn conditions(&self) -> Conditions {
        let conditions = match self.setting {
            Setting::Varied => Conditions::varied(self.loss),
            Setting::Even => Conditions::even(self.loss),
        };
        Conditions {
            server_addresses: self.server_addresses,
            ..conditions
        }
    }

    /// The seed of one trial. Loss and setting do not change it, so that their effect shows.
    pub(super) fn seed(&self, seed: u64, trial: u32) -> u64 {
        let stream = self.pair.number() << 32 | u64::from(trial);
        gimlet_sim::Rng::derive(seed, stream).next_u64()
    }
}

/// What to play.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Of every cell, if not as many as it is worth.
    pub(super) trials: Option<u32>,
    pub(super) quick: bool,
    /// Only these; empty for all.
    pub(super) pairs: Vec<Pair>,
    pub(super) losses: Vec<f64>,
    /// 1 or 2.
    pub(super) server_addresses: u8,
}

impl Plan {
    /// Every cell, the longest first, so that no thread is left with one at the end.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let pairs = match self.pairs.is_empty() {
            true => Pair::all(),
            false => self.pairs.clone(),
        };
        let mut cells = Vec::new();
        for pair in pairs {
            for &loss in &self.losses {
                for setting in [Setting::Varied, Setting::Even] {
                    let worth = worth(pair.expectation(), setting);
                    let trials = match (worth, self.trials, self.quick) {
                        (0, _, _) => continue,
                        (_, Some(trials), _) => trials.max(1),
                        (worth, None, true) => (worth / 10).max(10),
                        (worth, None, false) => worth,
                    };
                    cells.push(Cell {
                        pair,
                        setting,
                        loss,
                        server_addresses: self.server_addresses,
                        trials,
                    });
                }
            }
        }
        cells.sort_by_key(|cell| cell.pair.expectation() == Expectation::Plain);
        cells
    }
}

/// Trials of a cell. Plain ones take a millisecond, so there are many. A search sends
/// hundreds or thousands of packets, so there are as many as tell 99 % from 97 %. What is
/// relayed in any case only has to show that it stays so.
fn worth(expectation: Expectation, setting: Setting) -> u32 {
    match (setting, expectation) {
        (Setting::Varied, Expectation::Plain) => 800,
        (Setting::Varied, Expectation::Searched { .. }) => 250,
        (Setting::Varied, Expectation::Measured) => 100,
        (Setting::Varied, Expectation::Relayed { .. }) => 100,
        (Setting::Even, Expectation::Plain) => 100,
        (Setting::Even, _) => 0,
    }
}
