//! Padded checks: a path is chosen only when full-size datagrams pass.

use super::bench::{Bench, Side, direct};
use super::{ms, secs};
use crate::stun::{Body, decode_check};
use crate::traversal::{Reason, Route};

#[test]
fn checks_are_full_size_from_the_first_and_answers_as_long() {
    let mut bench = Bench::new();
    for side in [Side::Dialer, Side::Acceptor] {
        bench.act(side, |agent, _| agent.set_mtu(1431));
    }
    bench.direct_delay = ms(20);
    bench.introduce_both();
    bench.run(ms(50));
    let sent = bench.direct_sends(Side::Dialer);
    assert_eq!(sent[0].payload.len(), 1432);
    let answers: Vec<_> = bench
        .direct_sends(Side::Acceptor)
        .iter()
        .filter_map(|p| match decode_check(&p.payload)?.body {
            Body::Success(_) => Some(p.payload.len()),
            _ => None,
        })
        .collect();
    assert_eq!(answers[0], 1432);
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
}

#[test]
fn no_answer_is_longer_than_its_check() {
    let mut bench = Bench::new();
    bench.introduce_both();
    bench.run(secs(60));
    for answer in &bench.sent {
        let Some(Body::Success(body)) = decode_check(&answer.payload).map(|i| i.body) else {
            continue;
        };
        let check = bench.sent.iter().find(|p| {
            let request = decode_check(&p.payload).map(|i| i.body);
            matches!(request, Some(Body::Request { check, .. }) if check.transaction == body.transaction)
        });
        assert_eq!(answer.payload.len(), check.unwrap().payload.len());
    }
}

#[test]
fn a_path_that_swallows_large_datagrams_is_not_chosen() {
    for large_from in [Side::Dialer, Side::Acceptor] {
        let mut bench = Bench::new();
        bench.loses = Box::new(move |packet| {
            packet.via.is_direct() && packet.from == large_from && packet.payload.len() > 1000
        });
        bench.introduce_both();
        bench.run(secs(120));
        assert_eq!(bench.selected(Side::Dialer), Route::Relay);
        let outcome = bench.agent(Side::Dialer).outcome();
        assert_eq!(outcome.failure.map(|f| f.reason), Some(Reason::TooLarge));
        assert_eq!(outcome.counts.small_only, 1);
        bench.assert_converged();
        let sends = bench.direct_sends(Side::Dialer).len();
        assert!(sends < 200, "{sends}");
    }
}

#[test]
fn a_path_in_use_is_not_doubted_when_the_size_grows() {
    let mut bench = Bench::new();
    bench.introduce_both();
    bench.run(secs(1));
    bench.act(Side::Dialer, |agent, _| agent.set_mtu(1400));
    bench.loses = Box::new(|packet| packet.via.is_direct() && packet.payload.len() > 1300);
    bench.run(secs(60));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
}
