//! The class table and how layers add up.

use super::*;
use crate::firewall::FirewallConfig;
use crate::nat::{Allocation, Filtering, Mapping, NatConfig};

#[test]
fn the_table_is_the_one_that_was_measured() {
    use SiteClass::{Open, Strict, Symmetric, SymmetricOpen};
    use Verdict::{Direct as Yes, DirectPeerReflexive as Prflx, Relay as No};
    let classes = [Open, Strict, Symmetric, SymmetricOpen];
    let table = [
        [Yes, Yes, Prflx, Yes],
        [Yes, Yes, No, Prflx],
        [Prflx, No, No, Prflx],
        [Yes, Prflx, Prflx, Yes],
    ];
    for (a, row) in classes.into_iter().zip(table) {
        for (b, expected) in classes.into_iter().zip(row) {
            assert_eq!(oracle(a, b), expected, "{a:?} with {b:?}");
        }
    }
}

#[test]
fn the_oracle_does_not_care_who_is_first() {
    for a in SiteClass::ALL {
        for b in SiteClass::ALL {
            assert_eq!(oracle(a, b), oracle(b, a), "{a:?} with {b:?}");
        }
    }
}

#[test]
fn a_site_without_udp_to_peers_is_relayed_whoever_the_other_is() {
    for other in SiteClass::ALL {
        assert_eq!(oracle(SiteClass::ServerOnly, other), Verdict::Relay);
        assert_eq!(oracle(SiteClass::UdpBlocked, other), Verdict::Relay);
    }
}

#[test]
fn presets_have_the_class_of_their_name() {
    let class = |config| Site::behind_nat(config).class(Family::V4);
    assert_eq!(class(NatConfig::open()), SiteClass::Open);
    assert_eq!(class(NatConfig::moderate()), SiteClass::Open);
    assert_eq!(class(NatConfig::strict()), SiteClass::Strict);
    assert_eq!(class(NatConfig::carrier()), SiteClass::Strict);
    assert_eq!(class(NatConfig::symmetric()), SiteClass::Symmetric);
    assert_eq!(class(NatConfig::symmetric_open()), SiteClass::SymmetricOpen);
    assert_eq!(Site::public().class(Family::V4), SiteClass::Open);
}

#[test]
fn firewalls_make_a_site_strict_server_only_or_blocked() {
    let class = |config| Site::behind_firewall(config).class(Family::V4);
    let server: std::net::IpAddr = "198.51.100.1".parse().unwrap();
    assert_eq!(class(FirewallConfig::stateful()), SiteClass::Strict);
    assert_eq!(
        class(FirewallConfig::udp_only_to([server])),
        SiteClass::ServerOnly
    );
    assert_eq!(class(FirewallConfig::block_udp()), SiteClass::UdpBlocked);
}

#[test]
fn double_nat_comes_to_the_stricter_of_each() {
    let class = |inner: NatConfig, outer: NatConfig| {
        Site {
            layers: vec![Layer::Nat(inner), Layer::Nat(outer)],
        }
        .class(Family::V4)
    };
    assert_eq!(
        class(NatConfig::open(), NatConfig::strict()),
        SiteClass::Strict
    );
    assert_eq!(
        class(NatConfig::strict(), NatConfig::open()),
        SiteClass::Strict
    );
    assert_eq!(
        class(NatConfig::symmetric(), NatConfig::carrier()),
        SiteClass::Symmetric
    );
    assert_eq!(
        class(NatConfig::strict(), NatConfig::symmetric_open()),
        SiteClass::Symmetric
    );
    assert_eq!(
        class(NatConfig::symmetric_open(), NatConfig::moderate()),
        SiteClass::Symmetric
    );
    assert_eq!(
        class(NatConfig::moderate(), NatConfig::symmetric_open()),
        SiteClass::SymmetricOpen
    );
}

#[test]
fn ipv6_behind_a_nat_is_strict_and_joins_any_other() {
    let behind = Site::behind_nat(NatConfig::symmetric()).class(Family::V6);
    assert_eq!(behind, SiteClass::Strict);
    assert_eq!(oracle(behind, behind), Verdict::Direct);
    let unfiltered = NatConfig {
        ipv6_firewall: false,
        ..NatConfig::symmetric()
    };
    assert_eq!(
        Site::behind_nat(unfiltered).class(Family::V6),
        SiteClass::Open
    );
}

#[test]
fn two_hosts_of_one_home_meet_outside_only_by_hairpin_but_always_on_the_lan() {
    let shared = |hairpin| NatConfig {
        hairpin,
        ..NatConfig::strict()
    };
    let verdict = |hairpin| {
        let home = Site::behind_nat(shared(hairpin));
        oracle_behind_one_router(&home, &Site::public(), &Site::public(), Family::V4)
    };
    assert_eq!(verdict(true).outside, Verdict::Direct);
    assert_eq!(verdict(false).outside, Verdict::Relay);
    assert_eq!(verdict(false).lan, Verdict::Direct);
    assert_eq!(verdict(false).best(), Verdict::Direct);
}

#[test]
fn two_homes_behind_one_carrier_meet_only_if_it_hairpins() {
    let home = Site::behind_nat(NatConfig::strict());
    let verdict = |hairpin| {
        let carrier = Site::behind_nat(NatConfig {
            hairpin,
            ..NatConfig::carrier()
        });
        oracle_behind_one_router(&carrier, &home, &home, Family::V4)
    };
    assert_eq!(verdict(true).best(), Verdict::Direct);
    assert_eq!(verdict(false).best(), Verdict::Relay);
}

#[test]
fn a_hairpin_does_not_help_two_symmetric_homes() {
    let carrier = Site::behind_nat(NatConfig::carrier());
    let home = Site::behind_nat(NatConfig::symmetric());
    let verdict = oracle_behind_one_router(&carrier, &home, &home, Family::V4);
    assert_eq!(verdict.best(), Verdict::Relay);
}

#[test]
fn port_allocation_does_not_change_the_class() {
    for mapping in Mapping::ALL {
        for filtering in Filtering::ALL {
            let class = |allocation| {
                let config = NatConfig::new(mapping, filtering, allocation);
                Site::behind_nat(config).class(Family::V4)
            };
            assert_eq!(class(Allocation::Preserving), class(Allocation::Random));
        }
    }
}
