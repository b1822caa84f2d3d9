//! Moving between relay and direct path under a running transfer.

use std::time::Duration;

use gimlet_sim::LinkConfig;
use gimlet_tests::rtt_40ms;
use tokio::time::Instant;

use crate::bench::{Pair, echo, path_is, payload, strict, transfer};

const RTT: Duration = Duration::from_millis(40);

/// 50 Mbit/s, so that a transfer lasts long enough to be moved under way.
fn rate_limited() -> LinkConfig {
    LinkConfig {
        rate: Some(50_000_000),
        ..rtt_40ms()
    }
}

async fn moves_up(from_dialer: bool) {
    let pair = Pair::new(5, &strict(), &strict()).await;
    pair.world.block_direct(&pair.a.place, &pair.b.place, true);
    let (dialled, accepted) = pair.connect().await;
    assert!(!dialled.path().is_direct());
    let bytes = payload(24 << 20);
    let opening = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let open_at = Instant::now();
        pair.world.block_direct(&pair.a.place, &pair.b.place, false);
        path_is(&dialled, true).await;
        println!("direct {:?} after the way was open", open_at.elapsed());
        open_at
    };
    let (from, to) = if from_dialer {
        (&dialled, &accepted)
    } else {
        (&accepted, &dialled)
    };
    let (transfer, open_at) = tokio::join!(transfer(from, to, &bytes), opening);
    assert!(transfer.intact);
    let pause = transfer.longest_pause_since(open_at);
    println!("longest pause {pause:?}");
    for (at, gap) in &transfer.gaps {
        if *gap > Duration::from_millis(25) {
            println!("  {:?} {gap:?}", at.saturating_duration_since(open_at));
        }
    }
    assert!(pause < 3 * RTT, "{pause:?}");
    assert!(dialled.path().is_direct() && accepted.path().is_direct());
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_begins_over_the_relay_moves_to_the_direct_path_without_a_pause() {
    moves_up(true).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_holds_for_what_the_accepting_side_sends() {
    moves_up(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_direct_path_that_goes_dark_is_left_for_the_relay_within_two_seconds_and_taken_again() {
    for from_dialer in [true, false] {
        let pair = Pair::with_links(7, &strict(), &strict(), rate_limited()).await;
        let (dialled, accepted) = pair.connect().await;
        path_is(&dialled, true).await;
        path_is(&accepted, true).await;
        let bytes = payload(32 << 20);
        let (from, to) = if from_dialer {
            (&dialled, &accepted)
        } else {
            (&accepted, &dialled)
        };
        let faults = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            pair.world.block_direct(&pair.a.place, &pair.b.place, true);
            let dark_at = Instant::now();
            path_is(&dialled, false).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            pair.world.block_direct(&pair.a.place, &pair.b.place, false);
            path_is(&dialled, true).await;
            dark_at
        };
        let (transfer, dark_at) = tokio::join!(transfer(from, to, &bytes), faults);
        assert!(transfer.intact);
        let pause = transfer.longest_pause_since(dark_at);
        println!("from dialer {from_dialer}: longest pause {pause:?}");
        assert!(
            pause < Duration::from_secs(2),
            "from dialer {from_dialer}: {pause:?}"
        );
        echo(&dialled, &accepted, b"all is well").await;
    }
}
