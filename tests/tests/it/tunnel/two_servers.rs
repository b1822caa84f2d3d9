//! Two servers where UDP is blocked, of which the first is not there.

use gimlet::{Changes, Endpoint, EndpointEvent, Network, Transport};
use tokio::sync::watch;

use super::{ALPN, soon, transfer, world};

#[tokio::test]
async fn the_second_server_is_reached_over_tls_and_then_over_udp() {
    let (dead, alive) = (world(false).await, world(false).await);
    let first = dead.address.clone();
    drop(dead);
    let (changes, told) = watch::channel(Changes::default());
    let network = Network::system(0).unwrap().with_changes(told);
    let builder = Endpoint::builder()
        .server(first)
        .server(alive.address.clone())
        .alpns(vec![ALPN.to_vec()])
        .relay_only(true);
    let alice = builder.network(network).bind().await.unwrap();
    let mut events = alice.events();
    let signed_in = soon(alice.online()).await.unwrap();
    assert_eq!(signed_in.transport, Transport::Tls);
    let (bob, _) = alive.signed_in().await;
    transfer(&alice, &bob, 1 << 20).await;
    assert_eq!(alive.handle.counters().tunnels, 2);

    alive.open.send_replace(true);
    changes.send_modify(|changes| changes.wakes += 1);
    let moved = async {
        loop {
            match events.recv().await.unwrap() {
                EndpointEvent::SignedIn(to) if to.transport == Transport::Udp => return,
                _ => (),
            }
        }
    };
    soon(moved).await;
    transfer(&alice, &bob, 1 << 20).await;
}
