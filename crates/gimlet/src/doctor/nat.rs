//! The router in front of us, in plain words.

use std::net::SocketAddr;

use gimlet_proto::candidate::NatClass;
use gimlet_proto::stats::NatKind;
use serde::Serialize;

use super::Words;
use crate::endpoint::NetReport;

/// Found at [`Stage::Nat`](super::Stage::Nat).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum NatFact {
    /// Nothing changes our address.
    NoNat {
        /// It.
        seen: SocketAddr,
    },
    /// A router changes it.
    Nat {
        /// Where servers see us.
        seen: SocketAddr,
        /// What sort of router.
        kind: NatKind,
        /// All that is known of it.
        nat: NatClass,
        /// Whether there is another router behind it.
        double: Option<bool>,
        /// How long it remembers a connection that is silent, seconds.
        lifetime_s: Option<u64>,
    },
    /// No server told where it sees us over IPv4.
    NotSeen,
}

impl NatFact {
    pub(super) fn new(net: &NetReport) -> Self {
        match net.reflexive_v4 {
            None => Self::NotSeen,
            Some(seen) if net.local.contains(&seen) => Self::NoNat { seen },
            Some(seen) => Self::Nat {
                seen,
                kind: NatKind::from(&net.nat),
                nat: net.nat,
                double: net.details.double_nat,
                lifetime_s: net.details.lifetime.map(|lifetime| lifetime.as_secs()),
            },
        }
    }

    pub(super) fn words(&self) -> Words {
        const FORWARD: &str = "to help: switch on UPnP, NAT-PMP or PCP in the router, or forward a \
                               UDP port to this machine; IPv6 on both sides helps, too";
        match self {
            Self::NoNat { .. } => Words::good("No router changes my address: the easiest case."),
            Self::NotSeen => Words::notice(
                "No server told where it sees me over IPv4.",
                "without that only peers on the same network, or over IPv6, are reached directly",
            ),
            Self::Nat {
                kind,
                double,
                lifetime_s,
                ..
            } => {
                let second = match double {
                    Some(true) => " There is a second router behind it, usually the provider's.",
                    Some(false) | None => "",
                };
                let forgets = match lifetime_s {
                    Some(0) => " It forgets silent connections within seconds.".to_owned(),
                    Some(s) => format!(" It remembers silent connections for {s} s."),
                    None => String::new(),
                };
                let found = format!("{}.{second}{forgets}", described(*kind));
                match kind {
                    NatKind::Open | NatKind::Strict | NatKind::Easy => Words::good(found),
                    NatKind::Unknown => {
                        let notice = Words::notice(found, FORWARD);
                        notice.without_advice()
                    }
                    NatKind::DependentOpen
                    | NatKind::PerAddress
                    | NatKind::Preserving
                    | NatKind::Sequential
                    | NatKind::Block
                    | NatKind::Random
                    | NatKind::Dependent => Words::notice(found, FORWARD),
                }
            }
        }
    }
}

/// A router in a sentence, without a full stop.
pub(super) fn described(kind: NatKind) -> &'static str {
    match kind {
        NatKind::Open => "An easy router: one port for everybody, and whoever knows it gets in",
        NatKind::Strict => {
            "The usual router: one port for everybody, and in gets who was sent to before"
        }
        NatKind::Easy => "An easy router: one port for everybody",
        NatKind::DependentOpen => {
            "A router that gives every destination another port, but lets everybody in"
        }
        NatKind::PerAddress => "A strict router: another port for every address I send to",
        NatKind::Preserving => {
            "A strict router: another port for every destination, but a new one keeps its number"
        }
        NatKind::Sequential => {
            "A strict router: another port for every destination, one after the other"
        }
        NatKind::Block => {
            "A strict router: another port for every destination, out of a small block"
        }
        NatKind::Random => "The strictest router: another port for every destination, at random",
        NatKind::Dependent => "A strict router: another port for every destination",
        NatKind::Unknown => "A router changes my address; how it does is not known",
    }
}
