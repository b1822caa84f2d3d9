//! The router: which handler a connection goes to.

use gimlet_apps::{BUSY, Router, echo};

use crate::support::{in_time, peer, server};

fn router() -> Router {
    Router::new()
        .on(echo::ALPN, |connection| async move {
            while let Ok((send, recv)) = connection.accept_bi().await {
                tokio::spawn(echo::serve(recv, send));
            }
        })
        .on(b"test/close/1", |connection| async move {
            connection.close(77, b"as told");
            connection.closed().await;
        })
}

#[tokio::test]
async fn each_protocol_has_a_handler_of_its_own() {
    in_time(async {
        let server = server();
        let router = router();
        let alice = peer(&server, router.alpns()).await;
        let bob = peer(&server, Vec::new()).await;
        let id = alice.peer_id();
        let serving = async move { router.serve(&alice).await };
        let dialling = async {
            let echoes = bob.connect(id, echo::ALPN).await.unwrap();
            let (mut send, mut recv) = echoes.open_bi().await.unwrap();
            echo::round_trip(&mut recv, &mut send, 5).await.unwrap();
            let closes = bob.connect(id, b"test/close/1").await.unwrap();
            let closed = closes.closed().await;
            assert!(
                matches!(closed, gimlet::CloseReason::Peer { code: 77, .. }),
                "{closed}"
            );
        };
        tokio::select! {
            () = serving => panic!("the router left"),
            () = dialling => (),
        }
    })
    .await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_busy() {
    in_time(async {
        let server = server();
        let router = router().limit(1);
        let alice = peer(&server, router.alpns()).await;
        let bob = peer(&server, Vec::new()).await;
        let id = alice.peer_id();
        let serving = async move { router.serve(&alice).await };
        let dialling = async {
            let first = bob.connect(id, echo::ALPN).await.unwrap();
            let (mut send, mut recv) = first.open_bi().await.unwrap();
            echo::round_trip(&mut recv, &mut send, 5).await.unwrap();
            let second = bob.connect(id, echo::ALPN).await.unwrap();
            let closed = second.closed().await;
            assert!(
                matches!(closed, gimlet::CloseReason::Peer { code, .. } if code == u64::from(BUSY)),
                "{closed}"
            );
        };
        tokio::select! {
            () = serving => panic!("the router left"),
            () = dialling => (),
        }
    })
    .await;
}
