//! Quotas: who pays, what is told to whom, and that they can be changed under way.

use std::num::NonZeroU64;

use super::*;
use crate::relay::limits::{ByteRate, Quota};

const OTHER: SessionId = SessionId([8; 8]);

fn rate(per_second: u64) -> Quota {
    Quota {
        rate: Some(ByteRate {
            per_second: NonZeroU64::new(per_second).unwrap(),
            burst: per_second,
        }),
        total: None,
    }
}

fn total(bytes: u64) -> Quota {
    Quota {
        rate: None,
        total: Some(bytes),
    }
}

/// The usual session, and another one that A dialled to C at address 3, under these limits.
fn two_sessions(limits: Limits) -> Bench {
    let mut t = Bench::open();
    let c = control(3, 3);
    t.command(Command::ControlAt {
        control: c,
        address: addr(3),
    });
    t.command(Command::Open {
        session: OTHER,
        dialer: A,
        secret: SECRET_A,
        acceptor: c,
    });
    t.command(Command::Accept {
        session: OTHER,
        secret: SECRET_B,
    });
    t.frame(addr(11), &encode_bind(OTHER, 1, &SECRET_A));
    t.frame(addr(3), &encode_bind(OTHER, 1, &SECRET_B));
    t.command(limit(limits));
    t
}

fn limit(limits: Limits) -> Command {
    Command::Limit(LimitChange {
        limits,
        max_sessions: 10,
    })
}

/// Bytes that pass of 100 batches of 1,000 bytes.
fn sent(t: &mut Bench, from: u16, session: SessionId) -> u64 {
    let mut datagram = header(FrameKind::Data, session).to_vec();
    datagram.resize(1000, 0);
    let passes = |t: &mut Bench| match t.frame(addr(from), &datagram) {
        Action::Forward { .. } => true,
        Action::Dropped(Dropped::Throttled(_)) => false,
        other => panic!("{other:?}"),
    };
    (0..100).filter(|_| passes(t)).count() as u64 * 1000
}

fn told(t: &mut Bench) -> Vec<(SessionId, PeerId, ThrottleReason, u64)> {
    t.advance(SWEEP_INTERVAL);
    let next = || t.sut.poll_event();
    std::iter::from_fn(next)
        .map(|event| match event {
            Event::Throttled {
                session,
                peer,
                reason,
                dropped_bytes,
            } => (session, peer, reason, dropped_bytes),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn both_ways_of_a_session_draw_from_one_rate_and_the_senders_are_told() {
    let mut t = two_sessions(Limits {
        session: rate(50_000),
        ..Limits::default()
    });
    assert_eq!(sent(&mut t, 1, SESSION), 50_000);
    assert_eq!(sent(&mut t, 2, SESSION), 0);
    assert_eq!(sent(&mut t, 3, OTHER), 50_000, "a session of its own");
    let reason = ThrottleReason::SessionRate;
    assert_eq!(
        told(&mut t),
        [
            (SESSION, A.peer, reason, 50_000),
            (SESSION, B.peer, reason, 100_000),
            (OTHER, PeerId::from_bytes([3; 32]), reason, 50_000)
        ]
    );
    assert_eq!(told(&mut t), [], "once");
    assert_eq!(sent(&mut t, 1, SESSION), 50_000, "seconds later");
}

#[test]
fn a_peer_pays_for_what_it_sends_in_all_its_sessions_and_for_nothing_it_is_sent() {
    let mut t = two_sessions(Limits {
        peer: total(80_000),
        ..Limits::default()
    });
    assert_eq!(sent(&mut t, 1, SESSION), 80_000);
    assert_eq!(sent(&mut t, 11, OTHER), 0);
    assert_eq!(sent(&mut t, 2, SESSION), 80_000);
    let reasons: Vec<_> = told(&mut t).into_iter().map(|told| told.2).collect();
    assert_eq!(reasons, [ThrottleReason::PeerTotal; 3]);

    // Closing all sessions makes nobody a new peer.
    for session in [SESSION, OTHER] {
        t.command(Command::Close { session });
        t.ended();
    }
    // What lanes were not told yet keeps meters in use.
    while t.sut.poll_update().is_some() {}
    t.advance(SWEEP_INTERVAL);
    assert_eq!(t.sut.meters.len(), 2, "C has sent nothing");
    t.advance(Duration::from_secs(86_400));
    t.command(open());
    t.advance(SWEEP_INTERVAL);
    assert_eq!(t.sut.meters.len(), 2, "a day later it may send again");
}

#[test]
fn the_whole_server_has_one_budget() {
    let mut t = two_sessions(Limits {
        server: total(150_000),
        ..Limits::default()
    });
    assert_eq!(sent(&mut t, 1, SESSION), 100_000);
    assert_eq!(sent(&mut t, 3, OTHER), 50_000);
    let told = told(&mut t);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].2, ThrottleReason::ServerTotal);
}

#[test]
fn limits_change_under_way_in_every_lane() {
    let mut t = two_sessions(Limits::default());
    let mut lane = t.sut.lane(t.now);
    let mut datagram = header(FrameKind::Data, SESSION).to_vec();
    datagram.resize(1000, 0);
    let frame = Frame::decode(&datagram).unwrap();
    let run = Run::single(&datagram);
    let mut passed = |t: &mut Bench| {
        while let Some(update) = t.sut.poll_update() {
            lane.apply(update);
        }
        let passes = |_: &_| {
            let action = lane.handle(addr(1), &frame, &run, t.now);
            matches!(action, Some(Action::Forward { .. }))
        };
        (0..100).filter(passes).count()
    };
    assert_eq!(passed(&mut t), 100);
    t.command(limit(Limits {
        session: rate(25_000),
        ..Limits::default()
    }));
    assert_eq!(passed(&mut t), 25);
    assert_eq!(sent(&mut t, 2, SESSION), 0, "drawn by the lane already");
    t.command(limit(Limits::default()));
    assert_eq!(passed(&mut t), 100);
}

#[test]
fn fewer_sessions_than_there_are_end_none_and_open_none() {
    let mut t = Bench::open();
    t.command(Command::Limit(LimitChange {
        limits: Limits::default(),
        max_sessions: 0,
    }));
    assert_eq!(t.data(addr(1), 1), Action::Forward { to: addr(2) });
    t.command(Command::Open {
        session: OTHER,
        dialer: A,
        secret: SECRET_A,
        acceptor: B,
    });
    assert_eq!(t.ended().0, EndReason::Full);
}
