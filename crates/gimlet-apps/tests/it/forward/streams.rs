//! Connections through a forward: their bytes, and how they end.

use std::io;

use gimlet_apps::forward::{Allow, Exposed, FlowError, Place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, address, closed, service};
use crate::support::in_time;

async fn world() -> (World, TcpListener) {
    let (listener, place) = service().await;
    let exposed = Exposed::new().service("web".parse().unwrap(), place, Allow::Everyone);
    (World::new(exposed).await, listener)
}

/// A connection, both its ends, and what keeps it.
async fn joined() -> (World, TcpStream, TcpStream, impl Sized) {
    let (world, listener) = world().await;
    let (user, listening) = world.connect("web").await;
    let (service, _) = listener.accept().await.unwrap();
    (world, user, service, (listener, listening))
}

fn is_reset<T: std::fmt::Debug>(result: io::Result<T>) -> bool {
    result.unwrap_err().kind() == io::ErrorKind::ConnectionReset
}

#[tokio::test]
async fn a_half_closed_connection_stays_half_open_both_ways() {
    in_time(async {
        let (world, mut user, mut service, _kept) = joined().await;
        let mut events = world.link.events();
        user.write_all(b"question").await.unwrap();
        user.shutdown().await.unwrap();
        let mut question = String::new();
        service.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        // The user has ended; the service still speaks.
        service.write_all(b"long ").await.unwrap();
        let mut first = [0; 5];
        user.read_exact(&mut first).await.unwrap();
        service.write_all(b"answer").await.unwrap();
        service.shutdown().await.unwrap();
        let mut answer = String::new();
        user.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        let (_, traffic, failure) = closed(&mut events).await;
        assert_eq!((traffic.sent, traffic.received, failure), (8, 11, None));
    })
    .await;
}

#[tokio::test]
async fn the_service_may_end_first() {
    in_time(async {
        let (_world, mut user, mut service, _kept) = joined().await;
        service.write_all(b"bye").await.unwrap();
        service.shutdown().await.unwrap();
        let mut said = String::new();
        user.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "bye");
        user.write_all(b"thanks").await.unwrap();
        user.shutdown().await.unwrap();
        said.clear();
        service.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "thanks");
    })
    .await;
}

#[tokio::test]
async fn a_reset_of_the_user_is_a_reset_at_the_service() {
    in_time(async {
        let (world, mut user, mut service, _kept) = joined().await;
        let mut events = world.exposed.events();
        user.write_all(b"x").await.unwrap();
        service.read_u8().await.unwrap();
        user.set_zero_linger().unwrap();
        drop(user);
        assert!(is_reset(service.read_u8().await));
        let (_, _, failure) = closed(&mut events).await;
        assert_eq!(failure, Some(FlowError::ResetThere));
    })
    .await;
}

#[tokio::test]
async fn a_reset_of_the_service_is_a_reset_at_the_user() {
    in_time(async {
        let (world, mut user, mut service, _kept) = joined().await;
        let mut events = world.link.events();
        user.write_all(b"x").await.unwrap();
        service.read_u8().await.unwrap();
        service.set_zero_linger().unwrap();
        drop(service);
        assert!(is_reset(user.read_u8().await));
        let (_, _, failure) = closed(&mut events).await;
        assert_eq!(failure, Some(FlowError::ResetThere));
    })
    .await;
}

