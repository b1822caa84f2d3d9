//! Every cell of the class table, played on the network and held against the oracle.

use gimlet_sim::{
    Allocation, Family, Filtering, FirewallConfig, Layer, Mapping, NatConfig, Site, SiteClass,
    oracle,
};
use proptest::prelude::*;

use crate::prober::{Prober, play, server_address};

const ALLOCATIONS: [Allocation; 5] = [
    Allocation::Preserving,
    Allocation::Sequential { step: 1 },
    Allocation::Sequential { step: 4 },
    Allocation::Random,
    Allocation::RandomBlock { size: 512 },
];

/// Every NAT by mapping, filtering and allocation.
fn every_nat() -> impl Iterator<Item = NatConfig> {
    Mapping::ALL.into_iter().flat_map(|mapping| {
        Filtering::ALL.into_iter().flat_map(move |filtering| {
            ALLOCATIONS.map(|allocation| NatConfig::new(mapping, filtering, allocation))
        })
    })
}

/// Every kind of site with one box at most.
fn every_site() -> Vec<Site> {
    let mut sites: Vec<Site> = every_nat().map(Site::behind_nat).collect();
    sites.push(Site::public());
    sites.extend(firewalls().map(Site::behind_firewall));
    sites
}

fn firewalls() -> [FirewallConfig; 3] {
    let server = Family::ALL.map(server_address);
    [
        FirewallConfig::stateful(),
        FirewallConfig::udp_only_to(server),
        FirewallConfig::block_udp(),
    ]
}

#[test]
fn every_pair_of_sites_is_joined_as_the_oracle_says() {
    let sites = every_site();
    let mut cells = std::collections::BTreeSet::new();
    for (i, a) in sites.iter().enumerate() {
        for (j, b) in sites.iter().enumerate() {
            let classes = [a.class(Family::V4), b.class(Family::V4)];
            let seed = (i * sites.len() + j) as u64;
            let played = play(seed, &Site::public(), [a, b], Family::V4, false);
            assert_eq!(
                played,
                oracle(classes[0], classes[1]),
                "{a:?} with {b:?}, seed {seed}"
            );
            cells.insert(classes);
        }
    }
    assert_eq!(
        cells.len(),
        SiteClass::ALL.len().pow(2),
        "a cell was never played"
    );
}

#[test]
fn ipv6_sites_are_joined_as_the_oracle_says() {
    let unfiltered = NatConfig {
        ipv6_firewall: false,
        ..NatConfig::symmetric()
    };
    let mut sites = vec![Site::public(), Site::behind_nat(unfiltered)];
    sites.push(Site::behind_nat(NatConfig::symmetric()));
    sites.extend(firewalls().map(Site::behind_firewall));
    for a in &sites {
        for b in &sites {
            let expected = oracle(a.class(Family::V6), b.class(Family::V6));
            let played = play(1, &Site::public(), [a, b], Family::V6, false);
            assert_eq!(played, expected, "{a:?} with {b:?}");
        }
    }
}

#[test]
fn short_mapping_lifetimes_do_not_change_what_can_be_joined() {
    let short = |config| NatConfig {
        // Longer than the exchange with the server takes, as real ones are.
        mapping_lifetime: std::time::Duration::from_millis(1_500),
        ..config
    };
    for a in [
        NatConfig::open(),
        NatConfig::strict(),
        NatConfig::symmetric(),
    ] {
        for b in [NatConfig::strict(), NatConfig::symmetric_open()] {
            let [a, b] = [a.clone(), b].map(short).map(Site::behind_nat);
            let expected = oracle(a.class(Family::V4), b.class(Family::V4));
            assert_eq!(
                play(1, &Site::public(), [&a, &b], Family::V4, false),
                expected
            );
        }
    }
}

pub(crate) fn any_nat() -> impl Strategy<Value = NatConfig> {
    let choice = (0..3usize, 0..3usize, 0..ALLOCATIONS.len(), any::<bool>());
    choice.prop_map(|(mapping, filtering, allocation, hairpin)| {
        let (mapping, filtering) = (Mapping::ALL[mapping], Filtering::ALL[filtering]);
        NatConfig {
            hairpin,
            ..NatConfig::new(mapping, filtering, ALLOCATIONS[allocation])
        }
    })
}

/// A chain of up to `most` boxes, NATs mostly.
pub(crate) fn any_site(most: usize) -> impl Strategy<Value = Site> {
    let layer = prop_oneof![
        8 => any_nat().prop_map(Layer::Nat),
        2 => (0..3usize).prop_map(|i| Layer::Firewall(firewalls()[i].clone())),
    ];
    proptest::collection::vec(layer, 0..=most).prop_map(|layers| Site { layers })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn chains_of_boxes_are_joined_as_the_oracle_says(
        seed: u64,
        a in any_site(3),
        b in any_site(3),
    ) {
        let expected = oracle(a.class(Family::V4), b.class(Family::V4));
        let played = play(seed, &Site::public(), [&a, &b], Family::V4, false);
        prop_assert_eq!(played, expected);
        let prober = Prober::new(seed, &Site::public(), [&a, &b], Family::V4);
        let [a_host, b_host] = prober.hosts();
        prop_assert_eq!(prober.net.site(a_host), a);
        let verdict = prober.net.verdict(a_host, b_host);
        prop_assert!(verdict <= expected, "IPv6 can only be better");
    }
}
