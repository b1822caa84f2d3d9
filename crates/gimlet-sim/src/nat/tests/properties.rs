//! Invariants of a NAT over any sequence of packets, held against the bare history of what went out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIFETIME: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Op {
    /// Inside endpoint to remote endpoint.
    Out(u8, u8),
    /// Remote endpoint to the outside endpoint that was used last, or so many before.
    In(u8, usize),
    Wait(u8),
}

/// A packet that went out.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    inside: SocketAddr,
    outside: SocketAddr,
    remote: SocketAddr,
}

/// Four endpoints on two addresses.
fn inside(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 1, 2 + n % 2], 7_000 + u16::from(n / 2 % 2)))
}

/// Six endpoints on three addresses.
fn remote(n: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, n % 3], 5_000 + u16::from(n / 3 % 2)))
}

fn any_config() -> impl Strategy<Value = NatConfig> {
    let allocation = prop_oneof![
        Just(Allocation::Preserving),
        Just(Allocation::Random),
        Just(Allocation::Sequential { step: 3 }),
        Just(Allocation::RandomBlock { size: 8 }),
    ];
    let bools = (any::<bool>(), any::<bool>());
    (
        0..3usize,
        0..3usize,
        allocation,
        bools,
        1..12usize,
        1..24usize,
    )
        .prop_map(
            |(mapping, filtering, allocation, (early, refresh), max_mappings, max_sessions)| {
                NatConfig {
                    mapping_lifetime: LIFETIME,
                    early_probe_moves_mapping: early,
                    inbound_refreshes: refresh,
                    max_mappings,
                    max_sessions,
                    ..NatConfig::new(Mapping::ALL[mapping], Filtering::ALL[filtering], allocation)
                }
            },
        )
}

fn any_ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..4u8, 0..6u8).prop_map(|(from, to)| Op::Out(from, to)),
        4 => (0..6u8, 0..12usize).prop_map(|(from, back)| Op::In(from, back)),
        1 => (0..12u8).prop_map(Op::Wait),
    ];
    proptest::collection::vec(op, 1..120)
}

/// Whether history entitles `src` to reach `inside` at `outside`.
fn is_entitled(
    config: &NatConfig,
    history: &[Sent],
    now: Instant,
    src: SocketAddr,
    flow: (SocketAddr, SocketAddr),
) -> bool {
    let (outside, inside) = flow;
    let recent = |sent: &&Sent| config.inbound_refreshes || now < sent.at + LIFETIME;
    let mut ways = history
        .iter()
        .filter(recent)
        .filter(|s| (s.outside, s.inside) == (outside, inside));
    match config.filtering {
        Filtering::EndpointIndependent => ways.next().is_some(),
        Filtering::AddressDependent => ways.any(|sent| sent.remote.ip() == src.ip()),
        Filtering::AddressAndPortDependent => ways.any(|sent| sent.remote == src),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn filtering_sharing_and_bounds_hold_for_any_packets(
        config in any_config(),
        ops in any_ops(),
        seed: u64,
    ) {
        let mut now = Instant::now();
        let mut nat = Nat::new(config.clone(), vec![at("203.0.113.1:0").ip()], seed);
        let mut history: Vec<Sent> = Vec::new();
        // Who last used an outside endpoint, and until when it is surely theirs.
        let mut owners: BTreeMap<SocketAddr, (SocketAddr, Instant)> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Wait(seconds) => now += secs(seconds.into()),
                Op::Out(from, to) => {
                    let Ok(flow) = nat.outbound(now, inside(from), remote(to)) else { continue };
                    let owner = owners.insert(flow.src, (inside(from), now + LIFETIME));
                    if let Some((owner, until)) = owner {
                        prop_assert!(owner == inside(from) || until <= now, "shared {}", flow.src);
                    }
                    history.push(Sent {
                        at: now,
                        inside: inside(from),
                        outside: flow.src,
                        remote: flow.dst,
                    });
                }
                Op::In(from, back) => {
                    let Some(sent) = history.iter().rev().nth(back).copied() else { continue };
                    let result = nat.inbound(now, remote(from), sent.outside);
                    let Ok(flow) = result else { continue };
                    prop_assert_eq!(flow.src.ip(), remote(from).ip());
                    let way = (sent.outside, flow.dst);
                    prop_assert!(is_entitled(&config, &history, now, remote(from), way));
                    // An answer goes back exactly where the packet came from.
                    let answer = nat.outbound(now, flow.dst, flow.src);
                    prop_assert_eq!(answer, Ok(Flow { src: sent.outside, dst: remote(from) }));
                    owners.insert(sent.outside, (flow.dst, now + LIFETIME));
                    history.push(Sent {
                        at: now,
                        inside: flow.dst,
                        outside: sent.outside,
                        remote: remote(from),
                    });
                }
            }
            prop_assert!(nat.mapping_count() <= config.max_mappings);
            prop_assert!(nat.session_count() <= config.max_sessions);
            nat.table.check();
        }
    }

    #[test]
    fn a_flow_keeps_its_outside_endpoint_while_it_is_used(
        config in any_config(),
        others in any_ops(),
        seed: u64,
    ) {
        let mut now = Instant::now();
        let mut nat = Nat::new(config, vec![at("203.0.113.1:0").ip()], seed);
        let first = nat.outbound(now, inside(0), remote(0));
        for op in others {
            match op {
                Op::Wait(seconds) => now += secs(u64::from(seconds).min(9)),
                Op::Out(from, to) => {
 let _ = nat.outbound(now, inside(from), remote(to));
 }
                Op::In(from, port) => {
                    let dst = SocketAddr::new(at("203.0.113.1:0").ip(), 7_000 + port as u16);
                    let _ = nat.inbound(now, remote(from), dst);
                }
            }
            prop_assert_eq!(nat.outbound(now, inside(0), remote(0)), first);
        }
    }
}
