//! After the first selection: consent, keep-alive, falling back and coming back.

use super::bench::{Bench, Side, direct};
use super::{ms, secs};
use crate::traversal::{Event, Route, SocketId};

fn connected(sockets: u16) -> Bench {
    let mut bench = Bench::with_sockets(sockets);
    bench.direct_delay = ms(20);
    bench.relay_delay = ms(40);
    bench.introduce_both();
    bench.run(secs(5));
    assert!(bench.selected(Side::Dialer).is_direct());
    bench.assert_converged();
    bench
}

fn suspect(bench: &mut Bench, side: Side) {
    let via = bench.selected(side);
    bench.act(side, |agent, now| agent.handle_suspect(via, now));
}

#[test]
fn the_path_in_use_is_checked_every_five_seconds_and_the_relay_every_fifteen() {
    let mut bench = connected(1);
    bench.sent.clear();
    bench.run(secs(300));
    let count = |relay: bool| {
        let checks = bench.sent.iter().filter(|p| p.from == Side::Dialer);
        let checks = checks.filter(|p| crate::stun::fragment_of(&p.payload).is_some());
        checks.filter(|p| p.via.is_direct() != relay).count()
    };
    assert!((50..=75).contains(&count(false)), "{}", count(false));
    assert!((16..=25).contains(&count(true)), "{}", count(true));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
}

#[test]
fn at_most_three_paths_are_kept_in_reserve() {
    let mut bench = connected(4);
    bench.run(secs(60));
    bench.sent.clear();
    bench.run(secs(120));
    let mut routes: Vec<_> = bench
        .direct_sends(Side::Dialer)
        .iter()
        .filter(|p| crate::stun::fragment_of(&p.payload).is_some())
        .map(|p| p.via)
        .collect();
    routes.sort();
    routes.dedup();
    assert!(routes.len() <= 4, "{routes:?}");
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
}

#[test]
fn a_suspect_path_that_answers_stays() {
    for side in [Side::Dialer, Side::Acceptor] {
        let mut bench = connected(1);
        suspect(&mut bench, side);
        bench.run(secs(10));
        assert_eq!(bench.selections(side).len(), 1);
        assert_eq!(bench.agent(side).outcome().counts.paths_lost, 0);
    }
}

#[test]
fn a_dark_path_gives_way_to_the_relay_within_a_quarter_second_of_the_suspicion() {
    for side in [Side::Dialer, Side::Acceptor] {
        let mut bench = connected(1);
        bench.loses = Box::new(|packet| packet.via.is_direct());
        let dark_at = bench.elapsed_ms(bench.now);
        suspect(&mut bench, side);
        bench.run(secs(1));
        let (at, route) = *bench.selections(side).last().unwrap();
        assert_eq!(route, Route::Relay);
        assert!(at - dark_at <= 250, "{at}");
        // The other side either follows the nomination or finds out by itself.
        suspect(&mut bench, side.other());
        bench.run(secs(1));
        bench.assert_converged();
    }
}

#[test]
fn the_nomination_of_the_relay_alone_moves_the_controlled_side() {
    let mut bench = connected(1);
    bench.loses = Box::new(|packet| packet.via.is_direct());
    suspect(&mut bench, Side::Dialer);
    bench.run(ms(300));
    bench.assert_converged();
}

#[test]
fn an_idle_dark_path_expires_after_thirty_seconds() {
    let mut bench = connected(1);
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.run(secs(24));
    assert!(bench.selected(Side::Dialer).is_direct());
    bench.run(secs(12));
    assert_eq!(bench.selected(Side::Dialer), Route::Relay);
    bench.assert_converged();
}

#[test]
fn a_path_that_comes_back_is_selected_again_soon() {
    for side in [Side::Dialer, Side::Acceptor] {
        let mut bench = connected(1);
        bench.loses = Box::new(|packet| packet.via.is_direct());
        suspect(&mut bench, side);
        bench.run(secs(10));
        bench.loses = Box::new(|_| false);
        bench.run(secs(20));
        assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
        bench.assert_converged();
    }
}

#[test]
fn a_path_that_keeps_dying_is_trusted_less_each_time() {
    let mut bench = connected(1);
    let mut waits = Vec::new();
    for _ in 0..5 {
        bench.loses = Box::new(|packet| packet.via.is_direct());
        suspect(&mut bench, Side::Dialer);
        bench.run(ms(600));
        assert_eq!(bench.selected(Side::Dialer), Route::Relay);
        bench.loses = Box::new(|_| false);
        let from = bench.now;
        while bench.selected(Side::Dialer) == Route::Relay {
            bench.run(ms(50));
            assert!(bench.now - from < secs(30));
        }
        waits.push(bench.now - from);
        bench.run(ms(500));
        bench.assert_converged();
    }
    assert!(waits[4] > 4 * waits[0], "{waits:?}");
}

