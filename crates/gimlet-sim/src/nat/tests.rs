//! The NAT's rules one by one, and its invariants over any sequence of packets.

use std::time::Duration;

use super::*;

mod properties;

const A: &str = "192.168.1.2:7000";
const B: &str = "192.168.1.3:7000";
const SERVER: &str = "198.51.100.1:3478";
const PEER: &str = "198.51.100.9:5000";
const PEER_OTHER_PORT: &str = "198.51.100.9:5001";
const STRANGER: &str = "198.51.100.66:5000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn nat(config: NatConfig) -> (Nat, Instant) {
    (
        Nat::new(config, vec![at("203.0.113.1:0").ip()], 3),
        Instant::now(),
    )
}

fn with(mapping: Mapping, filtering: Filtering) -> NatConfig {
    NatConfig::new(mapping, filtering, Allocation::Random)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Where a packet from `src` to `dst` comes out.
fn out(nat: &mut Nat, now: Instant, src: &str, dst: &str) -> SocketAddr {
    let flow = nat.outbound(now, at(src), at(dst)).unwrap();
    assert_eq!(flow.dst, at(dst));
    flow.src
}

#[test]
fn mapping_decides_which_destinations_share_an_outside_port() {
    for mapping in Mapping::ALL {
        let (mut nat, now) = nat(with(mapping, Filtering::EndpointIndependent));
        let to = [SERVER, PEER, PEER_OTHER_PORT, PEER].map(|dst| out(&mut nat, now, A, dst));
        assert_eq!(to[1], to[3], "the same flow keeps its port");
        assert_eq!(to[0] == to[1], mapping == Mapping::EndpointIndependent);
        assert_eq!(to[1] == to[2], mapping != Mapping::AddressAndPortDependent);
    }
}

#[test]
fn filtering_decides_who_may_send_in() {
    use Dropped::Filtered;
    use Filtering::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (filtering, other_port, stranger) in [
        (EndpointIndependent, Ok(()), Ok(())),
        (AddressDependent, Ok(()), Err(Filtered)),
        (AddressAndPortDependent, Err(Filtered), Err(Filtered)),
    ] {
        let (mut nat, now) = nat(with(Mapping::EndpointIndependent, filtering));
        let outside = out(&mut nat, now, A, PEER);
        let mut sent_by = |src: &str| nat.inbound(now, at(src), outside).map(|_| ());
        assert_eq!(sent_by(PEER), Ok(()));
        assert_eq!(sent_by(PEER_OTHER_PORT), other_port, "{filtering:?}");
        assert_eq!(sent_by(STRANGER), stranger, "{filtering:?}");
    }
}

#[test]
fn a_packet_let_in_carries_the_inside_endpoint_and_the_true_source() {
    let (mut nat, now) = nat(NatConfig::open());
    let outside = out(&mut nat, now, A, SERVER);
    let flow = nat.inbound(now, at(STRANGER), outside);
    assert_eq!(
        flow,
        Ok(Flow {
            src: at(STRANGER),
            dst: at(A)
        })
    );
}

#[test]
fn nothing_comes_in_where_nothing_is_mapped() {
    let (mut nat, now) = nat(NatConfig::open());
    let outside = at("203.0.113.1:7000");
    assert_eq!(nat.inbound(now, at(PEER), outside), Err(Dropped::NoMapping));
}

#[test]
fn an_answer_leaves_by_the_mapping_the_packet_came_in_by() {
    let (mut nat, now) = nat(NatConfig::symmetric_open());
    let announced = out(&mut nat, now, A, SERVER);
    nat.inbound(now, at(PEER), announced).unwrap();
    assert_eq!(out(&mut nat, now, A, PEER), announced);
}

#[test]
fn a_sender_already_talked_to_elsewhere_is_seen_at_another_port_and_answered_there() {
    let (mut nat, now) = nat(NatConfig::symmetric_open());
    let announced = out(&mut nat, now, A, SERVER);
    let own = out(&mut nat, now, A, PEER);
    assert_ne!(own, announced);
    let seen = nat.inbound(now, at(PEER), announced).unwrap().src;
    assert_eq!(seen.ip(), at(PEER).ip());
    assert_ne!(seen.port(), at(PEER).port());
    let answer = nat.outbound(now, at(A), seen);
    assert_eq!(
        answer,
        Ok(Flow {
            src: announced,
            dst: at(PEER)
        })
    );
    assert_eq!(
        out(&mut nat, now, A, PEER),
        own,
        "the first way stays as it was"
    );
    assert_eq!(
        nat.inbound(now, at(PEER), announced).unwrap().src,
        seen,
        "and so does the second"
    );
}

#[test]
fn two_hosts_with_one_port_get_different_outside_ports() {
    let (mut nat, now) = nat(NatConfig::strict());
    assert_eq!(out(&mut nat, now, A, SERVER), at("203.0.113.1:7000"));
    assert_ne!(out(&mut nat, now, B, SERVER), at("203.0.113.1:7000"));
}

#[test]
fn sequential_mappings_are_a_step_apart() {
    let config = NatConfig {
        allocation: Allocation::Sequential { step: 2 },
        ..NatConfig::symmetric()
    };
    let (mut nat, now) = nat(config);
    let ports = [SERVER, PEER, STRANGER].map(|dst| out(&mut nat, now, A, dst).port());
    assert_eq!([ports[1] - ports[0], ports[2] - ports[1]], [2, 2]);
}

#[test]
fn silence_ends_a_mapping_and_traffic_keeps_it() {
    let (mut nat, start) = nat(NatConfig::strict());
    let outside = out(&mut nat, start, A, PEER);
    assert!(nat.inbound(start + secs(119), at(PEER), outside).is_ok());
    assert!(nat.inbound(start + secs(238), at(PEER), outside).is_ok());
    let late = start + secs(358);
    assert_eq!(
        nat.inbound(late, at(PEER), outside),
        Err(Dropped::NoMapping)
    );
}

#[test]
fn inbound_traffic_keeps_nothing_where_it_does_not_count() {
    let (mut nat, start) = nat(NatConfig {
        inbound_refreshes: false,
        ..NatConfig::strict()
    });
    let outside = out(&mut nat, start, A, PEER);
    assert!(nat.inbound(start + secs(119), at(PEER), outside).is_ok());
    let late = start + secs(120);
    assert_eq!(
        nat.inbound(late, at(PEER), outside),
        Err(Dropped::NoMapping)
    );
}

#[test]
fn a_permission_ends_although_its_mapping_lives_on() {
    let (mut nat, start) = nat(NatConfig::strict());
    let outside = out(&mut nat, start, A, PEER);
    assert_eq!(out(&mut nat, start + secs(100), A, SERVER), outside);
    let late = start + secs(121);
    assert_eq!(nat.inbound(late, at(PEER), outside), Err(Dropped::Filtered));
    assert!(nat.inbound(late, at(SERVER), outside).is_ok());
}

#[test]
fn a_hairpin_shows_the_senders_outside_endpoint_and_respects_filtering() {
    let (mut nat, now) = nat(NatConfig {
        hairpin: true,
        ..NatConfig::strict()
    });
    let [a, b] = [A, B].map(|host| out(&mut nat, now, host, SERVER));
    assert_eq!(nat.hairpin(now, at(A), b), Err(Dropped::Filtered));
    assert_eq!(nat.hairpin(now, at(B), a), Ok(Flow { src: b, dst: at(A) }));
    assert_eq!(nat.hairpin(now, at(A), b), Ok(Flow { src: a, dst: at(B) }));
}

#[test]
fn a_nat_that_does_not_hairpin_says_so_and_maps_nothing() {
    let (mut nat, now) = nat(NatConfig::strict());
    let b = out(&mut nat, now, B, SERVER);
    assert_eq!(nat.hairpin(now, at(A), b), Err(Dropped::NoHairpin));
    assert_eq!(nat.mapping_count(), 1);
}

#[test]
fn a_refused_probe_takes_its_path_from_the_inside_host_if_so_configured() {
    for moves in [false, true] {
        let config = NatConfig {
            early_probe_moves_mapping: moves,
            ..NatConfig::strict()
        };
        let (mut nat, now) = nat(config);
        let announced = out(&mut nat, now, A, SERVER);
        assert_eq!(
            nat.inbound(now, at(PEER), announced),
            Err(Dropped::Filtered)
        );
        let own = out(&mut nat, now, A, PEER);
        assert_eq!(own != announced, moves);
        assert_eq!(
            out(&mut nat, now, A, STRANGER),
            announced,
            "others are not concerned"
        );
        assert!(
            nat.inbound(now, at(PEER), own).is_ok(),
            "the new way is open"
        );
        assert_eq!(nat.inbound(now, at(PEER), announced).is_ok(), !moves);
    }
}

#[test]
fn a_probe_before_anything_is_mapped_takes_the_port_too() {
    let config = NatConfig {
        early_probe_moves_mapping: true,
        ..NatConfig::strict()
    };
    let (mut nat, now) = nat(config);
    let wanted = at("203.0.113.1:7000");
    assert_eq!(nat.inbound(now, at(PEER), wanted), Err(Dropped::NoMapping));
    assert_ne!(out(&mut nat, now, A, PEER), wanted);
    assert_eq!(out(&mut nat, now, A, SERVER), wanted);
}

#[test]
fn the_table_refuses_what_it_has_no_room_for_until_something_ends() {
    let (mut nat, start) = nat(NatConfig {
        max_mappings: 2,
        ..NatConfig::symmetric()
    });
    out(&mut nat, start, A, SERVER);
    out(&mut nat, start, A, PEER);
    assert_eq!(
        nat.outbound(start, at(A), at(STRANGER)),
        Err(Dropped::TableFull)
    );
    assert!(nat.outbound(start, at(A), at(PEER)).is_ok());
    assert!(nat.outbound(start + secs(120), at(A), at(STRANGER)).is_ok());
    assert_eq!(nat.mapping_count(), 1);
}

#[test]
fn strangers_cannot_grow_the_table_past_its_bound() {
    let (mut nat, now) = nat(NatConfig {
        max_sessions: 8,
        ..NatConfig::open()
    });
    let outside = out(&mut nat, now, A, SERVER);
    let results: Vec<_> = (1..=100u16)
        .map(|port| nat.inbound(now, SocketAddr::new(at(STRANGER).ip(), port), outside))
        .collect();
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 7);
    assert_eq!(results[99], Err(Dropped::TableFull));
    assert_eq!(nat.session_count(), 8);
}

