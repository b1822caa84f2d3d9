//! Who is where: shares of hosts at each site, from a file that says where its figures are from.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use gimlet_trial::Site;
use serde::{Deserialize, Serialize};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    population: Vec<Population>,
}

/// A guess at where hosts are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Population {
    /// A short name.
    pub(super) name: String,
    /// Where the figures are from, and which of them are assumptions.
    pub(super) source: String,
    /// Parts of the whole by site, in any unit.
    shares: BTreeMap<String, f64>,
}

impl Population {
    /// Reads a file and checks it.
    pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} can't be read", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Vec<Self>> {
        let File { population } = toml::from_str(text)?;
        for population in &population {
            let name = &population.name;
            for (site, share) in &population.shares {
                ensure!(
                    Site::by_name(site).is_some(),
                    "{name}: no site is called {site:?}"
                );
                ensure!(*share >= 0.0, "{name}: the share of {site} is negative");
            }
            ensure!(population.total() > 0.0, "{name}: there is nobody");
        }
        Ok(population)
    }

    fn total(&self) -> f64 {
        self.shares.values().sum()
    }

    /// The share of hosts at a site, 0 to 1.
    pub(super) fn share(&self, site: Site) -> f64 {
        self.shares.get(site.name()).copied().unwrap_or(0.0) / self.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_repository_is_sound() {
        let populations =
            Population::parse(include_str!("../../data/nat-population.toml")).unwrap();
        for population in populations {
            let sum: f64 = Site::ALL.map(|site| population.share(site)).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{}", population.name);
            assert!(
                (population.total() - 100.0).abs() < 1e-9,
                "{}",
                population.name
            );
        }
    }

    #[test]
    fn a_site_that_does_not_exist_is_an_error() {
        let text = "[[population]]\nname = 'x'\nsource = 'y'\nshares = { cone = 1.0 }";
        assert!(Population::parse(text).is_err());
    }
}
