//! Any messages in any order: nothing panics, nothing is left over.

use super::*;
use crate::message::{Candidates, PathKind, PathReport, SignOut};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Connect(u8),
    Disconnect(usize),
    Say(usize, ToServer),
    Wait(u32),
    RelayIdle(u8),
}

fn message() -> impl Strategy<Value = ToServer> {
    let name = prop_oneof![
        Just(None),
        (0u8..4).prop_map(|n| format!("n{n}").parse().ok())
    ];
    prop_oneof![
        4 => (name, any::<bool>()).prop_map(|(name, reachable)| SignIn { name, reachable, ..sign_in() }.into()),
        1 => Just(SignOut {}.into()),
        1 => Just(List { id: 1, after: None }.into()),
        1 => "[a-z0-9:.]{0,12}".prop_map(|text| Resolve { id: 1, text }.into()),
        6 => (0u8..4, 0u8..4).prop_map(|(n, to)| introduce(n, to).into()),
        6 => (0u8..4).prop_map(|n| accept(n).into()),
        2 => (0u8..4).prop_map(|n| Refused { session: session(n), reason: RefuseReason::Declined }.into()),
        1 => (0u8..4).prop_map(|n| CloseSession { session: session(n) }.into()),
        1 => (0u8..4).prop_map(|n| PathReport { session: session(n), path: PathKind::Direct }.into()),
        1 => (0u8..4).prop_map(|n| Candidates { session: session(n), candidates: vec![candidate("10.0.0.1:1")] }.into()),
        1 => (0u8..4).prop_map(|n| Watch { peer: peer(n) }.into()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..4).prop_map(Step::Connect),
        1 => (0usize..8).prop_map(Step::Disconnect),
        12 => (0usize..8, message()).prop_map(|(conn, message)| Step::Say(conn, message)),
        1 => (0u32..15_000).prop_map(Step::Wait),
        1 => (0u8..4).prop_map(Step::RelayIdle),
    ]
}

proptest! {
    #[test]
    fn the_tables_agree_and_empty_themselves(steps in proptest::collection::vec(step(), 0..150)) {
        let mut t = Bench::open();
        let mut conns = Vec::new();
        for step in steps {
            match step {
                Step::Connect(n) => conns.push(t.connect(n)),
                Step::Disconnect(n) => if let Some(&conn) = conns.get(n) {
                    t.sut.disconnected(conn, CloseReason::Lost);
                },
                Step::Say(n, message) => if let Some(&conn) = conns.get(n) {
                    t.say(conn, message);
                },
                Step::Wait(ms) => t.advance(Duration::from_millis(ms.into())),
                Step::RelayIdle(n) => t.sut.handle_relay(relay::Event::Ended {
                    session: session(n),
                    reason: relay::EndReason::Idle,
                    relayed: Default::default(),
                }),
            }
            t.drain();
            for (peer, conn) in &t.sut.online {
                prop_assert_eq!(t.sut.connections.get(conn).map(|c| c.peer), Some(*peer));
            }
            for (peer, conn) in &t.sut.dialing {
                prop_assert_eq!(t.sut.connections.get(conn).map(|c| c.peer), Some(*peer));
                prop_assert_ne!(t.sut.online.get(peer), Some(conn));
            }
            let signed_in = t.sut.connections.keys().filter(|conn| t.sut.signed_in(**conn).is_some());
            prop_assert_eq!(signed_in.count(), t.sut.online() + t.sut.dialing());
            prop_assert!(t.sut.dialing() <= 4 * t.sut.config.max_dialing_per_key);
            prop_assert!(t.sut.observed.len() <= t.sut.online.len());
            let due = t.sut.connections.len() + t.sut.sessions() + 1;
            prop_assert!(t.sut.deadlines.len() <= due, "a deadline was left over");
        }
        // Everybody falls silent, and the relay with them.
        t.advance(Duration::from_secs(120));
        for n in 0..4 {
            t.sut.handle_relay(relay::Event::Ended {
                session: session(n),
                reason: relay::EndReason::Idle,
                relayed: Default::default(),
            });
        }
        t.drain();
        prop_assert_eq!((t.sut.online(), t.sut.sessions(), t.sut.connections.len()), (0, 0, 0));
        prop_assert_eq!(t.sut.dialing(), 0);
        prop_assert_eq!((t.sut.observed.len(), t.sut.watchers.len(), t.sut.deadlines.len()), (0, 0, 1));
    }
}