#[test]
fn refused_probes_are_remembered_only_up_to_a_bound() {
    let config = NatConfig {
        early_probe_moves_mapping: true,
        ..NatConfig::strict()
    };
    let (mut nat, now) = nat(config);
    for n in 0..2 * MAX_EARLY {
        let src = SocketAddr::from(([198, 51, (n >> 8) as u8, n as u8], 9));
        assert!(nat.inbound(now, src, at("203.0.113.1:7000")).is_err());
    }
    assert_eq!(nat.early.len(), MAX_EARLY);
}

#[test]
fn an_inside_address_keeps_to_one_of_several_outside_addresses() {
    let outside = vec![at("203.0.113.1:0").ip(), at("203.0.113.2:0").ip()];
    let now = Instant::now();
    let mut nat = Nat::new(NatConfig::symmetric(), outside, 3);
    let a = [SERVER, PEER, STRANGER].map(|dst| out(&mut nat, now, A, dst).ip());
    assert!(a.iter().all(|address| *address == a[0]));
    assert_ne!(out(&mut nat, now, B, SERVER).ip(), a[0]);
}

#[test]
fn without_an_outside_address_of_the_family_there_is_no_way_out() {
    let (mut nat, now) = nat(NatConfig::open());
    let v6 = nat.outbound(now, at("[2001:db8::2]:1"), at("[2001:db8:1::1]:1"));
    assert_eq!(v6, Err(Dropped::NoRoute));
}

#[test]
fn a_flush_forgets_everything() {
    let (mut nat, now) = nat(NatConfig::open());
    let outside = out(&mut nat, now, A, SERVER);
    nat.flush();
    assert_eq!(
        nat.inbound(now, at(SERVER), outside),
        Err(Dropped::NoMapping)
    );
    assert_eq!((nat.mapping_count(), nat.session_count()), (0, 0));
}
