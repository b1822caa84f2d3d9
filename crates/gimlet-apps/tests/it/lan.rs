//! Peers on the same network, with no server: on loopback, and over this host's own multicast.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gimlet::{
    AcceptPolicy, CloseReason, ConnectAtError, ConnectError, Endpoint, Identity, PathKind,
    Presence, SignInError,
};
use gimlet_apps::lan::{self, Lan, Options, Outcome};
use gimlet_apps::{Router, echo};

use crate::support::{in_time, peer_with, server};

/// An endpoint without a server that answers on the local network.
async fn neighbour(alpns: Vec<Vec<u8>>, policy: AcceptPolicy) -> Endpoint {
    let builder = Endpoint::builder().lan(true).alpns(alpns).accept(policy);
    builder.bind().await.unwrap()
}

fn at(endpoint: &Endpoint) -> [SocketAddr; 1] {
    [(Ipv4Addr::LOCALHOST, endpoint.lan_port().unwrap()).into()]
}

/// Answers echo and messages until the test ends.
fn serve(endpoint: &Endpoint, lan: &Lan) {
    let door = lan.door();
    let router = Router::new()
        .on(echo::ALPN, |connection| async move {
            while let Ok((send, recv)) = connection.accept_bi().await {
                tokio::spawn(echo::serve(recv, send));
            }
        })
        .on(lan::ALPN, move |connection| {
            let door = door.clone();
            async move { door.answer(connection).await }
        });
    let endpoint = endpoint.clone();
    tokio::spawn(async move { router.serve(&endpoint).await });
}

