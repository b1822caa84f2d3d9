//! What tunnels pass on, hold and drop.

use std::future::poll_fn;

use std::time::Duration;

use gimlet_net::identity::Identity;
use gimlet_net::socket;
use gimlet_net::tls::Credential;
use gimlet_net::tunnel::{Destination, Tunnel, listen};
use tokio::time;

use super::*;

fn tunnels() -> Arc<Tunnels> {
    Tunnels::new(Arc::new(Counters::default()))
}

fn transmit(destination: SocketAddr, contents: &[u8]) -> Transmit<'_> {
    Transmit {
        destination,
        ecn: None,
        contents,
        segment_size: None,
        src_ip: None,
    }
}

/// Receives once: from whom, and what; an empty datagram is one that was dropped.
async fn receive(socket: &Arc<dyn AsyncUdpSocket>) -> (SocketAddr, Vec<u8>) {
    let (mut memory, mut meta) = (vec![0; 65_536], [RecvMeta::default()]);
    poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut memory)], &mut meta))
        .await
        .unwrap();
    (meta[0].addr, memory[..meta[0].len].to_vec())
}

#[tokio::test]
async fn tunnels_are_reached_like_everybody_else_until_they_end() {
    let tunnels = tunnels();
    let udp = socket::bind(([127, 0, 0, 1], 0).into(), false).unwrap();
    let mux = tunnels.wrap(udp, true);
    let open = tunnels.open([192, 0, 2, 1].into());
    mux.try_send(&transmit(open.addr, b"down")).unwrap();
    let message = open.outbox.next().await;
    assert_eq!(message.seal(None).plain(), *b"\x82\x06\x00\x04down");

    let received = Received {
        from: open.addr,
        packets: b"\x00\x04down".to_vec(),
    };
    tunnels.deliver.send(received).await.unwrap();
    assert_eq!(receive(&mux).await, (open.addr, b"down".to_vec()));

    let gone = open.addr;
    drop(open);
    mux.try_send(&transmit(gone, b"late")).unwrap();
    let counters = tunnels.counters.snapshot();
    assert_eq!((counters.tunnel_gone, counters.tunnels), (1, 0));
}

#[tokio::test]
async fn udp_and_tunnels_take_turns() {
    let tunnels = tunnels();
    let udp = socket::bind(([127, 0, 0, 1], 0).into(), false).unwrap();
    let to = udp.local_addr().unwrap();
    let mux = tunnels.wrap(udp, true);
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let open = tunnels.open([192, 0, 2, 1].into());
    for _ in 0..4 {
        peer.send_to(b"u", to).await.unwrap();
    }
    // From here on the system is known to have some.
    assert_eq!(receive(&mux).await.1, b"u");
    let mut message = Vec::new();
    assert!(tunnel::push(&mut message, b"t"));
    for _ in 0..3 {
        let (from, packets) = (open.addr, message.clone());
        let received = Received { from, packets };
        tunnels.deliver.send(received).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 6 {
        got.extend(receive(&mux).await.1);
    }
    assert!(got == b"tututu" || got == b"ututut", "{got:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_packets_and_holds_nobody_up() {
    let tunnels = tunnels();
    let udp = socket::bind(([127, 0, 0, 1], 0).into(), false).unwrap();
    let mux = tunnels.wrap(udp, true);
    let identity = Identity::generate();
    let credential = Credential::new(&identity).unwrap();
    let tcp = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let addr = tcp.local_addr().unwrap();
    let tls = credential.tunnel_server(None).unwrap();
    let config = crate::Config::on_loopback();
    let listener = Listener::new(tcp, tls, tunnels.clone(), &config, tunnels.counters.clone());
    let _listener = tokio::spawn(listener.run());
    let destination = Destination {
        host: "127.0.0.1",
        port: addr.port(),
        addr: Some(addr),
        tls: Arc::new(credential.tunnel_client(Some(identity.peer_id())).unwrap()),
        proxy: None,
    };
    // Who is heard from through a fresh tunnel is that tunnel.
    let open = async || {
        let tunnel = Tunnel::connect(&destination, addr).await.unwrap();
        tunnel.try_send(&transmit(addr, b"hello")).unwrap();
        (receive(&mux).await.0, tunnel)
    };
    let (slow, _slow_end) = open().await;
    let (quick, quick_end) = open().await;
    let quick_end: Arc<dyn AsyncUdpSocket> = quick_end;

    // Far more than all buffers on the way hold, to one that reads nothing.
    let packet = vec![7; 1200];
    let outbox = tunnels.open.read().unwrap()[&slow].clone();
    let flood = async {
        while outbox.dropped() < 10_000 {
            mux.try_send(&transmit(slow, &packet)).unwrap();
            tokio::task::yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(20), flood).await.unwrap();
    mux.try_send(&transmit(quick, b"still here")).unwrap();
    let heard = time::timeout(Duration::from_secs(20), receive(&quick_end));
    assert_eq!(heard.await.unwrap().1, b"still here");
}

#[test]
fn addresses_of_one_network_share_the_part_that_limits_look_at() {
    let tunnels = tunnels();
    let address = |source: [u8; 4]| match tunnels.open(source.into()).addr.ip() {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(_) => unreachable!("tunnels have IPv6 addresses"),
    };
    let (one, again) = (address([192, 0, 2, 1]), address([192, 0, 2, 1]));
    assert_eq!(one[..7], again[..7]);
    assert_ne!(one, again);
    assert_ne!(one[..7], address([192, 0, 2, 2])[..7]);
    assert_ne!(
        network("2001:db8:1:1ff::1".parse().unwrap()),
        network("2001:db8:1:200::1".parse().unwrap())
    );
    assert_eq!(
        network("::ffff:192.0.2.1".parse().unwrap()),
        network([192, 0, 2, 1].into())
    );
}
