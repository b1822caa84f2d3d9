//! What must come of a pair of sites: the oracle's word where plain checks are enough, and what the
//! search strategies promise beyond it.

use std::time::Duration;

use gimlet_sim::{SiteClass, oracle};

use crate::Site;

/// What must come of a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expectation {
    /// Plain checks join it: always direct.
    Plain,
    /// A search joins it: this share is direct within this time after `connect`.
    Searched {
        /// Of all trials.
        share: f64,
        /// Since the dialer asked.
        within: Duration,
    },
    /// A search may join it; nothing is promised, what comes of it is shown.
    Measured,
    /// It stays relayed.
    Relayed {
        /// And nobody even searches.
        silent: bool,
    },
}

/// How well the port of a site's next mapping can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predictable {
    /// Exactly, or within a few.
    Closely,
    /// Within a block of a thousand.
    Roughly,
    /// Not at all.
    Never,
}

/// What must come of `dialer` calling `acceptor`.
pub fn expectation(dialer: Site, acceptor: Site) -> Expectation {
    use Predictable::{Closely, Never, Roughly};

    let classes = (dialer.class(), acceptor.class());
    if oracle(classes.0, classes.1).is_direct() {
        return Expectation::Plain;
    }
    match classes {
        (SiteClass::ServerOnly | SiteClass::UdpBlocked, _)
        | (_, SiteClass::ServerOnly | SiteClass::UdpBlocked) => {
            return Expectation::Relayed { silent: false };
        }
        _ => (),
    }
    match (predictable(dialer), predictable(acceptor)) {
        (None, None) => Expectation::Plain,
        (None, Some(Closely | Roughly)) | (Some(Closely | Roughly), None) => {
            let within = Duration::from_secs(3);
            Expectation::Searched {
                share: 0.99,
                within,
            }
        }
        (None, Some(Never)) | (Some(Never), None) => {
            let within = Duration::from_secs(20);
            Expectation::Searched {
                share: 0.99,
                within,
            }
        }
        (Some(Never), Some(Never)) => Expectation::Relayed { silent: true },
        (Some(_), Some(_)) if (dialer, acceptor) == (Site::SymSeq, Site::SymSeq) => {
            let within = Duration::from_secs(20);
            Expectation::Searched {
                share: 0.95,
                within,
            }
        }
        (Some(_), Some(_)) => Expectation::Measured,
    }
}

/// How well a site's ports can be told; `None` where every destination sees the same.
fn predictable(site: Site) -> Option<Predictable> {
    match site {
        Site::Public
        | Site::Firewall
        | Site::Open
        | Site::Moderate
        | Site::Strict
        | Site::Carrier
        | Site::ServerOnly
        | Site::Blocked => None,
        Site::AdmKeep | Site::AdmSeq | Site::SymKeep | Site::SymSeq => Some(Predictable::Closely),
        Site::SymBlock => Some(Predictable::Roughly),
        Site::SymOpen | Site::AdmRandom | Site::SymRandom => Some(Predictable::Never),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_does_not_depend_on_who_dials() {
        for a in Site::ALL {
            for b in Site::ALL {
                assert_eq!(expectation(a, b), expectation(b, a), "{a} and {b}");
            }
        }
    }

    #[test]
    fn every_kind_of_pair_has_its_expectation() {
        let secs = Duration::from_secs;
        let searched = |share, within| Expectation::Searched { share, within };
        let table = [
            (Site::Strict, Site::Carrier, Expectation::Plain),
            (Site::Public, Site::SymRandom, Expectation::Plain),
            (Site::Strict, Site::SymOpen, Expectation::Plain),
            (Site::Strict, Site::SymRandom, searched(0.99, secs(20))),
            (Site::Firewall, Site::AdmRandom, searched(0.99, secs(20))),
            (Site::Strict, Site::SymSeq, searched(0.99, secs(3))),
            (Site::Carrier, Site::SymBlock, searched(0.99, secs(3))),
            (Site::Strict, Site::AdmKeep, searched(0.99, secs(3))),
            (Site::SymSeq, Site::SymSeq, searched(0.95, secs(20))),
            (Site::SymSeq, Site::SymRandom, Expectation::Measured),
            (
                Site::SymRandom,
                Site::AdmRandom,
                Expectation::Relayed { silent: true },
            ),
            (
                Site::Public,
                Site::Blocked,
                Expectation::Relayed { silent: false },
            ),
        ];
        for (a, b, expected) in table {
            assert_eq!(expectation(a, b), expected, "{a} and {b}");
        }
    }
}
