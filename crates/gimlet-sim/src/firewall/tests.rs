//! What a firewall lets through.

use super::*;

fn at(addr: &str) -> SocketAddr {
    addr.parse().unwrap()
}

const INSIDE: &str = "192.0.2.10:7000";
const PEER: &str = "203.0.113.1:7000";

#[test]
fn only_an_answer_from_the_exact_endpoint_comes_in() {
    let now = Instant::now();
    let mut firewall = Firewall::new(FirewallConfig::stateful());
    assert_eq!(
        firewall.inbound(now, at(PEER), at(INSIDE)),
        Err(Dropped::Forbidden)
    );
    firewall.outbound(now, at(INSIDE), at(PEER)).unwrap();
    assert_eq!(firewall.inbound(now, at(PEER), at(INSIDE)), Ok(()));
    let other_port = at("203.0.113.1:7001");
    assert_eq!(
        firewall.inbound(now, other_port, at(INSIDE)),
        Err(Dropped::Forbidden)
    );
}

#[test]
fn a_silent_flow_closes_and_an_answer_keeps_it_open() {
    let start = Instant::now();
    let mut firewall = Firewall::new(FirewallConfig::stateful());
    let after = |secs| start + Duration::from_secs(secs);
    firewall.outbound(start, at(INSIDE), at(PEER)).unwrap();
    assert_eq!(firewall.inbound(after(119), at(PEER), at(INSIDE)), Ok(()));
    assert_eq!(firewall.inbound(after(238), at(PEER), at(INSIDE)), Ok(()));
    assert_eq!(
        firewall.inbound(after(358), at(PEER), at(INSIDE)),
        Err(Dropped::Forbidden)
    );
}

#[test]
fn a_restrictive_firewall_lets_out_only_to_its_list() {
    let now = Instant::now();
    let list = [
        Allowed::from(at(PEER)),
        Allowed::from(at("198.51.100.1:0").ip()),
    ];
    let mut firewall = Firewall::new(FirewallConfig::udp_only_to(list));
    assert_eq!(firewall.outbound(now, at(INSIDE), at(PEER)), Ok(()));
    assert_eq!(
        firewall.outbound(now, at(INSIDE), at("198.51.100.1:9")),
        Ok(())
    );
    let other_port = at("203.0.113.1:7001");
    assert_eq!(
        firewall.outbound(now, at(INSIDE), other_port),
        Err(Dropped::Forbidden)
    );
    assert_eq!(firewall.inbound(now, at(PEER), at(INSIDE)), Ok(()));
}

#[test]
fn a_blocking_firewall_lets_nothing_through() {
    let now = Instant::now();
    let mut firewall = Firewall::new(FirewallConfig::block_udp());
    assert_eq!(
        firewall.outbound(now, at(INSIDE), at(PEER)),
        Err(Dropped::Forbidden)
    );
    assert_eq!(
        firewall.inbound(now, at(PEER), at(INSIDE)),
        Err(Dropped::Forbidden)
    );
}

#[test]
fn a_full_table_refuses_new_flows_until_old_ones_end() {
    let start = Instant::now();
    let config = FirewallConfig {
        max_flows: 2,
        ..FirewallConfig::stateful()
    };
    let mut firewall = Firewall::new(config);
    let peer = |port| SocketAddr::new(at(PEER).ip(), port);
    firewall.outbound(start, at(INSIDE), peer(1)).unwrap();
    firewall.outbound(start, at(INSIDE), peer(2)).unwrap();
    assert_eq!(
        firewall.outbound(start, at(INSIDE), peer(3)),
        Err(Dropped::TableFull)
    );
    assert_eq!(firewall.outbound(start, at(INSIDE), peer(1)), Ok(()));
    let later = start + Duration::from_secs(120);
    assert_eq!(firewall.outbound(later, at(INSIDE), peer(3)), Ok(()));
}

#[test]
fn a_reboot_closes_every_flow() {
    let now = Instant::now();
    let mut firewall = Firewall::new(FirewallConfig::stateful());
    firewall.outbound(now, at(INSIDE), at(PEER)).unwrap();
    firewall.flush();
    assert_eq!(
        firewall.inbound(now, at(PEER), at(INSIDE)),
        Err(Dropped::Forbidden)
    );
}
