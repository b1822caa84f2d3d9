//! Every pair of site classes, with the whole stack: the path is what the oracle says, or what a
//! search finds, and the session works either way.

use gimlet::Strategy;
use gimlet_sim::{FirewallConfig, NatConfig, RouterKind, Verdict};

use crate::bench::{Pair, echo, nat, payload, transfer};

fn open() -> Vec<RouterKind> {
    nat(NatConfig::open())
}

fn sites() -> Vec<(&'static str, Vec<RouterKind>)> {
    vec![
        ("none", vec![]),
        ("open", open()),
        ("moderate", nat(NatConfig::moderate())),
        ("strict", nat(NatConfig::strict())),
        ("symmetric", nat(NatConfig::symmetric())),
        ("symmetric-open", nat(NatConfig::symmetric_open())),
        (
            "firewall",
            vec![RouterKind::Firewall(FirewallConfig::stateful())],
        ),
        (
            "double",
            vec![
                RouterKind::Nat(NatConfig::carrier()),
                RouterKind::Nat(NatConfig::strict()),
            ],
        ),
        (
            "server-only",
            vec![RouterKind::Firewall(FirewallConfig::udp_only_to([
                "203.0.113.1"
                    .parse::<std::net::IpAddr>()
                    .expect("an address"),
            ]))],
        ),
    ]
}

/// Whether plain sending cannot join a pair and a search can: random ports on one side, one endpoint
/// for everybody on the other.
fn is_searched_for(a: &str, b: &str) -> bool {
    let fixed = |name| ["strict", "firewall", "double"].contains(&name);
    a == "symmetric" && fixed(b) || b == "symmetric" && fixed(a)
}

async fn check(a: (&str, &[RouterKind]), b: (&str, &[RouterKind])) {
    let pair = Pair::new(7, a.1, b.1).await;
    let verdict = pair
        .world
        .net(|net| net.verdict(pair.a.place.host, pair.b.place.host));
    let (dialled, accepted) = pair.connect().await;
    echo(&dialled, &accepted, b"before").await;
    let path = dialled.settled().await;
    let searched = is_searched_for(a.0, b.0);
    assert_eq!(
        path.is_direct(),
        searched || verdict != Verdict::Relay,
        "{} × {}: {path}",
        a.0,
        b.0
    );
    if searched {
        let found_by = path.strategy;
        assert_eq!(found_by, Some(Strategy::Birthday), "{} × {}", a.0, b.0);
    }
    if !path.is_direct() {
        assert!(
            dialled.outcome().failure.is_some(),
            "{} × {}: no reason",
            a.0,
            b.0
        );
    }
    echo(&dialled, &accepted, b"after").await;
    let bytes = payload(300_000);
    assert!(transfer(&dialled, &accepted, &bytes).await.intact);
    assert!(transfer(&accepted, &dialled, &bytes).await.intact);
    assert_eq!(
        dialled.path().is_direct(),
        path.is_direct(),
        "{} × {}",
        a.0,
        b.0
    );
}

#[tokio::test(start_paused = true)]
async fn every_pair_of_sites_uses_the_path_that_the_oracle_allows() {
    let sites = sites();
    for a in &sites {
        for b in &sites {
            check((a.0, &a.1), (b.0, &b.1)).await;
        }
    }
}
