//! Which pairs the virtual part runs.

use std::str::FromStr;

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::site::Spot;

/// Two sites; the first one's host dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// Where the dialing host is.
    pub(crate) a: Spot,
    /// Where the answering host is.
    pub(crate) b: Spot,
}

impl FromStr for Pair {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (a, b) = text
            .split_once(',')
            .context("a pair is two sites: apdf,random")?;
        let site = |name: &str| {
            Spot::from_str(name.trim(), true)
                .map_err(|_| anyhow::anyhow!("no site is called {name:?}; see --list"))
        };
        let pair = Self {
            a: site(a)?,
            b: site(b)?,
        };
        if pair.a != pair.b && (pair.a.is_shared() || pair.b.is_shared()) {
            bail!("twins pairs only with itself: twins,twins");
        }
        Ok(pair)
    }
}

/// Packets lost between any two, as each pair is run: on two links, so half of it on each.
pub(crate) const LOSSES: [f64; 2] = [0.0, 0.02];

/// Every class with every class that plain checks can join it with, at each loss.
const CLASSES: [(Spot, Spot); 8] = [
    (Spot::Eif, Spot::Eif),
    (Spot::Eif, Spot::Apdf),
    (Spot::Adf, Spot::Random),
    (Spot::Eif, Spot::RandomEif),
    (Spot::Apdf, Spot::Apdf),
    (Spot::Apdf, Spot::RandomEif),
    (Spot::Sequential, Spot::RandomEif),
    (Spot::RandomEif, Spot::RandomEif),
];

/// Every other kind of site once, on clean links.
const KINDS: [(Spot, Spot); 7] = [
    (Spot::Public, Spot::Apdf),
    (Spot::Guarded, Spot::Apdf),
    (Spot::ApdfRandom, Spot::ApdfMoving),
    (Spot::ApdfShort, Spot::Nested),
    (Spot::Apdf, Spot::Cgnat),
    (Spot::Twins, Spot::Twins),
    (Spot::Address, Spot::Adf),
];

/// What only a search can join, and what nothing can. Searches are long, so they are run on
/// clean links; how they stand loss is for the simulator to tell, by the thousand.
const SEARCH: [(Spot, Spot); 8] = [
    (Spot::Apdf, Spot::Sequential),
    (Spot::SequentialTwo, Spot::Apdf),
    (Spot::Apdf, Spot::AddressSequential),
    (Spot::Apdf, Spot::Block),
    (Spot::Apdf, Spot::Address),
    (Spot::Apdf, Spot::Random),
    (Spot::Sequential, Spot::Sequential),
    (Spot::Random, Spot::Random),
];

/// Every pair of a full run, in the order of the table.
pub(crate) fn all() -> Vec<Pair> {
    let pairs = CLASSES.into_iter().chain(KINDS).chain(SEARCH);
    pairs.map(|(a, b)| Pair { a, b }).collect()
}

/// The losses a pair is run at. Who asks for a pair that is not in the plan gets both.
pub(crate) fn losses(pair: Pair) -> &'static [f64] {
    let pair = (pair.a, pair.b);
    if SEARCH.contains(&pair) || KINDS.contains(&pair) {
        &LOSSES[..1]
    } else {
        &LOSSES
    }
}

#[cfg(test)]
mod tests;
