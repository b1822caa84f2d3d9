//! Nominations: numbered, repeated, reordered, copied.

use super::bench::{Bench, Side, addr, credentials, direct};
use super::{ms, secs};
use crate::stun::{Check, CheckRole, Seal, TransactionId, encode_check};
use crate::traversal::{Dropped, Route, SocketId};

/// A check as the dialer would send it.
fn nomination(id: u8, tie_breaker: u64) -> Vec<u8> {
    let seal = Seal::new(&credentials(Side::Acceptor), &credentials(Side::Dialer));
    let check = Check {
        transaction: TransactionId([id; 12]),
        priority: 1,
        role: CheckRole::Controlling {
            tie_breaker,
            nominate: true,
        },
    };
    encode_check(&check, &seal, 0)
}

fn acceptor_route(socket: u16, theirs: u16) -> Route {
    Route::Direct {
        socket: SocketId(socket),
        remote: addr(Side::Dialer, theirs),
    }
}

/// An acceptor with four valid paths, as a dialer that never nominates would leave it.
fn acceptor() -> Bench {
    let mut bench = Bench::with_sockets(2);
    bench.loses = Box::new(|packet| {
        let body = crate::stun::decode_check(&packet.payload).map(|i| i.body);
        matches!(body, Some(crate::stun::Body::Request { check, .. })
            if matches!(check.role, CheckRole::Controlling { nominate: true, .. }))
    });
    bench.introduce_both();
    bench.run(ms(100));
    assert_eq!(bench.selected(Side::Acceptor), Route::Relay);
    bench
}

#[test]
fn the_highest_number_wins_whatever_the_order() {
    let numbers = [5u64, 6, 7];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        let mut bench = acceptor();
        let routes = [acceptor_route(0, 0), Route::Relay, acceptor_route(1, 1)];
        let base = u64::MAX << 32;
        for i in order {
            bench.inject(
                Side::Acceptor,
                routes[i],
                &nomination(i as u8, base | numbers[i]),
            );
            bench.run(ms(10));
        }
        assert_eq!(bench.selected(Side::Acceptor), routes[2], "{order:?}");
    }
}

#[test]
fn an_old_nomination_is_answered_and_changes_nothing() {
    let mut bench = acceptor();
    let (new, old) = (nomination(1, u64::MAX), nomination(2, u64::MAX - 1));
    bench.inject(Side::Acceptor, acceptor_route(0, 0), &new);
    let answers = bench.direct_sends(Side::Acceptor).len();
    let dropped = bench.inject(Side::Acceptor, acceptor_route(1, 1), &old);
    assert_eq!(dropped, Some(Dropped::StaleNomination));
    assert_eq!(bench.direct_sends(Side::Acceptor).len(), answers + 1);
    assert_eq!(bench.selected(Side::Acceptor), acceptor_route(0, 0));
}

#[test]
fn a_nominated_path_is_not_used_before_it_answered_our_own_check() {
    let mut bench = acceptor();
    let nowhere = Route::Direct {
        socket: SocketId(0),
        remote: "198.51.100.66:6".parse().unwrap(),
    };
    bench.inject(Side::Acceptor, nowhere, &nomination(1, u64::MAX));
    bench.run(secs(2));
    assert_eq!(bench.selected(Side::Acceptor), Route::Relay);
    // The original arrives after the copy, over a path that works.
    bench.inject(
        Side::Acceptor,
        acceptor_route(0, 0),
        &nomination(2, u64::MAX),
    );
    assert_eq!(bench.selected(Side::Acceptor), acceptor_route(0, 0));
}

#[test]
fn a_lost_nomination_is_repeated_until_answered() {
    let mut bench = Bench::new();
    let start = bench.start;
    bench.loses = Box::new(move |packet| {
        let body = crate::stun::decode_check(&packet.payload).map(|i| i.body);
        let nominates = matches!(body, Some(crate::stun::Body::Request { check, .. })
            if matches!(check.role, CheckRole::Controlling { nominate: true, .. }));
        nominates && packet.sent_at < start + secs(3)
    });
    bench.introduce_both();
    bench.run(secs(2));
    assert_eq!(bench.selected(Side::Acceptor), Route::Relay);
    bench.run(secs(5));
    assert_eq!(bench.selected(Side::Acceptor), direct(Side::Acceptor));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
}

#[test]
fn a_controlling_agent_follows_nobody() {
    let mut bench = Bench::new();
    bench.introduce_both();
    bench.run(secs(1));
    let seal = Seal::new(&credentials(Side::Dialer), &credentials(Side::Acceptor));
    let check = Check {
        transaction: TransactionId([7; 12]),
        priority: 1,
        role: CheckRole::Controlling {
            tie_breaker: u64::MAX,
            nominate: true,
        },
    };
    let dropped = bench.inject(Side::Dialer, Route::Relay, &encode_check(&check, &seal, 0));
    assert_eq!(dropped, Some(Dropped::RoleConflict));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
}
