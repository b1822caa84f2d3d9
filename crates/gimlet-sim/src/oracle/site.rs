//! A site by its layers of NATs and firewalls, and the class they come to.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::SiteClass;
use crate::firewall::{FirewallConfig, FirewallPolicy};
use crate::nat::{Filtering, Mapping, NatConfig};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4, which NATs translate.
    V4,
    /// IPv6, which they do not.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }
}

/// One box between a host and the internet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// A NAT.
    Nat(NatConfig),
    /// A firewall.
    Firewall(FirewallConfig),
}

/// Everything between a host and the internet, the nearest to the host first. Nothing at all is a
/// public host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The boxes.
    pub layers: Vec<Layer>,
}

impl Site {
    /// A host on the public internet.
    pub fn public() -> Self {
        Self::default()
    }

    /// A host behind one NAT.
    pub fn behind_nat(config: NatConfig) -> Self {
        Self {
            layers: vec![Layer::Nat(config)],
        }
    }

    /// A host behind one firewall.
    pub fn behind_firewall(config: FirewallConfig) -> Self {
        Self {
            layers: vec![Layer::Firewall(config)],
        }
    }

    /// How the site looks from outside in one family.
    ///
    /// Layers come to the stricter of each. Address-dependent filtering is as good as open while
    /// every mapping up to it is endpoint-independent, because the peer's address is sent to
    /// through that very mapping; behind a dependent mapping it is as good as closed, because the
    /// announced endpoint has only ever sent to the server.
    pub fn class(&self, family: Family) -> SiteClass {
        let (mut dependent, mut closed, mut server_only) = (false, false, false);
        for layer in &self.layers {
            match layer {
                Layer::Nat(nat) => match family {
                    Family::V4 => {
                        dependent |= is_dependent(nat.mapping);
                        closed |= is_closed(nat.filtering, dependent);
                    }
                    Family::V6 => closed |= nat.ipv6_firewall,
                },
                Layer::Firewall(firewall) => match firewall.policy {
                    FirewallPolicy::Stateful => closed = true,
                    FirewallPolicy::UdpOnlyTo(_) => server_only = true,
                    FirewallPolicy::BlockUdp => return SiteClass::UdpBlocked,
                },
            }
        }
        match (server_only, dependent, closed) {
            (true, _, _) => SiteClass::ServerOnly,
            (false, false, false) => SiteClass::Open,
            (false, false, true) => SiteClass::Strict,
            (false, true, false) => SiteClass::SymmetricOpen,
            (false, true, true) => SiteClass::Symmetric,
        }
    }

    /// This site with more layers outside of it.
    pub(super) fn within(&self, outer: &[Layer]) -> Self {
        let layers = self.layers.iter().chain(outer).cloned().collect();
        Self { layers }
    }

    /// Whether a host's own address is hidden behind a NAT.
    pub(super) fn translates(&self, family: Family) -> bool {
        self.outermost_nat(family).is_some()
    }

    /// The outermost NAT and its place among the layers.
    pub(super) fn outermost_nat(&self, family: Family) -> Option<(usize, &NatConfig)> {
        self.layers
            .iter()
            .enumerate()
            .rev()
            .find_map(|(i, layer)| match (layer, family) {
                (Layer::Nat(nat), Family::V4) => Some((i, nat)),
                (Layer::Nat(_), Family::V6) | (Layer::Firewall(_), _) => None,
            })
    }
}

fn is_dependent(mapping: Mapping) -> bool {
    match mapping {
        Mapping::EndpointIndependent => false,
        Mapping::AddressDependent | Mapping::AddressAndPortDependent => true,
    }
}

fn is_closed(filtering: Filtering, dependent: bool) -> bool {
    match filtering {
        Filtering::EndpointIndependent => false,
        Filtering::AddressDependent => dependent,
        Filtering::AddressAndPortDependent => true,
    }
}
