//! Who is let in when many knock.

use gimlet_net::identity::Identity;
use gimlet_proto::limit::Rate;
use gimlet_server::Config;

use crate::support::{Client, start};

#[tokio::test]
async fn whoever_knocks_often_proves_its_address_first_and_gets_in() {
    let mut config = Config::on_loopback();
    config.handshakes = Rate::per_second(1, 1);
    let server = start(config);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::signed_in(&server, None).await);
    }
    let counted = server.handle.counters();
    assert_eq!(counted.peers, 5);
    assert!(counted.handshakes_retried >= 3, "{counted:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_handshakes_from_one_prefix_is_refused() {
    let mut config = Config::on_loopback();
    config.handshakes = Rate::per_second(1, 1);
    config.max_handshakes = Rate::per_second(1, 1);
    let server = start(config);
    let client = Client::signed_in(&server, None).await;
    let second = Client::dial(server.addr, server.id, &Identity::generate()).await;
    assert!(second.is_err());
    assert!(server.handle.counters().handshakes_refused >= 1);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_says_so_at_once() {
    let mut config = Config::on_loopback();
    config.max_connections = 1;
    let server = start(config);
    let client = Client::signed_in(&server, None).await;
    let second = Client::dial(server.addr, server.id, &Identity::generate()).await;
    assert!(second.is_err());
    assert_eq!(server.handle.counters().handshakes_retried, 1);
    assert_eq!(server.handle.counters().handshakes_refused, 1);
    drop(client);
    server.stop().await;
}
