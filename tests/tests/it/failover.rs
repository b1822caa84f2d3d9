//! A server is killed, goes down or falls silent, and what it relayed goes on over another.

use std::time::Duration;

use gimlet::Connection;
use gimlet_sim::NatConfig;
use gimlet_tests::Peer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::bench::{Transfer, echo, nat, path_is, payload, receive, strict, transfer};
use crate::operator::{Operator, connect, relayed, until};

mod far;

/// Both ends of one.
type Connections = (Connection, Connection);

/// Longest pause of a relayed transfer whose server is killed.
const FAILOVER: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_relayed_transfer_goes_on_over_the_second_server_within_three_seconds() {
    for (seed, from_dialer) in [(3, true), (4, false)] {
        let mut operator = Operator::new(seed, &[10, 30]);
        let (a, b) = relayed(&mut operator, &[0, 1]).await;
        let (dialled, accepted) = connect(&a, &b).await;
        let bytes = payload(64 << 20);
        let (from, to) = match from_dialer {
            true => (&dialled, &accepted),
            false => (&accepted, &dialled),
        };
        let kill = async {
            sleep(Duration::from_secs(1)).await;
            operator.kill(0).await;
            Instant::now()
        };
        let (transfer, killed_at) = tokio::join!(transfer(from, to, &bytes), kill);
        assert!(transfer.intact);
        let pause = transfer.pause_after(killed_at);
        println!("from the dialer {from_dialer}: paused for {pause:?}");
        assert!(pause <= FAILOVER, "{pause:?}");
        assert!(!dialled.path().is_direct());
    }
}

