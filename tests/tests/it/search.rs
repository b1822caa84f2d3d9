//! Searches for a port with the whole stack: the session lives on the socket that won, and relayed
//! traffic does not suffer meanwhile.

use std::time::Duration;

use gimlet::{Connection, Strategy};
use gimlet_sim::{Allocation, Filtering, LinkConfig, Mapping, NatConfig, RouterKind};
use gimlet_tests::rtt_40ms;
use tokio::time::Instant;

use crate::bench::{Pair, echo, nat, path_is, payload, strict, transfer};

fn symmetric(allocation: Allocation) -> Vec<RouterKind> {
    nat(NatConfig::new(
        Mapping::AddressAndPortDependent,
        Filtering::AddressAndPortDependent,
        allocation,
    ))
}

async fn meets(
    seed: u64,
    a: &[RouterKind],
    b: &[RouterKind],
    within: Duration,
) -> (Pair, Connection, Connection) {
    let pair = Pair::new(seed, a, b).await;
    let dialled_at = Instant::now();
    let (dialled, accepted) = pair.connect().await;
    path_is(&dialled, true).await;
    path_is(&accepted, true).await;
    let took = dialled_at.elapsed();
    assert!(took <= within, "{took:?}");
    (pair, dialled, accepted)
}

#[tokio::test(start_paused = true)]
async fn a_session_with_random_ports_on_one_side_comes_to_live_on_the_socket_that_won() {
    let random = || symmetric(Allocation::Random);
    for (a, b) in [(strict(), random()), (random(), strict())] {
        let limit = Duration::from_secs(20);
        let (pair, dialled, accepted) = meets(1, &a, &b, limit).await;
        assert_eq!(dialled.path().strategy, Some(Strategy::Birthday));
        let bytes = payload(2_000_000);
        assert!(transfer(&dialled, &accepted, &bytes).await.intact);
        assert!(transfer(&accepted, &dialled, &bytes).await.intact);
        // Long after every other socket of the search was closed and its mappings have ended.
        tokio::time::sleep(Duration::from_secs(300)).await;
        echo(&dialled, &accepted, b"still here").await;
        assert!(dialled.path().is_direct() && accepted.path().is_direct());
        drop(pair);
    }
}

#[tokio::test(start_paused = true)]
async fn predicted_ports_are_met_within_three_seconds() {
    let sequence = || symmetric(Allocation::Sequential { step: 1 });
    for (a, b) in [(strict(), sequence()), (sequence(), sequence())] {
        let limit = Duration::from_secs(3);
        let (_pair, dialled, accepted) = meets(2, &a, &b, limit).await;
        assert_eq!(dialled.path().strategy, Some(Strategy::Predicted));
        echo(&dialled, &accepted, b"hello").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_leaves_a_relayed_session_its_throughput_and_its_latency() {
    // Two random sides are not searched for: the same session without a search.
    let random = || symmetric(Allocation::Random);
    let uplink = LinkConfig {
        rate: Some(20_000_000 / 8),
        ..rtt_40ms()
    };
    let bytes = payload(2_000_000);
    let mut measured = Vec::new();
    for (a, b) in [(random(), random()), (strict(), random())] {
        let pair = Pair::with_links(5, &a, &b, uplink.clone()).await;
        // So that the search goes on to its end.
        pair.world.block_direct(&pair.a.place, &pair.b.place, true);
        let (dialled, accepted) = pair.connect().await;
        // Well into whatever search there is.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = dialled.outcome().search.packets;
        let started_at = Instant::now();
        echo(&dialled, &accepted, b"ping").await;
        let round_trip = started_at.elapsed();
        let started_at = Instant::now();
        assert!(transfer(&dialled, &accepted, &bytes).await.intact);
        let took = started_at.elapsed();
        let packets = dialled.outcome().search.packets - before;
        measured.push((round_trip, took, packets));
    }
    let [without, with] = measured[..] else {
        panic!("{measured:?}");
    };
    assert_eq!(without.2, 0);
    assert!(with.2 > 50, "{measured:?}");
    assert!(
        with.0 <= without.0 + Duration::from_millis(2),
        "{measured:?}"
    );
    assert!(with.1 <= without.1.mul_f64(1.05), "{measured:?}");
}
