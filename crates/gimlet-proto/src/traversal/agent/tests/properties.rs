//! Any sequence of operations: no panic, bounded state, and agreement once packets flow.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::bench::{Bench, Side, candidate, credentials};
use super::{ms, secs};
use crate::candidate::NatClass;
use crate::traversal::Route;

#[derive(Debug, Clone)]
enum Op {
    Introduce(Side),
    Run(u64),
    Lose { direct: u8, relay: u8 },
    Suspect(Side),
    SuspectRelay(Side),
    SendFailed(Side),
    Relay(Side, bool),
    Restart(Side),
    Mtu(Side, u16),
    Trickle(Side, u8),
    Replay(Side, usize, u8),
    Corrupt(Side, usize, usize),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Dialer), Just(Side::Acceptor)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => side().prop_map(Op::Introduce),
        6 => (0..3000u64).prop_map(Op::Run),
        3 => (0..=100u8, 0..=100u8).prop_map(|(direct, relay)| Op::Lose { direct, relay }),
        2 => side().prop_map(Op::Suspect),
        1 => side().prop_map(Op::SuspectRelay),
        1 => side().prop_map(Op::SendFailed),
        1 => (side(), any::<bool>()).prop_map(|(side, up)| Op::Relay(side, up)),
        1 => side().prop_map(Op::Restart),
        1 => (side(), any::<u16>()).prop_map(|(side, mtu)| Op::Mtu(side, mtu)),
        1 => (side(), any::<u8>()).prop_map(|(side, n)| Op::Trickle(side, n)),
        1 => (side(), any::<usize>(), any::<u8>()).prop_map(|(s, i, n)| Op::Replay(s, i, n)),
        1 => (side(), any::<usize>(), any::<usize>()).prop_map(|(s, i, n)| Op::Corrupt(s, i, n)),
    ]
}

fn apply(bench: &mut Bench, loss: &Rc<Cell<(u8, u8)>>, op: &Op) {
    match *op {
        Op::Introduce(side) => bench.introduce(side),
        Op::Run(n) => bench.run(ms(n)),
        Op::Lose { direct, relay } => loss.set((direct, relay)),
        Op::Suspect(side) => {
            let via = bench.selected(side);
            bench.act(side, |agent, now| agent.handle_suspect(via, now));
        }
        Op::SuspectRelay(side) => {
            bench.act(side, |agent, now| agent.handle_suspect(Route::Relay, now));
        }
        Op::SendFailed(side) => {
            let via = bench.selected(side);
            bench.act(side, |agent, now| agent.handle_send_failed(via, now));
        }
        Op::Relay(side, up) => bench.act(side, |agent, now| agent.handle_relay(up, now)),
        Op::Restart(side) => bench.act(side, |agent, now| agent.restart(now)),
        Op::Mtu(side, mtu) => bench.act(side, |agent, _| agent.set_mtu(mtu)),
        Op::Trickle(side, n) => {
            let late = [candidate(([198, 51, 100, n], 9).into())];
            bench.act(side, |agent, now| agent.handle_candidates(&late, now));
        }
        Op::Replay(side, index, from) => {
            if let Some(packet) = pick(bench, index) {
                let via = match from {
                    0..100 => Route::Relay,
                    _ => Route::Direct {
                        socket: crate::traversal::SocketId(u16::from(from % 3)),
                        remote: ([192, 0, 2, from], 9).into(),
                    },
                };
                bench.inject(side, via, &packet);
            }
        }
        Op::Corrupt(side, index, at) => {
            if let Some(mut packet) = pick(bench, index) {
                let at = at % packet.len();
                packet[at] ^= 1;
                let dropped = bench.inject(side, Route::Relay, &packet);
                assert!(dropped.is_some(), "a changed bit is noticed");
            }
        }
    }
}

fn pick(bench: &Bench, index: usize) -> Option<Vec<u8>> {
    let sent = &bench.sent;
    let packet = sent.get(index.checked_rem(sent.len())?)?;
    Some(packet.payload.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn agents_stay_bounded_and_agree_once_packets_flow(
        sockets in 1..=2u16,
        delay in 0..60u64,
        strict in any::<bool>(),
        ops in prop::collection::vec(op(), 0..40),
    ) {
        let mut bench = Bench::with_sockets(sockets);
        bench.direct_delay = ms(delay);
        bench.relay_delay = ms(2 * delay);
        bench.strict = strict;
        let loss = Rc::new(Cell::new((0, 0)));
        let shared = Rc::clone(&loss);
        let mut dice = 0x9e37_79b9_u32;
        bench.loses = Box::new(move |packet| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (direct, relay) = shared.get();
            let percent = if packet.via.is_direct() { direct } else { relay };
            dice >> 16 < u32::from(percent) * 656
        });
        for op in &ops {
            apply(&mut bench, &loss, op);
            for side in [Side::Dialer, Side::Acceptor] {
                let agent = bench.agent(side);
                prop_assert!(agent.paths.len() <= 49);
                prop_assert!(agent.outstanding.len() <= 256 && agent.seen.len() <= 256);
            }
        }
        // Now all is well, and both are told to look again.
        loss.set((0, 0));
        for side in [Side::Dialer, Side::Acceptor] {
            bench.introduce(side);
            bench.act(side, |agent, now| {
                agent.set_mtu(1200);
                agent.handle_relay(true, now);
                agent.restart(now);
            });
        }
        bench.run(secs(90));
        prop_assert!(bench.selected(Side::Dialer).is_direct());
        bench.assert_converged();
    }

    #[test]
    fn no_datagram_makes_an_agent_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut bench = Bench::new();
        let mut framed = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        framed.extend_from_slice(&bytes);
        framed.truncate(framed.len() / 4 * 4);
        if let Some(length) = framed.len().checked_sub(20) {
            framed[3] = length as u8;
        }
        for datagram in [&bytes, &framed] {
            bench.inject(Side::Acceptor, Route::Relay, datagram);
        }
        bench.act(Side::Acceptor, |agent, now| {
            agent.handle_remote(credentials(Side::Dialer), &[], NatClass::default(), now);
        });
    }
}
