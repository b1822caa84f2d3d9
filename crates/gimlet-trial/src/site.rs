//! The sites that are tried against each other.

use gimlet_proto::candidate::{self, Behaviour, NatClass};
use gimlet_sim::{
    Allocation, Family, Filtering, FirewallConfig, Layer, Mapping, NatConfig, SiteClass,
};

use crate::layout::SERVER_IPS;

/// What stands between a host and the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// A public address.
    Public,
    /// A public address behind a stateful firewall.
    Firewall,
    /// Endpoint-independent mapping and filtering.
    Open,
    /// Endpoint-independent mapping, address-dependent filtering.
    Moderate,
    /// Endpoint-independent mapping, address-and-port-dependent filtering: the common home router.
    Strict,
    /// A strict home router behind a strict carrier NAT with port blocks.
    Carrier,
    /// Address-and-port-dependent mapping with random ports, endpoint-independent filtering.
    SymOpen,
    /// Address-dependent mapping, ports preserved.
    AdmKeep,
    /// Address-dependent mapping, ports in sequence.
    AdmSeq,
    /// Address-dependent mapping, random ports.
    AdmRandom,
    /// Address-and-port-dependent mapping, ports preserved for the first destination.
    SymKeep,
    /// Address-and-port-dependent mapping, ports in sequence.
    SymSeq,
    /// Address-and-port-dependent mapping, random ports of a block of 1,024.
    SymBlock,
    /// Address-and-port-dependent mapping, random ports.
    SymRandom,
    /// UDP passes to the server and nowhere else.
    ServerOnly,
    /// No UDP passes.
    Blocked,
}

impl Site {
    /// Every site, from the easiest to join to the hardest.
    pub const ALL: [Self; 16] = [
        Self::Public,
        Self::Firewall,
        Self::Open,
        Self::Moderate,
        Self::Strict,
        Self::Carrier,
        Self::SymOpen,
        Self::AdmKeep,
        Self::AdmSeq,
        Self::AdmRandom,
        Self::SymKeep,
        Self::SymSeq,
        Self::SymBlock,
        Self::SymRandom,
        Self::ServerOnly,
        Self::Blocked,
    ];

