//! This host's own addresses.

use std::net::IpAddr;

use serde::Serialize;

use super::Words;

/// Found at [`Stage::Network`](super::Stage::Network).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum NetworkFact {
    /// There are addresses that others might reach.
    Addresses {
        /// The IPv4 ones.
        v4: Vec<IpAddr>,
        /// The IPv6 ones.
        v6: Vec<IpAddr>,
    },
    /// There is none but those of this machine to itself, and the server is on this machine.
    LoopbackAlone,
    /// There is none.
    NoAddress,
}

impl NetworkFact {
    /// `server_here`: whether a server is on this machine.
    pub(super) fn new(addresses: &[IpAddr], server_here: bool) -> Self {
        let outside = || addresses.iter().copied().filter(|ip| !ip.is_loopback());
        let (v6, v4): (Vec<_>, Vec<_>) = outside().partition(IpAddr::is_ipv6);
        match (v4.is_empty() && v6.is_empty(), server_here) {
            (false, _) => Self::Addresses { v4, v6 },
            (true, true) => Self::LoopbackAlone,
            (true, false) => Self::NoAddress,
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Addresses { v4, v6 } => {
                let list = |ips: &[IpAddr]| {
                    let shown: Vec<_> = ips.iter().take(2).map(IpAddr::to_string).collect();
                    match ips.len() {
                        0 => "none".to_owned(),
                        1 | 2 => shown.join(", "),
                        n => format!("{} and {} more", shown.join(", "), n - 2),
                    }
                };
                Words::good(format!("IPv4: {}. IPv6: {}.", list(v4), list(v6)))
            }
            Self::LoopbackAlone => Words::good(
                "This machine is on no network; the server is on this machine, so that is enough.",
            ),
            Self::NoAddress => Words::bad(
                "This machine has no address on any network.",
                "connect it: check the cable or the Wi-Fi, and that the interface got an address",
            ),
        }
    }
}
