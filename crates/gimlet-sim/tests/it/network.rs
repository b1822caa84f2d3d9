//! Routing, links and determinism of the whole network.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gimlet_sim::{
    Delivery, Dropped, FirewallConfig, HostId, LinkConfig, NatConfig, Net, RouterKind,
};

use crate::units::{at, ip, ms};

fn link(millis: u64) -> LinkConfig {
    LinkConfig::with_delay(ms(millis))
}

fn drain(net: &mut Net, until: Instant) -> Vec<Delivery> {
    std::iter::from_fn(|| net.poll_delivery(until)).collect()
}

#[test]
fn delays_add_up_along_the_way_and_poll_timeout_leads_there() {
    let start = Instant::now();
    let mut net = Net::new(1, start);
    let server = net.add_host(None, vec![ip("198.51.100.1")], link(5));
    let nat = RouterKind::Nat(NatConfig::strict());
    let home = net.add_router(None, nat, vec![ip("203.0.113.1")], link(10));
    let alice = net.add_host(Some(home), vec![ip("192.168.1.2")], link(1));
    net.send(
        start,
        alice,
        at("0.0.0.0:7000"),
        at("198.51.100.1:1"),
        vec![1],
    );
    let mut seen = Vec::new();
    let delivery = loop {
        let now = net.poll_timeout().expect("still under way");
        seen.push(now - start);
        if let Some(delivery) = net.poll_delivery(now) {
            break delivery;
        }
    };
    assert_eq!(seen, [ms(1), ms(11), ms(16)]);
    assert_eq!((delivery.at, delivery.host), (start + ms(16), server));
    assert_eq!(delivery.src, at("203.0.113.1:7000"));
    net.send(delivery.at, server, delivery.dst, delivery.src, vec![2]);
    let back = net.poll_delivery(start + ms(32)).unwrap();
    assert_eq!((back.at, back.host), (start + ms(32), alice));
    assert_eq!(
        (back.src, back.dst),
        (at("198.51.100.1:1"), at("192.168.1.2:7000"))
    );
}

#[test]
fn neighbours_talk_directly_and_a_host_hears_itself() {
    let start = Instant::now();
    let mut net = Net::new(1, start);
    let firewall = RouterKind::Firewall(FirewallConfig::block_udp());
    let office = net.add_router(None, firewall, vec![], link(50));
    let a = net.add_host(Some(office), vec![ip("192.0.2.1")], link(1));
    let b = net.add_host(Some(office), vec![ip("192.0.2.2")], link(1));
    net.send(start, a, at("192.0.2.1:1"), at("192.0.2.2:2"), vec![]);
    net.send(start, a, at("192.0.2.1:1"), at("192.0.2.1:3"), vec![]);
    let got = drain(&mut net, start + ms(10));
    let brief: Vec<_> = got
        .iter()
        .map(|d| (d.host, d.at - start, d.dst.port()))
        .collect();
    assert_eq!(brief, [(a, ms(0), 3), (b, ms(2), 2)]);
}

#[test]
fn every_packet_is_accounted_for() {
    let start = Instant::now();
    let mut net = Net::new(9, start);
    let lossy = LinkConfig {
        loss: 0.3,
        duplicate: 0.2,
        ..link(5)
    };
    let a = net.add_host(None, vec![ip("192.0.2.1")], lossy);
    net.add_host(None, vec![ip("192.0.2.2"), ip("2001:db8::2")], link(5));
    for _ in 0..1_000 {
        net.send(start, a, at("192.0.2.1:1"), at("192.0.2.2:2"), vec![0; 100]);
    }
    net.send(start, a, at("192.0.2.1:1"), at("192.0.2.3:2"), vec![]);
    net.send(start, a, at("192.0.2.9:1"), at("192.0.2.2:2"), vec![]);
    net.send(start, a, at("192.0.2.1:1"), at("[2001:db8::2]:2"), vec![]);
    net.send(start, a, at("[::]:1"), at("[2001:db8::2]:2"), vec![]);
    net.send(
        start,
        a,
        at("192.0.2.1:1"),
        at("192.0.2.2:2"),
        vec![0; 1_500],
    );
    let delivered = drain(&mut net, start + ms(100)).len() as u64;
    let counters = net.counters();
    assert_eq!(counters.delivered, delivered);
    assert_eq!(counters.sent, counters.delivered + counters.dropped_total());
    assert_eq!(counters.dropped(Dropped::WrongSource), 1);
    assert_eq!(counters.dropped(Dropped::TooBig), 1);
    assert!(counters.dropped(Dropped::NoRoute) >= 2);
    assert!((240..360).contains(&counters.dropped(Dropped::Loss)));
}

