//! A port that the router gives when asked: the simplest way in.

use std::net::SocketAddr;

use gimlet_net::port_map::PortMapping;
use gimlet_proto::stats::NatKind;
use serde::Serialize;

use super::Words;

/// Found at [`Stage::PortMapping`](super::Stage::PortMapping).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum PortMappingFact {
    /// It gives one.
    Given {
        /// Where peers can send.
        addr: SocketAddr,
    },
    /// It gives one, but another router behind it, the provider's, does not.
    BehindCarrier,
    /// It gives none.
    Absent {
        /// Whether one would help much.
        needed: bool,
    },
}

impl PortMappingFact {
    /// `None` where it was not asked.
    pub(super) fn new(mapping: PortMapping, kind: NatKind) -> Option<Self> {
        let fine = matches!(kind, NatKind::Open | NatKind::Strict | NatKind::Easy);
        match mapping {
            PortMapping::Off | PortMapping::Asking => None,
            PortMapping::Absent => Some(Self::Absent { needed: !fine }),
            PortMapping::Public(addr) => Some(Self::Given { addr: addr.into() }),
            PortMapping::BehindCarrier(_) => Some(Self::BehindCarrier),
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Given { addr } => Words::good(format!(
                "The router gives me one: peers can send to {addr}."
            )),
            Self::BehindCarrier => Words::notice(
                "The router gives me one, but the provider's router in front of it does not.",
                "the provider puts many customers behind one address: ask it for a public address \
                 of your own, or for IPv6",
            ),
            Self::Absent { needed: false } => {
                Words::good("The router gives none when asked. It is not needed either.")
            }
            Self::Absent { needed: true } => Words::notice(
                "The router gives none when asked (UPnP, NAT-PMP and PCP are off or not there).",
                "with a router this strict it would help much: switch one of them on there, or \
                 forward a UDP port to this machine",
            ),
        }
    }
}