    /// The name used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Firewall => "firewall",
            Self::Open => "open",
            Self::Moderate => "moderate",
            Self::Strict => "strict",
            Self::Carrier => "carrier",
            Self::SymOpen => "sym-open",
            Self::AdmKeep => "adm-keep",
            Self::AdmSeq => "adm-seq",
            Self::AdmRandom => "adm-random",
            Self::SymKeep => "sym-keep",
            Self::SymSeq => "sym-seq",
            Self::SymBlock => "sym-block",
            Self::SymRandom => "sym-random",
            Self::ServerOnly => "server-only",
            Self::Blocked => "udp-blocked",
        }
    }

    /// The site of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|site| site.name() == name)
    }

    /// What it is, in the words of RFC 4787.
    pub fn in_terms(self) -> &'static str {
        match self {
            Self::Public => "no NAT, no firewall",
            Self::Firewall => "stateful firewall, no NAT",
            Self::Open => "EIM, EIF, port-preserving",
            Self::Moderate => "EIM, ADF, port-preserving",
            Self::Strict => "EIM, APDF, port-preserving",
            Self::Carrier => "EIM, APDF, port-preserving, behind EIM, APDF, blocks of 1,024",
            Self::SymOpen => "APDM, EIF, random",
            Self::AdmKeep => "ADM, APDF, port-preserving",
            Self::AdmSeq => "ADM, APDF, sequential",
            Self::AdmRandom => "ADM, APDF, random",
            Self::SymKeep => "APDM, APDF, port-preserving",
            Self::SymSeq => "APDM, APDF, sequential",
            Self::SymBlock => "APDM, APDF, random within a block of 1,024",
            Self::SymRandom => "APDM, APDF, random",
            Self::ServerOnly => "firewall, UDP to the server only",
            Self::Blocked => "firewall, no UDP",
        }
    }

    /// What it is, for somebody who knows no NAT terms.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Public => "A machine with its own address on the internet: most rented servers.",
            Self::Firewall => {
                "Its own address, but only answers come in: a company network without NAT, and almost every home's IPv6."
            }
            Self::Open => {
                "A router that uses one outside port per program and lets anybody send to it (\"full cone\")."
            }
            Self::Moderate => {
                "The same, but only machines that were sent to may send back (\"restricted cone\")."
            }
            Self::Strict => {
                "One outside port per program; only the exact address and port that was sent to may send back. Most home routers, Linux and Docker among them."
            }
            Self::Carrier => {
                "A strict home router behind a well-behaved carrier NAT: many homes share one public address."
            }
            Self::SymOpen => {
                "Every destination sees another outside port, but each port is open to all."
            }
            Self::AdmKeep => {
                "Another outside port for each machine that is sent to, equal to the inside port where that is free."
            }
            Self::AdmSeq => {
                "Another outside port for each machine that is sent to, always the next one."
            }
            Self::AdmRandom => "Another outside port for each machine that is sent to, anywhere.",
            Self::SymKeep => {
                "Another outside port for each destination; the first gets the inside port, the others any."
            }
            Self::SymSeq => {
                "Another outside port for each destination, always the next one: many older routers."
            }
            Self::SymBlock => {
                "Another outside port for each destination, anywhere within the 1,024 ports that the carrier gave this customer."
            }
            Self::SymRandom => {
                "Another outside port for each destination, anywhere: many company firewalls and mobile networks."
            }
            Self::ServerOnly => "A firewall that lets UDP go to the server and nowhere else.",
            Self::Blocked => {
                "No UDP at all. Here its letters travel as if another way to the server existed."
            }
        }
    }

    /// The boxes, the nearest to the host first.
    pub fn layers(self) -> Vec<Layer> {
        use Allocation::{Preserving, Random, RandomBlock, Sequential};
        use Filtering::{AddressAndPortDependent as Apdf, EndpointIndependent as Eif};
        use Mapping::{AddressAndPortDependent as Apdm, AddressDependent as Adm};

        let nat = |mapping, filtering, allocation| {
            vec![Layer::Nat(NatConfig::new(mapping, filtering, allocation))]
        };
        match self {
            Self::Public => vec![],
            Self::Firewall => vec![Layer::Firewall(FirewallConfig::stateful())],
            Self::Open => vec![Layer::Nat(NatConfig::open())],
            Self::Moderate => vec![Layer::Nat(NatConfig::moderate())],
            Self::Strict => vec![Layer::Nat(NatConfig::strict())],
            Self::Carrier => vec![
                Layer::Nat(NatConfig::strict()),
                Layer::Nat(NatConfig::carrier()),
            ],
            Self::SymOpen => nat(Apdm, Eif, Random),
            Self::AdmKeep => nat(Adm, Apdf, Preserving),
            Self::AdmSeq => nat(Adm, Apdf, Sequential { step: 1 }),
            Self::AdmRandom => nat(Adm, Apdf, Random),
            Self::SymKeep => nat(Apdm, Apdf, Preserving),
            Self::SymSeq => nat(Apdm, Apdf, Sequential { step: 1 }),
            Self::SymBlock => nat(Apdm, Apdf, RandomBlock { size: 1_024 }),
            Self::SymRandom => nat(Apdm, Apdf, Random),
            Self::ServerOnly => vec![Layer::Firewall(FirewallConfig::udp_only_to(SERVER_IPS))],
            Self::Blocked => vec![Layer::Firewall(FirewallConfig::block_udp())],
        }
    }

    /// How it looks from outside.
    pub fn class(self) -> SiteClass {
        let layers = self.layers();
        gimlet_sim::Site { layers }.class(Family::V4)
    }

    /// Whether a verdict names another mapping than this site's, or another allocation where mappings
    /// depend on the destination. Not to know is no mistake.
    pub(crate) fn is_misjudged(self, verdict: NatClass) -> bool {
        let truth = self.truth();
        let wrong_mapping = verdict.mapping.is_some_and(|m| Some(m) != truth.mapping);
        let dependent = truth.mapping != Some(Behaviour::EndpointIndependent);
        let other = |a| Some(a) != truth.allocation;
        wrong_mapping || dependent && verdict.allocation.is_some_and(other)
    }

    /// What a faultless prober would find out.
    pub fn truth(self) -> NatClass {
        let (mut mapping, mut filtering) = (Mapping::ALL[0], Filtering::ALL[0]);
        let (mut allocation, mut hairpin) = (Allocation::Preserving, false);
        for layer in self.layers() {
            match layer {
                Layer::Nat(nat) => {
                    mapping = mapping.max(nat.mapping);
                    filtering = filtering.max(nat.filtering);
                    (allocation, hairpin) = (nat.allocation, nat.hairpin);
                }
                Layer::Firewall(_) => filtering = Filtering::AddressAndPortDependent,
            }
        }
        NatClass {
            mapping: Some(match mapping {
                Mapping::EndpointIndependent => Behaviour::EndpointIndependent,
                Mapping::AddressDependent => Behaviour::AddressDependent,
                Mapping::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
            }),
            filtering: Some(match filtering {
                Filtering::EndpointIndependent => Behaviour::EndpointIndependent,
                Filtering::AddressDependent => Behaviour::AddressDependent,
                Filtering::AddressAndPortDependent => Behaviour::AddressAndPortDependent,
            }),
            allocation: Some(match allocation {
                Allocation::Preserving => candidate::Allocation::Preserving,
                Allocation::Sequential { .. } => candidate::Allocation::Sequential,
                Allocation::Random => candidate::Allocation::Random,
                Allocation::RandomBlock { .. } => candidate::Allocation::RandomBlock,
            }),
            hairpin: Some(hairpin),
        }
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
