//! Datagrams through a forward.

use gimlet_apps::forward::{Allow, Event, Exposed, FlowError, Place};
use tokio::net::UdpSocket;

use super::world::{World, address, closed};
use crate::support::in_time;

async fn udp_service() -> (UdpSocket, Place) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let place = Place::Udp(socket.local_addr().unwrap().to_string());
    (socket, place)
}

async fn world() -> (World, UdpSocket) {
    let (socket, place) = udp_service().await;
    let exposed = Exposed::new().service("dns".parse().unwrap(), place, Allow::Everyone);
    (World::new(exposed).await, socket)
}

async fn user() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn every_user_has_a_flow_and_gets_its_own_answers() {
    in_time(async {
        let (world, service) = world().await;
        let listening = world.forward("udp:127.0.0.1:0", "dns").await;
        let users = [user().await, user().await, user().await];
        let mut buffer = [0; 100];
        for round in 0..3u8 {
            for (n, user) in users.iter().enumerate() {
                let question = [n as u8, round];
                user.send_to(&question, address(&listening)).await.unwrap();
                let (length, from) = service.recv_from(&mut buffer).await.unwrap();
                assert_eq!(buffer[..length], question);
                let answer = [question[0], question[1], b'!'];
                service.send_to(&answer, from).await.unwrap();
                let (length, _) = user.recv_from(&mut buffer).await.unwrap();
                assert_eq!(buffer[..length], answer);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn packets_of_every_size_that_udp_has_pass() {
    in_time(async {
        let (world, service) = world().await;
        let listening = world.forward("udp:127.0.0.1:0", "dns").await;
        let user = user().await;
        let mut buffer = vec![0; 65_535];
        // Some fit into a QUIC datagram, some don't; the largest is UDP's over IPv4.
        for size in [0, 1, 1_000, 1_300, 1_400, 1_500, 4_096, 65_507] {
            let packet: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            user.send_to(&packet, address(&listening)).await.unwrap();
            let (length, from) = service.recv_from(&mut buffer).await.unwrap();
            assert!(buffer[..length] == packet, "{size} to the service");
            service.send_to(&packet, from).await.unwrap();
            let (length, _) = user.recv_from(&mut buffer).await.unwrap();
            assert!(buffer[..length] == packet, "{size} to the user");
        }
    })
    .await;
}

#[tokio::test]
async fn kinds_of_service_are_not_mixed_up() {
    in_time(async {
        let (world, _service) = world().await;
        let mut events = world.link.events();
        let (mut stream, _listening) = world.connect("dns").await;
        assert!(tokio::io::AsyncReadExt::read_u8(&mut stream).await.is_err());
        let (_, _, failure) = closed(&mut events).await;
        assert_eq!(failure, Some(FlowError::NotServed));
    })
    .await;
}

#[tokio::test]
async fn a_flow_that_failed_is_tried_again_with_the_next_packet() {
    in_time(async {
        let (world, _service) = world().await;
        let mut events = world.link.events();
        let listening = world.forward("udp:127.0.0.1:0", "missing").await;
        let user = user().await;
        for number in 1..=2 {
            user.send_to(b"x", address(&listening)).await.unwrap();
            let opened = loop {
                if let Event::Opened(flow) = events.recv().await.unwrap() {
                    break flow;
                }
            };
            assert_eq!((opened.number, opened.is_udp), (number, true));
            let (_, _, failure) = closed(&mut events).await;
            assert_eq!(failure, Some(FlowError::NotServed));
            // Its place is free as soon as its task is gone.
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn more_users_than_flows_take_turns() {
    in_time(async {
        let (world, service) = world().await;
        let listening = world.forward("udp:127.0.0.1:0", "dns").await;
        let mut buffer = [0; 100];
        // A socket has 512 flows; the oldest makes room.
        for n in 0..600u32 {
            let user = user().await;
            let question = n.to_be_bytes();
            user.send_to(&question, address(&listening)).await.unwrap();
            let (length, from) = service.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], question);
            service.send_to(&question, from).await.unwrap();
            let (length, _) = user.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], question);
        }
    })
    .await;
}