#[tokio::test]
async fn a_reset_after_a_half_close_still_reaches_an_idle_user() {
    in_time(async {
        let (_world, mut user, mut service, _kept) = joined().await;
        service.shutdown().await.unwrap();
        assert_eq!(user.read(&mut [0; 1]).await.unwrap(), 0);
        service.set_zero_linger().unwrap();
        drop(service);
        // The socket is gone as soon as the reset is here.
        let gone = async {
            while user.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        gone.await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_does_not_listen_is_a_reset_and_the_reason_is_told() {
    in_time(async {
        let (world, listener) = world().await;
        drop(listener);
        let mut events = world.link.events();
        let (mut user, _listening) = world.connect("web").await;
        assert!(is_reset(user.read_u8().await));
        let (_, _, failure) = closed(&mut events).await;
        assert_eq!(failure, Some(FlowError::Refused));
    })
    .await;
}

#[tokio::test]
async fn a_stalled_reader_holds_its_writer_and_nobody_else() {
    const PIECE: usize = 64 * 1024;
    in_time(async {
        let (world, listener) = world().await;
        let listening = world.forward("127.0.0.1:0", "web").await;
        // More of them than the session's first window has room for.
        let mut stalled = Vec::new();
        for _ in 0..12 {
            let user = TcpStream::connect(address(&listening)).await.unwrap();
            let (service, _) = listener.accept().await.unwrap();
            stalled.push((user, service));
        }
        for (_, service) in &mut stalled {
            let mut written = 0;
            let stuck = async {
                loop {
                    written += service.write(&[7; PIECE]).await.unwrap();
                }
            };
            // Nothing goes in for so long, so it is stuck; too short a wait only makes it easier.
            let patience = std::time::Duration::from_millis(300);
            let _ = tokio::time::timeout(patience, stuck).await;
            assert!(written < 64 << 20, "back-pressure ends it, not memory");
        }
        let mut user = TcpStream::connect(address(&listening)).await.unwrap();
        let (mut service, _) = listener.accept().await.unwrap();
        service.write_all(b"still here").await.unwrap();
        let mut said = [0; 10];
        user.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"still here");
    })
    .await;
}

#[tokio::test]
async fn eight_mebibytes_each_way_at_once_arrive_whole() {
    const LENGTH: usize = 8 << 20;
    in_time(async {
        let (_world, user, service, _kept) = joined().await;
        let end = async |mut stream: TcpStream, seed: u32| {
            let (mut read, mut write) = stream.split();
            let data = |seed: u32| -> Vec<u8> {
                let byte = |n: u32| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8;
                (0..LENGTH as u32).map(byte).collect()
            };
            let writing = async {
                write.write_all(&data(seed)).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let (_, read) = tokio::join!(writing, read.read_to_end(&mut got));
            read.unwrap();
            assert!(got == data(seed ^ 1));
        };
        tokio::join!(end(user, 0), end(service, 1));
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_serve_at_both_ends() {
    use std::os::unix::fs::PermissionsExt as _;
    use tokio::net::{UnixListener, UnixStream};
    in_time(async {
        let folder = tempfile::tempdir().unwrap();
        let (there, here) = (folder.path().join("there"), folder.path().join("here"));
        let service = UnixListener::bind(&there).unwrap();
        let place = Place::Unix(there);
        let exposed = Exposed::new().service("db".parse().unwrap(), place, Allow::Everyone);
        let world = World::new(exposed).await;
        // Left behind by one that died.
        drop(UnixListener::bind(&here).unwrap());
        let listening = world
            .forward(&format!("unix:{}", here.display()), "db")
            .await;
        let mode = std::fs::metadata(&here).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for this user alone");
        let mut user = UnixStream::connect(&here).await.unwrap();
        let (mut service, _) = service.accept().await.unwrap();
        user.write_all(b"select").await.unwrap();
        user.shutdown().await.unwrap();
        let mut said = String::new();
        service.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "select");
        service.write_all(b"rows").await.unwrap();
        drop(service);
        said.clear();
        user.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "rows");
        drop(listening);
        while here.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_forward_that_is_dropped_resets_what_is_under_way() {
    in_time(async {
        let (listener, place) = service().await;
        let exposed = Exposed::new().service("web".parse().unwrap(), place, Allow::Everyone);
        let world = World::new(exposed).await;
        let (mut user, listening) = world.connect("web").await;
        let (mut service, _) = listener.accept().await.unwrap();
        user.write_all(b"x").await.unwrap();
        service.read_u8().await.unwrap();
        drop(listening);
        assert!(is_reset(user.read_u8().await));
        assert!(is_reset(service.read_u8().await));
    })
    .await;
}