#[tokio::test(start_paused = true)]
async fn a_direct_session_does_not_notice_that_its_server_dies() {
    let mut operator = Operator::new(5, &[10, 30]);
    let a = operator.peer(&strict(), &[0, 1]).await;
    let b = operator.peer(&strict(), &[0, 1]).await;
    sleep(Duration::from_secs(3)).await;
    let (dialled, accepted) = connect(&a, &b).await;
    path_is(&dialled, true).await;
    path_is(&accepted, true).await;
    let changes = dialled.path_changes();
    operator.kill(0).await;
    for n in 0..60_u8 {
        let started = Instant::now();
        echo(&dialled, &accepted, &[n; 100]).await;
        let took = started.elapsed();
        assert!(took <= Duration::from_millis(150), "{n}: {took:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!changes.has_changed().unwrap());
    // Introduced again where both are signed in.
    let listing = a.endpoint.list().await.unwrap();
    assert_eq!(listing.sessions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_down_sends_its_clients_on_first() {
    let mut operator = Operator::new(9, &[10, 30]);
    let (a, b) = relayed(&mut operator, &[0, 1]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    let bytes = payload(64 << 20);
    let stop = async {
        sleep(Duration::from_secs(1)).await;
        let stopped_at = Instant::now();
        operator.servers[0].stop().await;
        stopped_at
    };
    let (transfer, stopped_at) = tokio::join!(transfer(&dialled, &accepted, &bytes), stop);
    assert!(transfer.intact);
    let pause = transfer.pause_after(stopped_at);
    println!("paused for {pause:?}");
    assert!(pause <= Duration::from_millis(600), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn with_both_servers_dead_a_relayed_session_waits_for_one() {
    let mut operator = Operator::new(11, &[10, 30]);
    let (a, b) = relayed(&mut operator, &[0, 1]).await;
    let (dialled, accepted) = connect(&a, &b).await;
    operator.kill(0).await;
    operator.kill(1).await;
    sleep(Duration::from_secs(5)).await;
    operator.restart(1);
    let returned_at = Instant::now();
    let again = timeout(Duration::from_secs(20), echo(&dialled, &accepted, b"again"));
    again.await.expect("it goes on");
    println!("after {:?}", returned_at.elapsed());
    assert!(returned_at.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_relayed_transfers_survive_the_death_of_their_server() {
    let mut operator = Operator::new(12, &[10, 20]);
    let pauses = pauses(&mut operator, 10).await;
    println!("pauses: median {:?}, longest {:?}", pauses[50], pauses[99]);
    assert_eq!(pauses.len(), 100);
    assert!(pauses[99] <= FAILOVER, "{:?}", pauses[99]);
}

/// Sites of symmetric NATs, so that all sessions stay on the relay: so many that dial, as many that
/// accept, and a connection between each two.
async fn relayed_pairs(operator: &mut Operator, each: usize) -> (Vec<Peer>, Vec<Connections>) {
    let site = nat(NatConfig::symmetric());
    let (mut dialers, mut acceptors) = (Vec::new(), Vec::new());
    for _ in 0..each {
        dialers.push(operator.peer(&site, &[0, 1]).await);
        acceptors.push(operator.peer(&site, &[0, 1]).await);
    }
    sleep(Duration::from_secs(3)).await;
    let mut pairs = Vec::new();
    for dialer in &dialers {
        for acceptor in &acceptors {
            pairs.push(connect(dialer, acceptor).await);
        }
    }
    dialers.extend(acceptors);
    (dialers, pairs)
}

/// How long transfers pause, sorted, when the server that relays them is killed. Every other one goes to
/// the dialer.
async fn pauses(operator: &mut Operator, each: usize) -> Vec<Duration> {
    let (_peers, pairs) = relayed_pairs(operator, each).await;
    let mut transfers = JoinSet::new();
    for (nth, (dialled, accepted)) in pairs.into_iter().enumerate() {
        transfers.spawn(async move {
            let transfer = match nth % 2 == 0 {
                true => paced(&dialled, &accepted).await,
                false => paced(&accepted, &dialled).await,
            };
            assert!(!dialled.path().is_direct());
            transfer
        });
    }
    sleep(Duration::from_secs(2)).await;
    operator.kill(0).await;
    let killed_at = Instant::now();
    let mut pauses = Vec::new();
    while let Some(transfer) = transfers.join_next().await {
        let transfer = transfer.unwrap();
        assert!(transfer.intact);
        pauses.push(transfer.pause_after(killed_at));
    }
    pauses.sort();
    pauses
}

/// Some 16 KiB every 50 ms for five seconds, over one stream.
async fn paced(from: &Connection, to: &Connection) -> Transfer {
    paced_for(from, to, Duration::from_secs(5)).await
}

/// The same for so long.
async fn paced_for(from: &Connection, to: &Connection, time: Duration) -> Transfer {
    let bytes = payload((time.as_millis() as usize / 50) << 14);
    let expected = blake3::hash(&bytes);
    let send = async {
        let mut send = from.open_uni().await.expect("a stream opens");
        for chunk in bytes.chunks(1 << 14) {
            send.write_all(chunk).await.expect("it is written");
            sleep(Duration::from_millis(50)).await;
        }
        send.finish().expect("it is finished");
        send.stopped().await.expect("it is acknowledged");
    };
    let receive = async {
        let mut recv = to.accept_uni().await.expect("a stream comes");
        receive(&mut recv, expected).await
    };
    tokio::join!(send, receive).1
}

#[tokio::test(start_paused = true)]
async fn a_session_is_moved_when_only_the_accepting_side_has_lost_its_server() {
    for from_dialer in [true, false] {
        let mut operator = Operator::new(14, &[10, 30]);
        let (a, b) = relayed(&mut operator, &[0, 1]).await;
        let (dialled, accepted) = connect(&a, &b).await;
        let bytes = payload(64 << 20);
        let (from, to) = match from_dialer {
            true => (&dialled, &accepted),
            false => (&accepted, &dialled),
        };
        let cut = async {
            sleep(Duration::from_secs(1)).await;
            let server = &operator.servers[0].place;
            operator.world.cut(&b.place, server, true);
            Instant::now()
        };
        let (transfer, cut_at) = tokio::join!(transfer(from, to, &bytes), cut);
        assert!(transfer.intact);
        let pause = transfer.pause_after(cut_at);
        println!("from the dialer {from_dialer}: paused for {pause:?}");
        assert!(pause <= FAILOVER, "{pause:?}");
        assert!(a.endpoint.servers().await[0].online, "the dialer's lives");
        echo(&dialled, &accepted, b"and goes on").await;
    }
}

/// Bytes that a server has relayed.
fn relayed_by(operator: &Operator, nth: usize) -> u64 {
    operator.servers[nth].handle.counters().relayed_bytes
}

#[tokio::test(start_paused = true)]
async fn relayed_sessions_go_back_to_the_nearer_server_without_a_break() {
    for from_dialer in [true, false] {
        let mut operator = Operator::new(15, &[10, 60]);
        let (a, b) = relayed(&mut operator, &[0, 1]).await;
        let (dialled, accepted) = connect(&a, &b).await;
        operator.kill(0).await;
        echo(&dialled, &accepted, b"over the second").await;
        until(&a.endpoint, |servers| !servers[0].online).await;
        operator.restart(0);
        let returned_at = Instant::now();
        let (from, to) = match from_dialer {
            true => (&dialled, &accepted),
            false => (&accepted, &dialled),
        };
        let transfer = paced_for(from, to, Duration::from_secs(60)).await;
        assert!(transfer.intact);
        // The transfer itself begins slowly, on the far way.
        let pause = transfer.longest_pause_since(returned_at + Duration::from_secs(3));
        let far = relayed_by(&operator, 1);
        echo(&dialled, &accepted, &[0; 100_000]).await;
        let more = relayed_by(&operator, 1) - far;
        println!(
            "from the dialer {from_dialer}: longest pause {pause:?}, {more} bytes the far way"
        );
        assert!(relayed_by(&operator, 0) > 100_000, "the nearer one relays");
        assert!(more < 1000, "the other does not");
        // A round trip over the farther server is 280 ms; what it had under way is not lost.
        assert!(pause <= Duration::from_millis(200), "{pause:?}");
    }
}
