//! What a NAT does, in the words of RFC 4787.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When one inside endpoint's packets to different places share an outside port (RFC 4787, 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// Always.
    EndpointIndependent,
    /// When they go to one address.
    AddressDependent,
    /// When they go to one address and port.
    AddressAndPortDependent,
}

impl Mapping {
    /// Every behaviour, from the easiest to traverse to the hardest.
    pub const ALL: [Self; 3] = [
        Self::EndpointIndependent,
        Self::AddressDependent,
        Self::AddressAndPortDependent,
    ];
}

/// Who may send to a mapped outside port (RFC 4787, 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filtering {
    /// Everyone.
    EndpointIndependent,
    /// Addresses that were sent to through this mapping.
    AddressDependent,
    /// Addresses and ports that were sent to through this mapping.
    AddressAndPortDependent,
}

impl Filtering {
    /// Every behaviour, from the most open to the most closed.
    pub const ALL: [Self; 3] = [
        Self::EndpointIndependent,
        Self::AddressDependent,
        Self::AddressAndPortDependent,
    ];
}

/// Which outside port a new mapping gets. Ports in use are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// The inside port if it is free, otherwise a random one.
    Preserving,
    /// The last one plus `step`, skipping what is taken; the first is random.
    Sequential {
        /// Distance between neighbours; 0 counts as 1.
        step: u16,
    },
    /// Any free port from 1024 up.
    Random,
    /// A random port of a block that belongs to one inside address, as carriers do.
    RandomBlock {
        /// Ports in a block; 0 counts as 1.
        size: u16,
    },
}

/// Everything about one NAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NatConfig {
    /// When outside ports are shared. Default endpoint-independent.
    pub mapping: Mapping,
    /// Who may send in. Default address-and-port-dependent.
    pub filtering: Filtering,
    /// Which outside port is taken. Default preserving.
    pub allocation: Allocation,
    /// Whether an inside host can reach another through its outside endpoint. Default false, as
    /// most home routers behave.
    pub hairpin: bool,
    /// How long silence keeps a mapping. Default 120 s, the least RFC 4787 allows.
    pub mapping_lifetime: Duration,
    /// Whether a packet that was let in renews its mapping as one going out does. Default true, as
    /// connection tracking does.
    pub inbound_refreshes: bool,
    /// Mappings held at once; further ones are refused. Default 16,384.
    pub max_mappings: usize,
    /// Pairs of mapping and remote endpoint held at once; further ones are refused. Default 65,536.
    pub max_sessions: usize,
    /// Whether a packet that is refused takes the path from its sender to that port away from the
    /// inside host, as on Linux routers that accept packets for themselves: the host's own packet
    /// to that sender then leaves from another port. Default false.
    pub early_probe_moves_mapping: bool,
    /// Whether IPv6, which is not translated, passes a stateful firewall. Default true.
    pub ipv6_firewall: bool,
}

impl Default for NatConfig {
    fn default() -> Self {
        Self::strict()
    }
}

impl NatConfig {
    /// The given mapping, filtering and allocation; everything else by default.
    pub fn new(mapping: Mapping, filtering: Filtering, allocation: Allocation) -> Self {
        Self {
            mapping,
            filtering,
            allocation,
            hairpin: false,
            mapping_lifetime: Duration::from_secs(120),
            inbound_refreshes: true,
            max_mappings: 16_384,
            max_sessions: 65_536,
            early_probe_moves_mapping: false,
            ipv6_firewall: true,
        }
    }

    /// Endpoint-independent in both; hairpins. Class open.
    pub fn open() -> Self {
        Self {
            hairpin: true,
            ..Self::new(
                Mapping::EndpointIndependent,
                Filtering::EndpointIndependent,
                Allocation::Preserving,
            )
        }
    }

    /// Endpoint-independent mapping, address-dependent filtering. Class open too.
    pub fn moderate() -> Self {
        Self::new(
            Mapping::EndpointIndependent,
            Filtering::AddressDependent,
            Allocation::Preserving,
        )
    }

    /// Endpoint-independent mapping, address-and-port-dependent filtering: the common home router
    /// and Linux masquerade. Class strict.
    pub fn strict() -> Self {
        Self::new(
            Mapping::EndpointIndependent,
            Filtering::AddressAndPortDependent,
            Allocation::Preserving,
        )
    }

    /// Address-and-port-dependent in both, random ports. Class symmetric.
    pub fn symmetric() -> Self {
        Self::new(
            Mapping::AddressAndPortDependent,
            Filtering::AddressAndPortDependent,
            Allocation::Random,
        )
    }

    /// Address-and-port-dependent mapping, endpoint-independent filtering, random ports. Class
    /// symmetric-open.
    pub fn symmetric_open() -> Self {
        Self::new(
            Mapping::AddressAndPortDependent,
            Filtering::EndpointIndependent,
            Allocation::Random,
        )
    }

    /// A carrier's: strict, random ports in blocks of 1,024 a customer, hairpins (RFC 6888).
    pub fn carrier() -> Self {
        Self {
            allocation: Allocation::RandomBlock { size: 1_024 },
            hairpin: true,
            ..Self::strict()
        }
    }
}