/// A busy network with everything random in it; every delivery of a fixed span.
fn busy_run(seed: u64, start: Instant) -> Vec<(Duration, HostId, SocketAddr, Vec<u8>)> {
    let mut net = Net::new(seed, start);
    let rough = LinkConfig {
        jitter: ms(7),
        loss: 0.05,
        reorder: 0.05,
        duplicate: 0.05,
        rate: Some(2_000_000),
        ..link(10)
    };
    net.add_host(None, vec![ip("198.51.100.1")], rough.clone());
    let hosts: Vec<_> = (0..4u8)
        .map(|n| {
            let nat = RouterKind::Nat(NatConfig::symmetric());
            let outside = vec![IpAddr::from([203, 0, 113, n])];
            let home = net.add_router(None, nat, outside, rough.clone());
            net.add_host(Some(home), vec![ip("192.168.1.2")], rough.clone())
        })
        .collect();
    let mut seen = Vec::new();
    for round in 0..200u32 {
        let now = start + ms(5) * round;
        for host in &hosts {
            let to = SocketAddr::new(ip("198.51.100.1"), 1 + (round % 3) as u16);
            net.send(
                now,
                *host,
                at("0.0.0.0:7000"),
                to,
                round.to_be_bytes().to_vec(),
            );
        }
        while let Some(delivery) = net.poll_delivery(now + ms(5)) {
            let Delivery {
                at,
                host,
                src,
                dst,
                payload,
            } = delivery;
            if !hosts.contains(&host) {
                net.send(at, host, dst, src, payload.clone());
            }
            seen.push((at - start, host, src, payload));
        }
    }
    seen
}

#[test]
fn one_seed_gives_one_run_to_the_byte_and_another_seed_another() {
    let first = busy_run(42, Instant::now());
    assert!(first.len() > 1_000, "{}", first.len());
    assert_eq!(first, busy_run(42, Instant::now() + ms(1)));
    assert_ne!(first, busy_run(43, Instant::now()));
}

#[test]
fn a_rated_uplink_passes_its_rate_and_no_more() {
    let start = Instant::now();
    let mut net = Net::new(1, start);
    let uplink = LinkConfig {
        rate: Some(10_000_000),
        queue: 64_000,
        ..link(10)
    };
    let a = net.add_host(None, vec![ip("192.0.2.1")], uplink);
    net.add_host(None, vec![ip("192.0.2.2")], link(0));
    // 20 Mbit/s for a second into 10 Mbit/s.
    for i in 0..2_000u32 {
        let now = start + Duration::from_micros(500) * i;
        net.send(now, a, at("192.0.2.1:1"), at("192.0.2.2:2"), vec![0; 1_222]);
    }
    let bytes: usize = drain(&mut net, start + ms(1_010))
        .iter()
        .map(|_| 1_250)
        .sum();
    assert!((1_230_000..=1_250_000).contains(&bytes), "{bytes}");
    assert!(net.counters().dropped(Dropped::QueueFull) > 900);
}

#[test]
fn only_a_port_preserving_router_moves_the_second_of_two_equal_ports() {
    let start = Instant::now();
    let mut net = Net::new(1, start);
    net.add_host(None, vec![ip("198.51.100.1")], link(0));
    let nat = RouterKind::Nat(NatConfig::strict());
    let home = net.add_router(None, nat, vec![ip("203.0.113.1")], link(0));
    for n in 2..4u8 {
        let host = net.add_host(Some(home), vec![IpAddr::from([192, 168, 1, n])], link(0));
        net.send(
            start,
            host,
            at("0.0.0.0:7000"),
            at("198.51.100.1:1"),
            vec![n],
        );
    }
    let got = drain(&mut net, start);
    assert_eq!(got[0].src, at("203.0.113.1:7000"));
    assert_ne!(got[1].src, at("203.0.113.1:7000"));
    assert_eq!(net.mapping_count(home), 2);
}
