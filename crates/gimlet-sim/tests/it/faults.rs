//! Things that go wrong while packets are under way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_sim::{
    Direction, Dropped, HostId, LinkConfig, NatConfig, Net, NodeId, RouterId, RouterKind, Verdict,
};

use crate::units::{at, ip, ms};

/// A server, a home and a host in it.
struct World {
    net: Net,
    server: HostId,
    home: RouterId,
    host: HostId,
}

impl World {
    fn new() -> Self {
        let link = || LinkConfig::with_delay(ms(10));
        let mut net = Net::new(1, Instant::now());
        let server = net.add_host(None, vec![ip("198.51.100.1")], link());
        let nat = RouterKind::Nat(NatConfig::strict());
        let home = net.add_router(None, nat, vec![ip("203.0.113.1")], link());
        let host = net.add_host(
            Some(home),
            vec![ip("192.168.1.2"), ip("2001:db8::2")],
            link(),
        );
        Self {
            net,
            server,
            home,
            host,
        }
    }

    /// Asks the server; the source it saw, if the packet got there.
    fn ask(&mut self) -> Option<SocketAddr> {
        let now = self.net.now();
        self.net.send(
            now,
            self.host,
            at("0.0.0.0:7000"),
            at("198.51.100.1:1"),
            vec![],
        );
        self.net
            .poll_delivery(now + ms(100))
            .map(|delivery| delivery.src)
    }

    /// Whether the server reaches `to`.
    fn answer(&mut self, to: SocketAddr) -> bool {
        let now = self.net.now();
        self.net
            .send(now, self.server, at("198.51.100.1:1"), to, vec![]);
        self.net
            .poll_delivery(now + ms(100))
            .is_some_and(|delivery| delivery.host == self.host)
    }
}

#[test]
fn a_dark_node_swallows_everything_until_it_is_back() {
    let mut world = World::new();
    for node in [
        NodeId::from(world.host),
        world.home.into(),
        world.server.into(),
    ] {
        world.net.set_dark(node, true);
        assert_eq!(world.ask(), None);
        world.net.set_dark(node, false);
        assert_eq!(world.ask(), Some(at("203.0.113.1:7000")));
    }
    assert_eq!(world.net.counters().dropped(Dropped::Dark), 3);
}

#[test]
fn a_rebooted_router_has_forgotten_its_mappings() {
    let mut world = World::new();
    let seen = world.ask().unwrap();
    assert!(world.answer(seen));
    world.net.reboot_router(world.home);
    assert!(!world.answer(seen));
    assert_eq!(world.net.counters().dropped(Dropped::NoMapping), 1);
}

#[test]
fn a_renumbered_router_is_reached_only_at_its_new_address() {
    let mut world = World::new();
    let old = world.ask().unwrap();
    world
        .net
        .renumber_router(world.home, vec![ip("203.0.113.77")]);
    assert!(!world.answer(old));
    let new = world.ask().unwrap();
    assert_eq!(new, at("203.0.113.77:7000"));
    assert!(world.answer(new));
}

#[test]
fn a_moved_host_is_reached_only_at_its_new_place() {
    let mut world = World::new();
    let old = world.ask().unwrap();
    let before = world.net.addrs(world.host).to_vec();
    let nat = RouterKind::Nat(NatConfig::open());
    let cafe = vec![ip("203.0.113.50")];
    let cafe = world.net.add_router(None, nat, cafe, LinkConfig::default());
    world
        .net
        .move_host(world.host, Some(cafe), vec![ip("172.16.0.9")]);
    assert!(!world.answer(old));
    assert_eq!(world.ask(), Some(at("203.0.113.50:7000")));
    world.net.move_host(world.host, Some(world.home), before);
    assert_eq!(world.ask(), Some(old));
}

#[test]
fn a_packet_under_way_to_a_host_that_moved_is_lost() {
    let mut world = World::new();
    let seen = world.ask().unwrap();
    let now = world.net.now();
    world
        .net
        .send(now, world.server, at("198.51.100.1:1"), seen, vec![]);
    assert_eq!(world.net.poll_delivery(now + ms(25)), None);
    world.net.move_host(world.host, None, vec![ip("192.0.2.9")]);
    assert_eq!(world.net.poll_delivery(now + ms(100)), None);
    assert_eq!(world.net.counters().dropped(Dropped::NoRoute), 1);
}

#[test]
fn one_direction_of_a_link_can_fail_alone() {
    let mut world = World::new();
    let seen = world.ask().unwrap();
    let dead = LinkConfig {
        loss: 1.0,
        ..LinkConfig::default()
    };
    world
        .net
        .set_link_direction(world.home, Direction::Down, dead.clone());
    assert_eq!(world.ask(), Some(seen));
    assert!(!world.answer(seen));
    world.net.set_link(world.home, LinkConfig::default());
    assert!(world.answer(seen));
    world
        .net
        .set_link_direction(world.host, Direction::Up, dead);
    assert_eq!(world.ask(), None);
}

#[test]
fn a_mapping_lasts_as_long_as_it_is_used_within_its_lifetime() {
    let mut world = World::new();
    let seen = world.ask().unwrap();
    let skip = |world: &mut World, secs| {
        let until = world.net.now() + Duration::from_secs(secs);
        assert_eq!(world.net.poll_delivery(until), None);
    };
    skip(&mut world, 119);
    assert!(world.answer(seen));
    skip(&mut world, 119);
    assert!(world.answer(seen));
    skip(&mut world, 120);
    assert!(!world.answer(seen));
}

#[test]
fn the_verdict_follows_a_host_to_its_new_place() {
    let mut world = World::new();
    let nat = RouterKind::Nat(NatConfig::symmetric());
    let link = LinkConfig::default();
    let hotel = world
        .net
        .add_router(None, nat, vec![ip("203.0.113.60")], link.clone());
    let guest = world
        .net
        .add_host(Some(hotel), vec![ip("10.0.0.2")], link.clone());
    assert_eq!(world.net.verdict(world.host, guest), Verdict::Relay);
    world
        .net
        .move_host(guest, Some(world.home), vec![ip("192.168.1.3")]);
    assert_eq!(world.net.verdict(world.host, guest), Verdict::Direct);
    world.net.move_host(
        guest,
        Some(hotel),
        vec![ip("10.0.0.2"), ip("2001:db8:1::3")],
    );
    assert_eq!(
        world.net.verdict(world.host, guest),
        Verdict::Direct,
        "over IPv6"
    );
}

#[test]
#[should_panic(expected = "192.168.1.2 is taken")]
fn one_address_cannot_be_given_twice_in_one_place() {
    let mut world = World::new();
    world.net.add_host(
        Some(world.home),
        vec![ip("192.168.1.2")],
        LinkConfig::default(),
    );
}
