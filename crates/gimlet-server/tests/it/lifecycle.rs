//! Starting, stopping, and what a state folder keeps.

use std::time::{Duration, Instant};

use gimlet_net::identity::Identity;
use gimlet_proto::address::ServerAddress;
use gimlet_proto::message::{Draining, FailReason, Failed, SignIn, ToPeer};
use gimlet_proto::rendezvous::CloseReason;
use gimlet_server::{Access, BindError, Config, Server};

use crate::support::{Client, sign_in, start};

#[tokio::test]
async fn a_stopping_server_says_goodbye_within_a_second() {
    let server = start(Config::on_loopback());
    let mut client = Client::signed_in(&server, None).await;
    let began = Instant::now();
    let (stopped, ()) = tokio::join!(server.stop(), async {
        let notice = Draining {
            in_ms: 250,
            return_over_ms: 1,
        };
        assert_eq!(client.hear().await, notice.into());
        assert_eq!(client.closed().await, Some(CloseReason::ShuttingDown));
    });
    let () = stopped;
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn key_token_and_names_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = Config::on_loopback();
        config.access = Access::OwnToken;
        config.state = Some(folder.path().join("state"));
        config
    };
    let address = Server::bind(config()).unwrap().address();
    let named = |name: &str| SignIn {
        name: Some(name.parse().unwrap()),
        token: address.token.clone(),
        ..sign_in()
    };

    let server = start(config());
    assert_eq!(Some(server.id), address.key);
    let alice = Identity::generate();
    let mut client = Client::connect_as(&server, &alice).await;
    assert!(matches!(
        client.ask(named("alice")).await,
        ToPeer::SignedIn(_)
    ));
    server.stop().await;

    let server = start(config());
    assert_eq!(Some(server.id), address.key);
    let mut thief = Client::connect(&server).await;
    let reason = FailReason::NameTaken;
    assert_eq!(
        thief.ask(named("alice")).await,
        Failed { id: 1, reason }.into()
    );
    let mut client = Client::connect_as(&server, &alice).await;
    let token = address.token.clone();
    let ToPeer::SignedIn(signed_in) = client.ask(SignIn { token, ..sign_in() }).await else {
        panic!("signed in");
    };
    assert_eq!(signed_in.name.unwrap().as_str(), "alice");
    server.stop().await;
}

#[tokio::test]
async fn the_address_line_is_all_a_client_needs() {
    let mut config = Config::on_loopback();
    config.access = Access::OwnToken;
    let server = Server::bind(config).unwrap();
    let address: ServerAddress = server.address().to_string().parse().unwrap();
    assert_eq!(address.host, "127.0.0.1");
    assert_eq!(address.port, server.local_addr().port());
    assert_eq!(address.key, Some(server.peer_id()));
    assert!(address.token.is_some());
}

#[tokio::test]
async fn a_port_or_a_state_folder_in_use_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::on_loopback();
    config.state = Some(folder.path().to_owned());
    let first = Server::bind(config.clone()).unwrap();
    let second = Server::bind(config.clone());
    assert!(matches!(second, Err(BindError::Names(_))), "{second:?}");
    config.listen = first.local_addr();
    let error = Server::bind(config).unwrap_err().to_string();
    assert!(error.contains("the port is in use"), "{error}");
}

#[tokio::test]
async fn many_servers_live_in_one_process() {
    let servers: Vec<_> = (0..5).map(|_| start(Config::on_loopback())).collect();
    for server in &servers {
        Client::signed_in(server, Some("alice")).await;
    }
    for server in servers {
        assert_eq!(server.handle.counters().handshakes, 1);
        server.stop().await;
    }
}
