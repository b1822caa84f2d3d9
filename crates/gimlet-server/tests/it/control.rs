//! Control sessions: signing in, meeting, and misbehaving.

use std::sync::Arc;

use gimlet_net::identity::Identity;
use gimlet_proto::candidate::{Candidate, CandidateKind, NatClass};
use gimlet_proto::id::PeerId;
use gimlet_proto::message::*;
use gimlet_proto::rendezvous::CloseReason;
use gimlet_proto::secret::{Credentials, RelaySecret, SessionId};
use gimlet_server::{Access, Config, Event};

use crate::support::{Client, dial_only, sign_in, soon, start};

#[tokio::test]
async fn a_peer_signs_in_and_learns_its_address_and_the_stun_port() {
    let server = start(Config::on_loopback());
    let mut events = server.handle.events();
    let mut client = Client::connect(&server).await;
    let name = Some("alice".parse().unwrap());
    let ToPeer::SignedIn(signed_in) = client.ask(SignIn { name, ..sign_in() }).await else {
        panic!("signed in");
    };
    assert_eq!(signed_in.observed, client.addr());
    assert_eq!(signed_in.stun_ports, [server.alt.port()]);
    assert_eq!(signed_in.name.unwrap().as_str(), "alice");
    let event = soon(events.recv()).await.unwrap();
    assert!(matches!(event, Event::SignedIn { who, .. } if who.peer == client.id));
    assert_eq!(server.handle.counters().peers, 1);

    client.say(SignOut {}).await;
    assert_eq!(client.closed().await, Some(CloseReason::SignedOut));
    server.counted(|now| now.peers == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_told_and_shown_the_door() {
    let mut config = Config::on_loopback();
    config.access = Access::Tokens(vec!["right".to_owned()]);
    let server = start(config);
    let mut client = Client::connect(&server).await;
    let token = Some("wrong".to_owned());
    let answer = client.ask(SignIn { token, ..sign_in() }).await;
    let reason = FailReason::BadToken;
    assert_eq!(answer, Failed { id: 1, reason }.into());
    assert_eq!(client.closed().await, Some(CloseReason::SignInFailed));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_expects_another_server_key_does_not_connect() {
    let server = start(Config::on_loopback());
    let (other, me) = (Identity::generate().peer_id(), Identity::generate());
    assert!(Client::dial(server.addr, other, &me).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn the_same_key_again_replaces_the_session_before() {
    let server = start(Config::on_loopback());
    let identity = Identity::generate();
    let mut first = Client::connect_as(&server, &identity).await;
    first.ask(sign_in()).await;
    let mut second = Client::connect_as(&server, &identity).await;
    second.ask(sign_in()).await;
    assert_eq!(first.closed().await, Some(CloseReason::Replaced));
    assert_eq!(server.handle.counters().peers, 1);
    server.stop().await;
}

#[tokio::test]
async fn sessions_that_only_dial_stand_beside_the_reachable_one_and_dial_each_by_itself() {
    let server = start(Config::on_loopback());
    let identity = Identity::generate();
    let mut up = Client::connect_as(&server, &identity).await;
    up.ask(sign_in()).await;
    let mut bob = Client::signed_in(&server, Some("bob")).await;
    let mut dialers = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect_as(&server, &identity).await;
        let answer = client.ask(dial_only()).await;
        assert!(matches!(answer, ToPeer::SignedIn(_)), "{answer:?}");
        dialers.push(client);
    }
    let counted = server.counted(|now| now.dialing == 2).await;
    assert_eq!(counted.peers, 2);
    for (n, client) in [1, 2].into_iter().zip(&mut dialers) {
        client.say(introduce(n, bob.id)).await;
        assert!(matches!(bob.hear().await, ToPeer::Introduction(_)));
    }
    bob.say(accept(2)).await;
    bob.say(accept(1)).await;
    for (n, client) in [1, 2].into_iter().zip(&mut dialers) {
        let ToPeer::Accepted(accepted) = client.hear().await else {
            panic!("accepted");
        };
        assert_eq!(accepted.session, SessionId([n; 8]));
    }
    let answer = dialers[0].ask(introduce(3, up.id)).await;
    let reason = RefuseReason::BadRequest;
    let session = SessionId([3; 8]);
    assert_eq!(answer, ToPeer::Refused(Refused { session, reason }));
    let ToPeer::Page(page) = up.ask(List { id: 3, after: None }).await else {
        panic!("a page: the reachable session stands, and heard nothing else");
    };
    assert_eq!((page.peers.len(), page.sessions.len()), (2, 2));
    drop(dialers);
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_reconnects_goes_on_with_its_sessions() {
    let server = start(Config::on_loopback());
    let identity = Identity::generate();
    let mut before = Client::connect_as(&server, &identity).await;
    before.ask(sign_in()).await;
    let mut bob = Client::signed_in(&server, Some("bob")).await;
    before.say(introduce(1, bob.id)).await;
    bob.hear().await;
    bob.say(accept(1)).await;
    before.hear().await;
    let mut after = Client::connect_as(&server, &identity).await;
    after.ask(sign_in()).await;
    assert_eq!(before.closed().await, Some(CloseReason::Replaced));
    let more = Candidates {
        session: SessionId([1; 8]),
        candidates: introduce(1, bob.id).candidates,
    };
    after.say(more.clone()).await;
    assert_eq!(bob.hear().await, ToPeer::Candidates(more.clone()));
    bob.say(more.clone()).await;
    assert_eq!(after.hear().await, ToPeer::Candidates(more));
    server.stop().await;
}

#[tokio::test]
async fn two_peers_are_introduced_and_hear_what_belongs_to_them() {
    let server = start(Config::on_loopback());
    let mut alice = Client::signed_in(&server, Some("alice")).await;
    let mut bob = Client::signed_in(&server, Some("bob")).await;
    let text = "bob".to_owned();
    let ToPeer::Resolved(resolved) = alice.ask(Resolve { id: 2, text }).await else {
        panic!("resolved");
    };
    assert_eq!((resolved.peer, resolved.online), (bob.id, true));

    alice.say(introduce(1, bob.id)).await;
    let ToPeer::Introduction(introduction) = bob.hear().await else {
        panic!("an introduction");
    };
    assert_eq!(introduction.peer, alice.id);
    assert_eq!(introduction.name.unwrap().as_str(), "alice");
    assert_eq!(introduction.candidates.len(), 1);
    bob.say(accept(1)).await;
    let ToPeer::Accepted(accepted) = alice.hear().await else {
        panic!("accepted");
    };
    assert_eq!(accepted.credentials, credentials(101));
    let ToPeer::Page(page) = alice.ask(List { id: 3, after: None }).await else {
        panic!("a page");
    };
    assert_eq!((page.peers.len(), page.sessions.len()), (2, 1));

    let session = SessionId([1; 8]);
    bob.say(CloseSession { session }).await;
    assert_eq!(
        alice.hear().await,
        ToPeer::SessionClosed(CloseSession { session })
    );
    let answer = alice.ask(introduce(2, PeerId::from_bytes([9; 32]))).await;
    assert!(matches!(
        answer,
        ToPeer::Refused(Refused {
            reason: RefuseReason::Offline,
            ..
        })
    ));
    server.stop().await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_closed_and_the_rest_goes_on() {
    let server = start(Config::on_loopback());
    let mut good = Client::signed_in(&server, None).await;
    for bytes in [
        &[0xff; 64][..],
        &[0, 0, 0, 1, 0][..],
        &[0, 0, 0, 6, 0, 1, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut bad = Client::connect(&server).await;
        bad.say_bytes(bytes).await;
        assert_eq!(bad.closed().await, Some(CloseReason::Malformed));
    }
    let answer = good.ask(List { id: 1, after: None }).await;
    assert!(matches!(answer, ToPeer::Page(_)));
    server.stop().await;
}

#[tokio::test]
async fn a_record_of_an_unknown_kind_is_skipped() {
    let server = start(Config::on_loopback());
    let mut client = Client::connect(&server).await;
    client.say_bytes(&[0, 0, 0, 4, 0xee, 0xee, 1, 2]).await;
    let answer = client.ask(sign_in()).await;
    assert!(matches!(answer, ToPeer::SignedIn(_)));
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    let server = start(Config::on_loopback());
    let mut events = server.handle.events();
    // Enough peers that a page of the list is large.
    let mut crowd = Vec::new();
    for _ in 0..16 {
        crowd.push(Client::signed_in(&server, None).await);
    }
    let mut deaf = Client::connect_with_window(&server, 1024).await;
    deaf.say(sign_in()).await;
    for id in 0..200 {
        deaf.say(List { id, after: None }).await;
    }
    assert_eq!(deaf.closed().await, Some(CloseReason::SlowReader));
    soon(async {
        loop {
            if let Event::SignedOut { who, reason } = events.recv().await.unwrap() {
                assert_eq!((who.peer, reason), (deaf.id, CloseReason::SlowReader));
                return;
            }
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn many_sign_in_at_once() {
    let server = Arc::new(start(Config::on_loopback()));
    let signing: Vec<_> = (0..60)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { Client::signed_in(&server, None).await })
        })
        .collect();
    let mut clients = Vec::new();
    for task in signing {
        clients.push(soon(task).await.unwrap());
    }
    server.counted(|now| now.peers == 60).await;
    drop(clients);
    Arc::into_inner(server).unwrap().stop().await;
}

fn introduce(n: u8, peer: PeerId) -> Introduce {
    Introduce {
        session: SessionId([n; 8]),
        peer,
        secret: RelaySecret([n; 32]),
        credentials: credentials(n),
        candidates: vec![Candidate {
            kind: CandidateKind::Host,
            addr: "127.0.0.1:5".parse().unwrap(),
        }],
        nat: NatClass::default(),
    }
}

fn accept(n: u8) -> Accept {
    Accept {
        session: SessionId([n; 8]),
        secret: RelaySecret([n + 100; 32]),
        credentials: credentials(n + 100),
        candidates: vec![],
        nat: NatClass::default(),
    }
}

fn credentials(n: u8) -> Credentials {
    Credentials {
        fragment: [n; 8],
        password: [n; 16],
    }
}
