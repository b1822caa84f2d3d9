//! Packets straight to the peer: what was tried, how much of it, and what came back.

use gimlet_proto::traversal::{Outcome, Reason, SearchEnd, Strategy};
use serde::Serialize;

use super::Words;

/// What a search over ports did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Searched {
    /// Rounds.
    pub rounds: u32,
    /// Packets of all rounds.
    pub packets: u32,
    /// Sockets opened at once.
    pub sockets: u32,
    /// How it tried.
    pub strategy: Option<&'static str>,
    /// From its first round to its end, seconds.
    pub seconds: u64,
    /// Why it ended without a path, if it did.
    pub ended: Option<&'static str>,
}

/// Found at [`Stage::Checks`](super::Stage::Checks).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum ChecksFact {
    /// One came back.
    Answered {
        /// Test packets sent, a few of them over the relay.
        sent: u32,
        /// Test packets of the peer that came in.
        received: u32,
        /// When the first was answered.
        ms: Option<f64>,
        /// The search, if there was one.
        search: Option<Searched>,
    },
    /// None did.
    Failed {
        /// Why.
        reason: &'static str,
        /// Why, in words.
        #[serde(skip)]
        because: Reason,
        /// Test packets sent, a few of them over the relay.
        sent: u32,
        /// Test packets of the peer that came in.
        received: u32,
        /// From the dial until it was clear.
        seconds: u64,
        /// The search, if there was one.
        search: Option<Searched>,
    },
    /// Time was up while they went on.
    Unsettled {
        /// Test packets sent so far, a few of them over the relay.
        sent: u32,
        /// Test packets of the peer that came in.
        received: u32,
        /// The search, if there is one.
        search: Option<Searched>,
    },
}

impl ChecksFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Answered {
                sent, ms, search, ..
            } => {
                let after = ms.map_or_else(String::new, |ms| format!(", after {ms:.0} ms"));
                let search = told(search.as_ref());
                Words::good(format!(
                    "The peer answers packets sent straight to it{after}; {sent} were sent.{search}"
                ))
            }
            Self::Failed {
                because,
                sent,
                received,
                seconds,
                search,
                ..
            } => {
                let search = told(search.as_ref());
                let found = format!(
                    "{sent} test packets sent in {seconds} s, {received} of the peer's came in, none \
                     got through directly: {because}.{search}"
                );
                Words::bad(found, advice(*because))
            }
            Self::Unsettled { sent, received, .. } => Words::bad(
                format!(
                    "{sent} test packets sent and {received} of the peer's came in; it is not over yet."
                ),
                "give it more time with --wait-direct",
            ),
        }
    }
}

fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::SendFailed => {
            "a firewall on this machine refuses UDP: allow it for gimlet; check the routes, too"
        }
        Reason::NothingArrived | Reason::Unanswered => {
            "a firewall on one side lets UDP pass to the server only: allow UDP to everywhere, or \
             forward a UDP port to one of the two. The relay works meanwhile"
        }
        Reason::IncompatibleNats => {
            "switch on UPnP, NAT-PMP or PCP in one of the two routers, forward a UDP port there, \
             or use IPv6 on both sides. The relay works meanwhile"
        }
        Reason::TooLarge => {
            "something on the way loses large packets: on a VPN or a tunnel lower its packet size \
             (MTU) to what really passes"
        }
        Reason::RelayOnly
        | Reason::NoRemoteCandidates
        | Reason::NoUsablePair
        | Reason::NotNominated => "try again; the relay works meanwhile",
    }
}

pub(super) fn searched(outcome: &Outcome) -> Option<Searched> {
    let search = &outcome.search;
    (search.rounds > 0 || search.ended.is_some()).then(|| Searched {
        rounds: search.rounds,
        packets: search.packets,
        sockets: search.sockets,
        strategy: search.strategy.map(Strategy::name),
        seconds: search.took.as_secs(),
        ended: search.ended.map(|ended| match ended {
            SearchEnd::Infeasible => "infeasible",
            SearchEnd::Exhausted => "exhausted",
            SearchEnd::Unanswered => "unanswered",
            SearchEnd::Refused => "refused",
            SearchEnd::Unable => "unable",
        }),
    })
}

fn told(search: Option<&Searched>) -> String {
    match search {
        Some(search) if search.rounds > 0 => format!(
            " A search over ports took {} s, in {} {}: {} packets from {} sockets.",
            search.seconds,
            search.rounds,
            rounds(search.rounds),
            search.packets,
            search.sockets
        ),
        Some(_) | None => String::new(),
    }
}

fn rounds(count: u32) -> &'static str {
    match count {
        1 => "round",
        _ => "rounds",
    }
}
