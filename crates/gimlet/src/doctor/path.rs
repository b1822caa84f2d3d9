//! From a session over the relay to data over a direct path.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_proto::traversal::{Outcome, Reason, Strategy};
use serde::Serialize;

use super::checks::{ChecksFact, searched};
use super::{Words, ms};
use crate::connection::Timings;
use crate::peer::Path;

/// Found at [`Stage::Addresses`](super::Stage::Addresses).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum AddressesFact {
    /// Each side has some to try.
    Exchanged,
    /// This side wants no direct path.
    RelayOnly,
    /// The other side told none.
    NoneOfPeer,
    /// None of the other side's can be sent to from here.
    NoneUsable,
}

/// Found at [`Stage::Direct`](super::Stage::Direct).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum DirectFact {
    /// It is in use.
    Direct {
        /// Our address on it.
        local: Option<SocketAddr>,
        /// The peer's.
        remote: Option<SocketAddr>,
        /// How it was found.
        strategy: Option<&'static str>,
        /// When it was chosen.
        ms: Option<f64>,
        /// Its round trip.
        rtt_ms: Option<f64>,
    },
    /// Packets pass, and yet the relay is in use.
    NotChosen,
}

/// Found at [`Stage::Confirmed`](super::Stage::Confirmed).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum ConfirmedFact {
    /// The peer's data came in over it.
    Heard {
        /// When.
        ms: f64,
    },
    /// None came yet.
    NotHeard,
}

/// What a connection has become: as many stages as were reached, the one that failed last.
pub(super) type Way = (
    AddressesFact,
    Option<ChecksFact>,
    Option<DirectFact>,
    Option<ConfirmedFact>,
);

/// `took`: since the dial.
pub(super) fn judge(path: &Path, outcome: &Outcome, timings: &Timings, took: Duration) -> Way {
    let failure = outcome.failure.filter(|_| !path.is_direct());
    let addresses = match failure.map(|failure| failure.reason) {
        Some(Reason::RelayOnly) => AddressesFact::RelayOnly,
        Some(Reason::NoRemoteCandidates) => AddressesFact::NoneOfPeer,
        Some(Reason::NoUsablePair) => AddressesFact::NoneUsable,
        Some(
            Reason::SendFailed
            | Reason::NothingArrived
            | Reason::IncompatibleNats
            | Reason::Unanswered
            | Reason::TooLarge
            | Reason::NotNominated,
        )
        | None => AddressesFact::Exchanged,
    };
    if addresses != AddressesFact::Exchanged {
        return (addresses, None, None, None);
    }
    let (sent, received) = (outcome.counts.checks_sent, outcome.counts.checks_received);
    let search = searched(outcome);
    let answered = ChecksFact::Answered {
        sent,
        received,
        ms: outcome.times.first_answer.map(ms),
        search: search.clone(),
    };
    match failure.map(|failure| failure.reason) {
        _ if path.is_direct() => {
            let direct = DirectFact::Direct {
                local: path.local,
                remote: path.remote,
                strategy: path.strategy.map(Strategy::name),
                ms: timings.direct.map(ms),
                rtt_ms: path.rtt.map(ms),
            };
            let confirmed = match timings.direct_confirmed {
                Some(at) => ConfirmedFact::Heard { ms: ms(at) },
                None => ConfirmedFact::NotHeard,
            };
            (addresses, Some(answered), Some(direct), Some(confirmed))
        }
        Some(Reason::NotNominated) => {
            let direct = DirectFact::NotChosen;
            (addresses, Some(answered), Some(direct), None)
        }
        Some(because) => {
            let checks = ChecksFact::Failed {
                reason: because.name(),
                because,
                sent,
                received,
                seconds: took.as_secs(),
                search,
            };
            (addresses, Some(checks), None, None)
        }
        None => {
            let checks = ChecksFact::Unsettled {
                sent,
                received,
                search,
            };
            (addresses, Some(checks), None, None)
        }
    }
}

impl AddressesFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Exchanged => Words::good("Both sides have told where they can be found."),
            Self::RelayOnly => Words::bad(
                "This side is set to use the relay only.",
                "leave out --relay-only, GIMLET_RELAY_ONLY and relay_only",
            ),
            Self::NoneOfPeer => Words::bad(
                "The peer tells no address of its own.",
                "it is set to use the relay only: let it leave out --relay-only, or it is on no \
                 network that it could name",
            ),
            Self::NoneUsable => Words::bad(
                "None of the peer's addresses can be sent to from here.",
                "one side has IPv4 alone and the other IPv6 alone: give one of them the other",
            ),
        }
    }
}

impl DirectFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Direct {
                remote, ms, rtt_ms, ..
            } => {
                let to = remote.map_or_else(String::new, |remote| format!(" to {remote}"));
                let after = ms.map_or_else(String::new, |ms| format!(", after {ms:.0} ms"));
                let rtt =
                    rtt_ms.map_or_else(String::new, |rtt| format!("; round trip {rtt:.1} ms"));
                Words::good(format!("There is one{to}{after}{rtt}."))
            }
            Self::NotChosen => Words::bad(
                "Packets pass straight to the peer, but no path of them held.",
                "the network loses many packets: try again, or try another network",
            ),
        }
    }
}

impl ConfirmedFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Heard { ms } => Words::good(format!("It carries data, since {ms:.0} ms.")),
            Self::NotHeard => Words::notice(
                "No data of the peer has come over it yet.",
                "try again; the session falls back to the relay by itself",
            ),
        }
    }
}