#[tokio::test]
async fn who_was_found_here_is_dialled_here_although_a_server_knows_it() {
    in_time(async {
        let server = server();
        let known = || Endpoint::builder().server(server.clone()).lan(true);
        let alice = peer_with(known().alpns(vec![echo::ALPN.to_vec()])).await;
        let bob = peer_with(known()).await;
        bob.set_nearby([(alice.peer_id(), at(&alice).to_vec())]);
        let dial = bob.connect(alice.peer_id(), echo::ALPN);
        let (dialled, accepted) = tokio::join!(dial, alice.accept());
        let (dialled, _accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(dialled.path().remote, Some(at(&alice)[0]));
        assert!(bob.list().await.unwrap().sessions.is_empty());

        // It left without a word: what answers there is nobody.
        let gone = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        bob.set_nearby([(alice.peer_id(), vec![gone.local_addr().unwrap()])]);
        let dial = bob.connect(alice.peer_id(), echo::ALPN);
        let (dialled, accepted) = tokio::join!(dial, alice.accept());
        let (_dialled, _accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(bob.list().await.unwrap().sessions.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_is_found_here_is_present_and_who_is_not_is_not_here() {
    in_time(async {
        let alice = neighbour(vec![echo::ALPN.to_vec()], AcceptPolicy::All).await;
        let bob = neighbour(Vec::new(), AcceptPolicy::Nobody).await;
        let dial = bob.connect(alice.peer_id(), echo::ALPN).await;
        assert_eq!(dial.err(), Some(ConnectError::NotHere));
        assert_eq!(bob.is_alive(alice.peer_id()).await, Ok(false));
        let mut watching = bob.watch(alice.peer_id()).await.unwrap();
        assert_eq!(watching.presence(), Presence::Offline);
        bob.set_nearby([(alice.peer_id(), at(&alice).to_vec())]);
        assert!(watching.online().await);
        assert_eq!(bob.is_alive(alice.peer_id()).await, Ok(true));
        bob.connect(alice.peer_id(), echo::ALPN).await.unwrap();
        bob.close().await;
        let dial = bob.connect(alice.peer_id(), echo::ALPN).await;
        let signed_out = ConnectError::NotSignedIn(SignInError::SignedOut);
        assert_eq!(dial.err(), Some(signed_out));
    })
    .await;
}

#[tokio::test]
async fn peers_without_a_server_connect_at_an_address() {
    in_time(async {
        let alice = neighbour(vec![echo::ALPN.to_vec()], AcceptPolicy::All).await;
        let addrs = at(&alice);
        let bob = neighbour(Vec::new(), AcceptPolicy::Nobody).await;
        let dial = bob.connect_at(alice.peer_id(), &addrs, echo::ALPN);
        let (dialled, accepted) = tokio::join!(dial, alice.accept());
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(accepted.peer(), bob.peer_id());
        assert_eq!(accepted.alpn(), echo::ALPN);
        let path = dialled.settled().await;
        assert_eq!(path.kind, PathKind::Direct);
        assert_eq!(path.remote, Some(addrs[0]));
        assert_eq!(
            accepted.path().remote.unwrap().port(),
            bob.lan_port().unwrap()
        );

        let (mut send, mut recv) = dialled.open_bi().await.unwrap();
        let served = async {
            let (send, recv) = accepted.accept_bi().await.unwrap();
            echo::serve(recv, send).await.unwrap();
        };
        let asked = async {
            echo::round_trip(&mut recv, &mut send, 7).await.unwrap();
            send.finish().unwrap();
        };
        tokio::join!(served, asked);
        bob.close().await;
        let closed = accepted.closed().await;
        assert!(
            matches!(closed, CloseReason::Peer { code: 0, .. }),
            "{closed}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_policy_judges_by_the_key_that_was_shown() {
    in_time(async {
        let known = Identity::generate();
        let policy = AcceptPolicy::Known(Arc::new([known.peer_id()].into()));
        let alice = neighbour(vec![echo::ALPN.to_vec()], policy).await;
        let addrs = at(&alice);
        let stranger = neighbour(Vec::new(), AcceptPolicy::Nobody).await;
        let knocking = stranger.connect_at(alice.peer_id(), &addrs, echo::ALPN);
        let closed = knocking.await.unwrap().closed().await;
        assert!(
            matches!(closed, CloseReason::Peer { code: 3, .. }),
            "{closed}"
        );

        let friend = Endpoint::builder().lan(true).identity(known);
        let friend = friend.bind().await.unwrap();
        let dial = friend.connect_at(alice.peer_id(), &addrs, echo::ALPN);
        let (dialled, accepted) = tokio::join!(dial, alice.accept());
        assert!(dialled.is_ok());
        assert_eq!(accepted.unwrap().peer(), friend.peer_id());
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_dialled_says_why() {
    in_time(async {
        let alice = neighbour(vec![echo::ALPN.to_vec()], AcceptPolicy::All).await;
        let addrs = at(&alice);
        let bob = neighbour(Vec::new(), AcceptPolicy::Nobody).await;
        let somebody = Identity::generate().peer_id();
        let failed = async |peer, addrs: &[SocketAddr], alpn: &[u8]| {
            bob.connect_at(peer, addrs, alpn).await.unwrap_err()
        };
        let wrong_key = failed(somebody, &addrs, echo::ALPN).await;
        assert_eq!(wrong_key, ConnectError::WrongKey.into());
        let no_protocol = failed(alice.peer_id(), &addrs, b"no/1").await;
        assert_eq!(no_protocol, ConnectError::NoProtocol.into());
        let far = ["192.0.2.1:9".parse().unwrap()];
        let no_address = failed(alice.peer_id(), &far, echo::ALPN).await;
        assert_eq!(no_address, ConnectAtError::NoAddress);
        let myself = failed(bob.peer_id(), &at(&bob), echo::ALPN).await;
        assert_eq!(myself, ConnectError::Myself.into());
        let off = Endpoint::builder().bind().await.unwrap();
        let off = off.connect_at(alice.peer_id(), &addrs, echo::ALPN);
        assert_eq!(off.await.unwrap_err(), ConnectAtError::Off);
    })
    .await;
}

/// Parity C: discovery, count, broadcast with acknowledgement, wait, own messages ignored. Others may
/// be on this network too, so only the three of this test are looked at.
#[tokio::test]
async fn parity_c_peers_find_one_another_with_no_server_and_a_broadcast_is_acknowledged() {
    in_time(async {
        let mut there = Vec::new();
        for name in ["alice", "bob", "carol"] {
            let alpns = vec![lan::ALPN.to_vec(), echo::ALPN.to_vec()];
            let endpoint = neighbour(alpns, AcceptPolicy::All).await;
            let name = Some(name.parse().unwrap());
            let options = Options {
                announce: true,
                name,
            };
            let lan = Lan::start(&endpoint, options).unwrap();
            serve(&endpoint, &lan);
            there.push((endpoint, lan));
        }
        let ids: Vec<_> = there
            .iter()
            .map(|(endpoint, _)| endpoint.peer_id())
            .collect();
        for (endpoint, lan) in &there {
            let others = ids.iter().filter(|id| **id != endpoint.peer_id());
            let others: Vec<_> = others.copied().collect();
            let mut peers = lan.changes();
            let found = peers.wait_for(|peers| others.iter().all(|id| peers.contains_key(id)));
            found.await.unwrap();
            assert!(lan.peer_count() >= 2);
            assert_eq!(lan.wait_for(2, Duration::ZERO).await, lan.peer_count());
            assert!(
                !lan.peers()
                    .iter()
                    .any(|peer| peer.peer == endpoint.peer_id())
            );
        }

        let mut there = there.into_iter();
        let [
            (alice, alice_lan),
            (_bob, mut bob_lan),
            (_carol, mut carol_lan),
        ] = std::array::from_fn(|_| there.next().unwrap());
        let answers = alice_lan.broadcast(b"hello everybody").await;
        for id in &ids[1..] {
            let answer = answers
                .iter()
                .find(|answer| answer.peer.peer == *id)
                .unwrap();
            assert!(answer.outcome.is_answered(), "{answer:?}");
        }
        for lan in [&mut bob_lan, &mut carol_lan] {
            let message = lan.message().await;
            assert_eq!(message.from, alice.peer_id());
            assert_eq!(message.content, b"hello everybody");
        }
        let too_long = alice_lan.broadcast(&[0; lan::MAX_MESSAGE + 1]).await;
        let refused = |answer: &lan::Answer| answer.outcome == Outcome::TooLong;
        assert!(!too_long.is_empty() && too_long.iter().all(refused));

        // A direct connection to somebody found, for any protocol.
        let connection = alice_lan.connect(ids[1], echo::ALPN).await.unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        echo::round_trip(&mut recv, &mut send, 1).await.unwrap();

        // Who leaves is gone from the others' lists.
        drop(carol_lan);
        let mut peers = alice_lan.changes();
        let left = peers.wait_for(|peers| !peers.contains_key(&ids[2]));
        left.await.unwrap();
    })
    .await;
}
