//! A peer that changes its place: doubts and what ends them, addresses announced again.

use super::bench::{Bench, Side, addr, candidate, direct};
use super::{ms, secs};
use crate::traversal::config::MAX_PAIRS;
use crate::traversal::{Event, Route};

fn connected() -> Bench {
    let mut bench = Bench::new();
    bench.direct_delay = ms(20);
    bench.relay_delay = ms(40);
    bench.introduce_both();
    bench.run(secs(5));
    assert!(bench.selected(Side::Dialer).is_direct());
    bench
}

/// How long each doubt of a side was, until it was over.
fn recoveries(bench: &Bench, side: Side) -> Vec<u128> {
    let events = bench.events.iter().filter(|(of, _, _)| *of == side);
    let recovered = events.filter_map(|(_, _, event)| {
        let Event::Recovered { after, .. } = event else {
            return None;
        };
        Some(after.as_millis())
    });
    recovered.collect()
}

fn announce(bench: &mut Bench, to: Side, addrs: &[std::net::SocketAddr]) {
    let candidates: Vec<_> = addrs.iter().copied().map(candidate).collect();
    bench.act(to, |agent, now| agent.handle_candidates(&candidates, now));
}

#[test]
fn the_end_of_a_doubt_is_told_with_its_length() {
    let mut bench = connected();
    let via = bench.selected(Side::Dialer);
    bench.act(Side::Dialer, |agent, now| agent.handle_suspect(via, now));
    bench.run(secs(1));
    assert_eq!(recoveries(&bench, Side::Dialer), [40]);
    assert!(recoveries(&bench, Side::Acceptor).is_empty());
}

#[test]
fn what_was_dark_for_a_minute_is_told_when_it_answers() {
    let mut bench = connected();
    bench.loses = Box::new(|_| true);
    for side in [Side::Dialer, Side::Acceptor] {
        let via = bench.selected(side);
        bench.act(side, |agent, now| agent.handle_suspect(via, now));
    }
    bench.run(secs(60));
    bench.loses = Box::new(|_| false);
    bench.act(Side::Dialer, |agent, now| agent.restart(now));
    bench.run(secs(1));
    for side in [Side::Dialer, Side::Acceptor] {
        let longest = recoveries(&bench, side).into_iter().max();
        let selections = bench.selections(side).len();
        assert!(
            longest.is_some_and(|ms| ms >= 59_000) || selections > 1,
            "{side:?}: {longest:?}, {selections} selections"
        );
    }
}

#[test]
fn the_dialer_nominates_again_after_a_doubt() {
    let mut bench = connected();
    let before = bench.agent(Side::Dialer).lead.number();
    let via = bench.selected(Side::Dialer);
    bench.act(Side::Dialer, |agent, now| agent.handle_suspect(via, now));
    bench.run(secs(1));
    assert_eq!(bench.agent(Side::Dialer).lead.number(), before + 1);
    bench.assert_converged();
}

#[test]
fn an_address_announced_again_is_checked_again() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.introduce_both();
    bench.run(secs(60));
    bench.loses = Box::new(|_| false);
    for side in [Side::Dialer, Side::Acceptor] {
        announce(&mut bench, side, &[addr(side.other(), 0)]);
    }
    bench.run(ms(500));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    bench.assert_converged();
}

#[test]
fn new_addresses_of_the_peer_put_the_path_in_use_in_doubt() {
    let mut bench = connected();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    announce(
        &mut bench,
        Side::Dialer,
        &["198.51.100.77:7".parse().unwrap()],
    );
    bench.run(ms(300));
    assert_eq!(bench.selected(Side::Dialer), Route::Relay);
}

#[test]
fn new_addresses_alone_move_nothing() {
    let mut bench = connected();
    announce(
        &mut bench,
        Side::Dialer,
        &["198.51.100.77:7".parse().unwrap()],
    );
    bench.run(secs(20));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
    bench.assert_converged();
}

#[test]
fn a_peer_that_has_been_in_a_hundred_places_is_still_found() {
    let mut bench = Bench::new();
    let home = direct(Side::Dialer);
    bench.loses = Box::new(move |packet| packet.via.is_direct());
    bench.introduce_both();
    for n in 0..100u8 {
        bench.run(secs(20));
        let place = |host| ([198, 51, n, host], 7000).into();
        announce(&mut bench, Side::Dialer, &[1, 2, 3].map(place));
        assert!(bench.agent(Side::Dialer).paths.len() <= MAX_PAIRS + 1);
    }
    bench.loses = Box::new(move |packet| {
        packet.from == Side::Dialer && packet.via.is_direct() && packet.via != home
    });
    bench.run(secs(20));
    announce(&mut bench, Side::Dialer, &[addr(Side::Acceptor, 0)]);
    announce(&mut bench, Side::Acceptor, &[addr(Side::Dialer, 0)]);
    bench.run(secs(1));
    assert_eq!(bench.selected(Side::Dialer), home);
}
