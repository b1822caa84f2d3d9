//! Who may use what.

use std::collections::HashSet;

use gimlet_apps::forward::{self, Allow, Exposed, FlowError, Link};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{World, address, closed, service};
use crate::support::{in_time, peer};

#[tokio::test]
async fn a_service_that_is_for_others_is_not_there() {
    in_time(async {
        let (listener, place) = service().await;
        let (_, other_place) = service().await;
        let friend = HashSet::from([gimlet::Identity::generate().peer_id()]);
        let exposed = Exposed::new()
            .service("open".parse().unwrap(), place, Allow::Everyone)
            .service("closed".parse().unwrap(), other_place, Allow::Only(friend));
        let world = World::new(exposed).await;
        let mut events = world.link.events();
        for name in ["closed", "missing"] {
            let (mut user, _listening) = world.connect(name).await;
            assert!(user.read_u8().await.is_err());
            let (goal, _, failure) = closed(&mut events).await;
            assert_eq!(failure, Some(FlowError::NotServed), "{goal}");
        }
        let (mut user, _listening) = world.connect("open").await;
        user.write_all(b"x").await.unwrap();
        let (mut service, _) = listener.accept().await.unwrap();
        assert_eq!(service.read_u8().await.unwrap(), b'x');
    })
    .await;
}

#[tokio::test]
async fn each_service_has_a_list_of_its_own() {
    in_time(async {
        let server = crate::support::server();
        let (alice, bob) = (peer(&server, vec![]).await, peer(&server, vec![]).await);
        let (listener, place) = service().await;
        let only = |peer: &gimlet::Endpoint| Allow::Only(HashSet::from([peer.peer_id()]));
        let exposed = Exposed::new()
            .service("a".parse().unwrap(), place.clone(), only(&alice))
            .service("b".parse().unwrap(), place, only(&bob));
        let exposed = std::sync::Arc::new(exposed);
        let host = peer(&server, vec![forward::ALPN.to_vec()]).await;
        let id = host.peer_id();
        let _serving = super::world::serve(host, &exposed);
        for (user, name, served) in [
            (&alice, "a", true),
            (&alice, "b", false),
            (&bob, "a", false),
            (&bob, "b", true),
        ] {
            let link = Link::new(user.clone(), id);
            let local = "127.0.0.1:0".parse().unwrap();
            let listening = forward::listen(&link, &local, name.parse().unwrap());
            let listening = listening.await.unwrap();
            let mut stream = TcpStream::connect(address(&listening)).await.unwrap();
            if served {
                drop(listener.accept().await.unwrap());
            }
            let end = stream.read(&mut [0; 1]).await;
            assert_eq!(end.is_ok(), served, "{name}");
        }
    })
    .await;
}
