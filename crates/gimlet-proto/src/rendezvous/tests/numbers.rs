//! Numbers of short codes.

use super::*;
use crate::message::{DropNumber, HoldNumber, NumberHeld};
use crate::rendezvous::numbers::{MAX_TTL, PER_KEY, REST};

const TTL: Duration = Duration::from_secs(600);

fn hold(t: &mut Bench, conn: ConnId, ttl: Duration) -> Result<u32, FailReason> {
    let ttl_s = ttl.as_secs() as u32;
    match t.ask(conn, HoldNumber { id: 3, ttl_s }) {
        ToPeer::NumberHeld(NumberHeld { id: 3, number, .. }) => Ok(number),
        ToPeer::Failed(Failed { id: 3, reason }) => Err(reason),
        other => panic!("{other:?}"),
    }
}

fn whose(t: &mut Bench, conn: ConnId, text: &str) -> Result<(PeerId, bool), FailReason> {
    let text = text.to_owned();
    match t.ask(conn, Resolve { id: 4, text }) {
        ToPeer::Resolved(found) => Ok((found.peer, found.online)),
        ToPeer::Failed(Failed { id: 4, reason }) => Err(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_number_leads_to_its_key_until_its_time_is_over() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    assert_eq!(hold(&mut t, a, TTL), Ok(1));
    assert_eq!(hold(&mut t, b, TTL), Ok(2));
    assert_eq!(whose(&mut t, b, "#1"), Ok((peer(1), true)));
    assert_eq!(whose(&mut t, a, "#2"), Ok((peer(2), true)));
    for _ in 0..TTL.as_secs() / 20 {
        t.advance(Duration::from_secs(20));
        t.sut.handle_alive(a, t.now);
        t.sut.handle_alive(b, t.now);
    }
    assert_eq!(whose(&mut t, b, "#1"), Err(FailReason::UnknownPeer));
}

#[test]
fn a_number_stays_its_keys_while_that_is_away() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    hold(&mut t, a, TTL).unwrap();
    t.sut.disconnected(a, CloseReason::SignedOut);
    t.drain();
    assert_eq!(whose(&mut t, b, "#1"), Ok((peer(1), false)));
    t.sign_in_quietly(1);
    assert_eq!(whose(&mut t, b, "#1"), Ok((peer(1), true)));
}

#[test]
fn a_dropped_number_rests_before_somebody_else_gets_it() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    hold(&mut t, a, TTL).unwrap();
    t.say(b, DropNumber { number: 1 });
    assert_eq!(whose(&mut t, b, "#1"), Ok((peer(1), true)), "not theirs");
    t.say(a, DropNumber { number: 1 });
    assert_eq!(whose(&mut t, b, "#1"), Err(FailReason::UnknownPeer));
    assert_eq!(hold(&mut t, b, TTL), Ok(2));
    t.now += TTL + REST;
    let b = t.sign_in(2);
    assert_eq!(hold(&mut t, b, TTL), Ok(1));
    assert_eq!(whose(&mut t, b, "#1"), Ok((peer(2), true)));
}

#[test]
fn one_key_has_a_limited_count_of_numbers_resting_ones_included() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    for number in 1..=PER_KEY as u32 {
        assert_eq!(hold(&mut t, a, TTL), Ok(number));
        t.say(a, DropNumber { number });
    }
    assert_eq!(hold(&mut t, a, TTL), Err(FailReason::Busy));
    assert_eq!(hold(&mut t, b, TTL), Ok(PER_KEY as u32 + 1));
}

#[test]
fn no_number_is_held_for_longer_than_an_hour_nor_for_no_time() {
    let mut t = Bench::open();
    let a = t.sign_in(1);
    let mut granted = |ttl_s| match t.ask(a, HoldNumber { id: 3, ttl_s }) {
        ToPeer::NumberHeld(held) => held.ttl_s,
        other => panic!("{other:?}"),
    };
    assert_eq!(granted(u32::MAX), MAX_TTL.as_secs() as u32);
    assert_eq!(granted(0), 1);
}

#[test]
fn what_is_no_number_is_nobodys() {
    let mut t = Bench::open();
    let a = t.sign_in(1);
    hold(&mut t, a, TTL).unwrap();
    for text in ["#", "#x", "#+1", "#-1", "# 1", "#99999999999", "#2", "1"] {
        assert_eq!(
            whose(&mut t, a, text),
            Err(FailReason::UnknownPeer),
            "{text}"
        );
    }
}