#[test]
fn another_direct_path_takes_over_before_the_relay() {
    let mut bench = connected(2);
    let Route::Direct { socket: dark, .. } = bench.selected(Side::Dialer) else {
        panic!("connected");
    };
    let Route::Direct { socket: theirs, .. } = bench.selected(Side::Acceptor) else {
        panic!("connected");
    };
    bench.loses = Box::new(move |packet| {
        matches!(packet.via, Route::Direct { socket, .. } if socket == match packet.from {
            Side::Dialer => dark,
            Side::Acceptor => theirs,
        })
    });
    suspect(&mut bench, Side::Dialer);
    bench.run(secs(1));
    let Route::Direct { socket, .. } = bench.selected(Side::Dialer) else {
        panic!("a direct path is left");
    };
    assert_ne!(socket, dark);
    bench.assert_converged();
}

#[test]
fn a_dark_relay_does_not_disturb_a_direct_path() {
    let mut bench = connected(1);
    bench.loses = Box::new(|packet| !packet.via.is_direct());
    bench.run(secs(120));
    bench.act(Side::Dialer, |agent, now| agent.handle_relay(false, now));
    bench.run(secs(10));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
    assert_eq!(bench.selections(Side::Acceptor).len(), 1);
}

#[test]
fn with_everything_dark_the_path_stays_and_works_again_with_the_packets() {
    let mut bench = connected(1);
    bench.loses = Box::new(|_| true);
    suspect(&mut bench, Side::Dialer);
    suspect(&mut bench, Side::Acceptor);
    bench.run(secs(120));
    bench.loses = Box::new(|_| false);
    bench.run(secs(60));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    bench.assert_converged();
}

#[test]
fn the_relay_going_down_moves_nothing_while_it_is_all_there_is() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.introduce_both();
    bench.run(secs(20));
    for up in [false, true] {
        bench.act(Side::Dialer, |agent, now| agent.handle_relay(up, now));
        bench.run(secs(5));
        assert_eq!(bench.selected(Side::Dialer), Route::Relay);
    }
    bench.assert_converged();
}

#[test]
fn one_side_that_fell_back_alone_returns_to_the_nominated_path() {
    let mut bench = connected(1);
    // Only the acceptor's packets are lost, and only for as long as it takes it to give up.
    bench.loses = Box::new(|packet| packet.via.is_direct() && packet.from == Side::Acceptor);
    suspect(&mut bench, Side::Acceptor);
    bench.run(ms(300));
    assert_eq!(bench.selected(Side::Acceptor), Route::Relay);
    bench.loses = Box::new(|_| false);
    bench.run(secs(5));
    assert_eq!(bench.selected(Side::Acceptor), direct(Side::Acceptor));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
    bench.assert_converged();
}

#[test]
fn a_restart_checks_everything_again_and_keeps_what_works() {
    let mut bench = connected(2);
    for side in [Side::Dialer, Side::Acceptor] {
        bench.act(side, |agent, now| agent.restart(now));
        bench.run(secs(5));
    }
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
    bench.assert_converged();
}

#[test]
fn a_restart_takes_a_failed_attempt_up_again() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.introduce_both();
    bench.run(secs(60));
    bench.loses = Box::new(|_| false);
    bench.act(Side::Dialer, |agent, now| agent.restart(now));
    bench.run(secs(1));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    bench.assert_converged();
    let settled = bench
        .events
        .iter()
        .filter(|(side, _, event)| *side == Side::Dialer && matches!(event, Event::Settled(_)));
    assert_eq!(settled.count(), 2);
}

#[test]
fn a_clearly_faster_path_is_taken_once_and_for_good() {
    let mut bench = Bench::with_sockets(2);
    // The first socket of the dialer answers only after a while; until then the second is used.
    let start = bench.start;
    bench.loses = Box::new(move |packet| {
        let first = matches!(
            packet.via,
            Route::Direct {
                socket: SocketId(0),
                ..
            }
        );
        first && packet.sent_at < start + secs(2)
    });
    bench.direct_delay = ms(40);
    bench.introduce_both();
    bench.run(secs(4));
    assert!(bench.selected(Side::Dialer).is_direct());
    bench.run(secs(300));
    assert!(bench.selections(Side::Dialer).len() <= 2);
    bench.assert_converged();
}
