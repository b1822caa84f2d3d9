//! The sites of the virtual network, by what the kernel's NATs cannot be told to do.
//!
//! Names say what the NAT does, in RFC 4787's abbreviations: `eif`, `adf`, `apdf` are
//! endpoint-independent, address-dependent, and address-and-port-dependent *filtering* behind an
//! endpoint-independent mapping. None is a name of the kernel part.

use std::time::Duration;

use clap::ValueEnum;
use gimlet_sim::{Allocation, Filtering, FirewallConfig, Layer, Mapping, NatConfig, Site};

use super::layout::Layout;

/// One kind of site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Spot {
    /// A public address, nothing in between.
    Public,
    /// A public address behind a stateful firewall.
    Guarded,
    /// Endpoint-independent mapping and filtering.
    Eif,
    /// Endpoint-independent mapping, address-dependent filtering.
    Adf,
    /// Endpoint-independent mapping, address-and-port-dependent filtering: strict.
    Apdf,
    /// The same with random outside ports.
    ApdfRandom,
    /// The same, and an early probe moves the mapping.
    ApdfMoving,
    /// The same with mappings that live 20 s.
    ApdfShort,
    /// Two of them, one behind the other.
    Nested,
    /// One of them behind a carrier that gives each home a block of 1,024 ports.
    Cgnat,
    /// Two of them behind one carrier that hairpins: only with itself.
    Twins,
    /// Symmetric, random ports, endpoint-independent filtering.
    RandomEif,
    /// Symmetric, random ports.
    Random,
    /// Symmetric, each port one more than the last.
    Sequential,
    /// Symmetric, each port two more than the last.
    SequentialTwo,
    /// Symmetric, random ports of a block of 1,024.
    Block,
    /// Another random port for each remote address.
    Address,
    /// Another port for each remote address, each one more than the last.
    AddressSequential,
}

impl Spot {
    /// The name used on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Guarded => "guarded",
            Self::Eif => "eif",
            Self::Adf => "adf",
            Self::Apdf => "apdf",
            Self::ApdfRandom => "apdf-random",
            Self::ApdfMoving => "apdf-moving",
            Self::ApdfShort => "apdf-short",
            Self::Nested => "nested",
            Self::Cgnat => "cgnat",
            Self::Twins => "twins",
            Self::RandomEif => "random-eif",
            Self::Random => "random",
            Self::Sequential => "sequential",
            Self::SequentialTwo => "sequential-two",
            Self::Block => "block",
            Self::Address => "address",
            Self::AddressSequential => "address-sequential",
        }
    }

    /// What the site is, in one line.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Public => "public address, nothing in between",
            Self::Guarded => "public address behind a stateful firewall",
            Self::Eif => "endpoint-independent mapping and filtering",
            Self::Adf => "endpoint-independent mapping, address filtering",
            Self::Apdf => "endpoint-independent mapping, address-and-port filtering",
            Self::ApdfRandom => "the same, random outside ports",
            Self::ApdfMoving => "the same, an early probe moves the mapping",
            Self::ApdfShort => "the same, mappings live 20 s",
            Self::Nested => "two apdf NATs, one behind the other",
            Self::Cgnat => "apdf behind a carrier with blocks of 1,024 ports",
            Self::Twins => "two apdf homes behind one carrier that hairpins",
            Self::RandomEif => "a random port per destination, open to everyone",
            Self::Random => "a random port per destination",
            Self::Sequential => "a port per destination, each one more than the last",
            Self::SequentialTwo => "a port per destination, each two more than the last",
            Self::Block => "a random port per destination of a block of 1,024",
            Self::Address => "a random port per destination address",
            Self::AddressSequential => "a port per destination address, in sequence",
        }
    }

    /// Whether a pair of this site shares a router, so that it makes sense only with itself.
    pub(crate) fn is_shared(self) -> bool {
        self == Self::Twins
    }

    /// What each host has for itself, the nearest first.
    pub(crate) fn site(self) -> Site {
        use Allocation::{Preserving, RandomBlock, Sequential};
        use Filtering::{AddressAndPortDependent, EndpointIndependent};
        let strict = NatConfig::strict;
        let symmetric = |mapping, allocation| {
            Site::behind_nat(NatConfig::new(mapping, AddressAndPortDependent, allocation))
        };
        let dependent = Mapping::AddressAndPortDependent;
        match self {
            Self::Public => Site::public(),
            Self::Guarded => Site::behind_firewall(FirewallConfig::stateful()),
            Self::Eif => Site::behind_nat(NatConfig::new(
                Mapping::EndpointIndependent,
                EndpointIndependent,
                Preserving,
            )),
            Self::Adf => Site::behind_nat(NatConfig::moderate()),
            Self::Apdf | Self::Twins => Site::behind_nat(strict()),
            Self::ApdfRandom => Site::behind_nat(NatConfig {
                allocation: Allocation::Random,
                ..strict()
            }),
            Self::ApdfMoving => Site::behind_nat(NatConfig {
                early_probe_moves_mapping: true,
                ..strict()
            }),
            Self::ApdfShort => Site::behind_nat(NatConfig {
                mapping_lifetime: Duration::from_secs(20),
                ..strict()
            }),
            Self::Nested => Site {
                layers: vec![Layer::Nat(strict()), Layer::Nat(strict())],
            },
            Self::Cgnat => Site {
                layers: vec![Layer::Nat(strict()), Layer::Nat(NatConfig::carrier())],
            },
            Self::RandomEif => Site::behind_nat(NatConfig::symmetric_open()),
            Self::Random => Site::behind_nat(NatConfig::symmetric()),
            Self::Sequential => symmetric(dependent, Sequential { step: 1 }),
            Self::SequentialTwo => symmetric(dependent, Sequential { step: 2 }),
            Self::Block => symmetric(dependent, RandomBlock { size: 1_024 }),
            Self::Address => symmetric(Mapping::AddressDependent, Allocation::Random),
            Self::AddressSequential => symmetric(Mapping::AddressDependent, Sequential { step: 1 }),
        }
    }
}

impl Spot {
    /// Everything between a host and the internet, what it shares included.
    pub(crate) fn whole(self) -> Site {
        let mut site = self.site();
        site.layers.extend(self.shared());
        site
    }

    fn shared(self) -> Option<Layer> {
        self.is_shared().then(|| Layer::Nat(NatConfig::carrier()))
    }
}

/// The network for a pair of sites, with a share of packets lost on each uplink.
pub(crate) fn layout(a: Spot, b: Spot, loss: f64) -> Layout {
    Layout {
        a: a.site(),
        b: b.site(),
        shared: a.shared(),
        link: super::layout::uplink(loss),
    }
}
