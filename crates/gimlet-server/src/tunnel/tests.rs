use std::future::poll_fn;

use gimlet_net::socket;

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
    let packet = tunnel::split_first(&message);
    assert_eq!(packet, Some((&b"down"[..], &[][..])));

    let received = Received {
        from: open.addr,
        message: message.clone(),
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
    let mut message = Vec::new();
    assert!(tunnel::push(&mut message, b"t"));
    for _ in 0..4 {
        let (from, message) = (open.addr, message.clone().into());
        tunnels
            .deliver
            .send(Received { from, message })
            .await
            .unwrap();
        peer.send_to(b"u", to).await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 8 {
        got.extend(receive(&mux).await.1);
    }
    let both = got.iter().filter(|&&from| from == b't').count();
    assert_eq!(both, 4, "{got:?}");
    assert!(
        got[..3].contains(&b't') && got[..3].contains(&b'u'),
        "{got:?}"
    );
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
