//! Peers that are away, and come back.

use std::sync::Arc;

use gimlet::{Endpoint, Identity};
use gimlet_apps::forward::{self, Allow, Exposed, FlowError, Link, LinkState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{address, closed, serve, service};
use crate::support::{in_time, peer, peer_with, server};

#[tokio::test]
async fn a_forward_listens_while_the_peer_is_away_and_works_when_it_is_back() {
    in_time(async {
        let server = server();
        let (listener, place) = service().await;
        let exposed = Exposed::new().service("web".parse().unwrap(), place, Allow::Everyone);
        let exposed = Arc::new(exposed);
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let host = async || {
            let identity = Identity::load_or_create(&key).unwrap();
            let alpns = vec![forward::ALPN.to_vec()];
            let builder = Endpoint::builder().identity(identity);
            peer_with(builder.server(server.clone()).alpns(alpns)).await
        };
        let id = Identity::load_or_create(&key).unwrap().peer_id();
        let link = Link::new(peer(&server, Vec::new()).await, id);
        let local = "127.0.0.1:0".parse().unwrap();
        let listening = forward::listen(&link, &local, "web".parse().unwrap());
        let listening = listening.await.unwrap();
        let mut state = link.state();
        let is_away = |state: &LinkState| matches!(state, LinkState::Away(_));
        state.wait_for(is_away).await.unwrap();

        // A connection made now is carried as soon as the peer is there.
        for _ in 0..2 {
            let mut user = TcpStream::connect(address(&listening)).await.unwrap();
            user.write_all(b"early").await.unwrap();
            let serving = serve(host().await, &exposed);
            let (mut at_service, _) = listener.accept().await.unwrap();
            let mut said = [0; 5];
            at_service.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"early");
            // What was under way when it left is reset.
            serving.endpoint.close().await;
            drop(serving);
            assert!(user.read_u8().await.is_err());
            state.wait_for(is_away).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_waits_in_vain_is_reset() {
    in_time(async {
        let server = server();
        let nobody = Identity::generate().peer_id();
        let link = Link::new(peer(&server, Vec::new()).await, nobody);
        let local = "127.0.0.1:0".parse().unwrap();
        let listening = forward::listen(&link, &local, "web".parse().unwrap());
        let listening = listening.await.unwrap();
        let mut events = link.events();
        let mut user = TcpStream::connect(address(&listening)).await.unwrap();
        let end = user.read_u8().await.unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
        let (_, _, failure) = closed(&mut events).await;
        assert!(matches!(failure, Some(FlowError::Away(_))), "{failure:?}");
    })
    .await;
}

#[tokio::test]
async fn a_link_says_how_the_peer_is_reached() {
    in_time(async {
        let server = server();
        let exposed = Arc::new(Exposed::new());
        let host = peer(&server, vec![forward::ALPN.to_vec()]).await;
        let serving = serve(host, &exposed);
        let user = peer(&server, Vec::new()).await;
        let link = Link::new(user, serving.endpoint.peer_id());
        let connection = link.connection().await.unwrap();
        let path = connection.settled().await;
        assert!(path.is_direct());
        assert!(path.local.is_some() && path.remote.is_some());
    })
    .await;
}
