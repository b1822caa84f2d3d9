//! Which pairs the lab runs, and the path each must get.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::site::{Sharing, Site};

/// Two sites; the first one's host dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// Where the dialing host is.
    pub(crate) a: Site,
    /// Where the answering host is.
    pub(crate) b: Site,
}

/// The path a session ends up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Path {
    /// Host to host.
    Direct,
    /// Through the server.
    Relay,
}

impl Path {
    /// The word that `gimlet --json` uses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
        }
    }
}

impl Pair {
    /// A name for files and tables.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.a.name(), self.b.name())
    }
}

impl FromStr for Pair {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (a, b) = text
            .split_once(',')
            .context("a pair is two sites: open,strict")?;
        let site = |name: &str| {
            Site::from_str(name.trim(), true)
                .map_err(|_| anyhow::anyhow!("no site is called {name:?}; see --list"))
        };
        let pair = Self {
            a: site(a)?,
            b: site(b)?,
        };
        let shared = [pair.a, pair.b]
            .into_iter()
            .find(|site| site.sharing() == Sharing::Shared);
        match shared {
            Some(site) if pair.a != pair.b => {
                bail!("{} pairs only with itself: {0},{0}", site.name())
            }
            _ => Ok(pair),
        }
    }
}

/// The square that iroh tests with: every one with every one, in both directions.
const SQUARE: [Site; 4] = [Site::None, Site::Open, Site::Moderate, Site::Strict];

/// Beyond the square: one cell for each thing only it can show.
const MORE: [(Site, Site); 27] = [
    (Site::Restricted, Site::Strict),
    (Site::Strict, Site::Restricted),
    (Site::Firewall, Site::Firewall),
    (Site::Firewall, Site::Moderate),
    (Site::Firewall, Site::Strict),
    (Site::Double, Site::Double),
    (Site::Double, Site::Moderate),
    (Site::None, Site::Double),
    (Site::Double, Site::Strict),
    (Site::Carrier, Site::Open),
    (Site::Moderate, Site::Carrier),
    (Site::ServerOnly, Site::None),
    (Site::Moderate, Site::ServerOnly),
    (Site::Ipv6, Site::Ipv6),
    (Site::Ipv6, Site::Moderate),
    (Site::Lan, Site::Lan),
    (Site::Shared, Site::Shared),
    (Site::Hairpin, Site::Hairpin),
    (Site::Moderate, Site::Upnp),
    (Site::Upnp, Site::Strict),
    (Site::UpnpCarrier, Site::Strict),
    (Site::Blocked, Site::None),
    (Site::Strict, Site::Blocked),
    (Site::Blocked, Site::Blocked),
    (Site::Proxied, Site::None),
    (Site::Strict, Site::Proxied),
    (Site::Blocked, Site::Proxied),
];

/// Every cell of a full run, in the order of the table.
pub(crate) fn all() -> Vec<Pair> {
    let square = SQUARE
        .into_iter()
        .flat_map(|a| SQUARE.into_iter().map(move |b| Pair { a, b }));
    square
        .chain(MORE.into_iter().map(|(a, b)| Pair { a, b }))
        .collect()
}

/// The sites that `pairs` need.
pub(crate) fn sites(pairs: &[Pair]) -> BTreeSet<Site> {
    pairs.iter().flat_map(|pair| [pair.a, pair.b]).collect()
}

#[cfg(test)]
mod tests;
