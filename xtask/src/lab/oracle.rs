//! What each pair must get: the simulator's oracle, asked about the lab's sites.

use std::net::Ipv4Addr;

use gimlet_sim::{
    Family, Filtering, FirewallConfig, Layer, Mapping, NatConfig, SiteClass, oracle,
    oracle_behind_one_router,
};

use super::expect::{Expect, Search};
use super::plan::{Pair, Path};
use super::site::Site;

/// The lab's site in the simulator's terms: everything between host and public network, the
/// nearest to the host first. For a shared site, what each host has for itself.
fn layers(site: Site) -> gimlet_sim::Site {
    let layers = match site {
        Site::None | Site::Lan => vec![],
        Site::Open | Site::Shared | Site::Hairpin => vec![open()],
        Site::Moderate => vec![moderate()],
        Site::Strict | Site::Upnp => vec![symmetric()],
        Site::Restricted => vec![restricted()],
        Site::Firewall => vec![Layer::Firewall(FirewallConfig::stateful())],
        Site::Double => vec![moderate(), moderate()],
        Site::Carrier => vec![moderate(), symmetric()],
        Site::UpnpCarrier => vec![symmetric(), moderate()],
        Site::ServerOnly => {
            // The oracle asks only whether there is such a limit, not to which address.
            let server = std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            vec![
                moderate(),
                Layer::Firewall(FirewallConfig::udp_only_to([server])),
            ]
        }
        Site::Blocked | Site::Proxied => {
            vec![moderate(), Layer::Firewall(FirewallConfig::block_udp())]
        }
        Site::Ipv6 => vec![symmetric(), Layer::Firewall(FirewallConfig::stateful())],
    };
    gimlet_sim::Site { layers }
}

/// The router that both hosts of a shared site are behind.
fn shared(site: Site) -> Option<gimlet_sim::Site> {
    match site {
        Site::Lan | Site::Shared => Some(gimlet_sim::Site {
            layers: vec![moderate()],
        }),
        Site::Hairpin => Some(gimlet_sim::Site {
            layers: vec![hairpinning()],
        }),
        Site::None
        | Site::Open
        | Site::Moderate
        | Site::Strict
        | Site::Restricted
        | Site::Firewall
        | Site::Double
        | Site::Carrier
        | Site::ServerOnly
        | Site::Ipv6
        | Site::Upnp
        | Site::UpnpCarrier
        | Site::Blocked
        | Site::Proxied => None,
    }
}

fn families(site: Site) -> &'static [Family] {
    if site == Site::Ipv6 {
        &Family::ALL
    } else {
        &[Family::V4]
    }
}

/// What `pair` must come to, searches included.
pub(crate) fn expect(pair: Pair) -> Expect {
    if [pair.a, pair.b].contains(&Site::Upnp) && expected(pair) == Path::Relay {
        return Expect::search(Search::PortMap);
    }
    match shared(pair.a) {
        Some(_) => Expect::plain(expected(pair)),
        None => Expect::of(expected(pair), &layers(pair.a), &layers(pair.b)),
    }
}

/// The path that plain checks give `pair`, over whichever family gives the better one.
pub(crate) fn expected(pair: Pair) -> Path {
    let both = families(pair.a)
        .iter()
        .filter(|family| families(pair.b).contains(family));
    let direct = both
        .into_iter()
        .any(|&family| expected_over(pair, family) == Path::Direct);
    if direct { Path::Direct } else { Path::Relay }
}

/// The path that plain checks give `pair` over one family.
pub(crate) fn expected_over(pair: Pair, family: Family) -> Path {
    let (a, b) = (layers(pair.a), layers(pair.b));
    let verdict = match shared(pair.a) {
        Some(router) => oracle_behind_one_router(&router, &a, &b, family).best(),
        None => oracle(a.class(family), b.class(family)),
    };
    if verdict.is_direct() {
        Path::Direct
    } else {
        Path::Relay
    }
}

/// How a site looks from outside over IPv4.
pub(crate) fn class(site: Site) -> SiteClass {
    let outer = shared(site).map(|router| router.layers).unwrap_or_default();
    let layers = layers(site).layers.into_iter().chain(outer).collect();
    gimlet_sim::Site { layers }.class(Family::V4)
}

fn nat(mapping: Mapping, filtering: Filtering) -> NatConfig {
    NatConfig {
        mapping,
        filtering,
        ..NatConfig::default()
    }
}

fn open() -> Layer {
    Layer::Nat(nat(
        Mapping::EndpointIndependent,
        Filtering::EndpointIndependent,
    ))
}

fn restricted() -> Layer {
    Layer::Nat(nat(
        Mapping::EndpointIndependent,
        Filtering::AddressDependent,
    ))
}

fn moderate() -> Layer {
    Layer::Nat(nat(
        Mapping::EndpointIndependent,
        Filtering::AddressAndPortDependent,
    ))
}

fn hairpinning() -> Layer {
    let moderate = nat(
        Mapping::EndpointIndependent,
        Filtering::AddressAndPortDependent,
    );
    Layer::Nat(NatConfig {
        hairpin: true,
        ..moderate
    })
}

fn symmetric() -> Layer {
    Layer::Nat(NatConfig::symmetric())
}
