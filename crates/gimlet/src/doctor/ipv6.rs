//! The newer internet protocol: two hosts that have it need no luck with routers' ports.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::Words;
use crate::endpoint::NetReport;

/// Found at [`Stage::Ipv6`](super::Stage::Ipv6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Ipv6Fact {
    /// A server answers over it.
    Works {
        /// Where the server sees us.
        seen: SocketAddr,
        /// Whether a firewall keeps out who was not sent to.
        firewall: Option<bool>,
    },
    /// This host has no address of it that the internet reaches.
    Absent,
    /// No server has one, so it can't be tried.
    Untested,
    /// This host has an address, and nothing answers.
    Dark {
        /// Our address.
        own: IpAddr,
    },
}

impl Ipv6Fact {
    /// `tried`: whether a server was asked over IPv6.
    pub(super) fn new(addresses: &[IpAddr], net: &NetReport, tried: bool) -> Self {
        let own = addresses.iter().copied().find(is_public);
        let firewall = net.details.firewall_v6;
        match (net.reflexive_v6, own, tried) {
            (Some(seen), _, _) => Self::Works { seen, firewall },
            (None, None, _) => Self::Absent,
            (None, Some(_), false) => Self::Untested,
            (None, Some(own), true) => Self::Dark { own },
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Works { firewall, .. } => Words::good(match firewall {
                Some(true) => "It works. A firewall lets in who was sent to, which is enough.",
                Some(false) => "It works, and no firewall is in the way.",
                None => "It works.",
            }),
            Self::Absent => Words::good(
                "This machine has no address that the internet reaches. That is common; IPv4 does.",
            ),
            Self::Untested => {
                Words::good("This machine has an address, but the server has none to try it with.")
            }
            Self::Dark { own } => Words::bad(
                format!("This machine has the address {own}, but nothing answers over IPv6."),
                "the router or the provider does not carry it: restart the router, ask the provider, \
                 or switch IPv6 off here, so that nothing waits for it",
            ),
        }
    }
}

/// An address that the internet has a way to (RFC 4291 section 2.4).
fn is_public(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}
