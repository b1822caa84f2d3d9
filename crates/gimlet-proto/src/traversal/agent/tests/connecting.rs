//! From the introduction to the first direct path.

use super::bench::{Bench, Side, addr, candidate, credentials, direct};
use super::{ms, secs};
use crate::candidate::{Candidate, CandidateKind, NatClass};
use crate::stun::fragment_of;
use crate::traversal::{Config, Event, Failure, Reason, Route, SocketId, Stage, Strategy};

/// The introduction's timing over links of 20 ms: the acceptor knows at 40 ms, the dialer at 80.
fn introduced() -> Bench {
    let mut bench = Bench::new();
    bench.direct_delay = ms(20);
    bench.relay_delay = ms(40);
    bench.strict = true;
    bench.run(ms(40));
    bench.introduce(Side::Acceptor);
    bench.run(ms(40));
    bench.introduce(Side::Dialer);
    bench
}

#[test]
fn strict_nats_are_joined_within_one_and_a_half_direct_round_trips_of_the_introduction() {
    let mut bench = introduced();
    bench.run(secs(2));
    assert_eq!(
        bench.selections(Side::Dialer),
        [(120, direct(Side::Dialer))]
    );
    assert_eq!(
        bench.selections(Side::Acceptor),
        [(140, direct(Side::Acceptor))]
    );
    let times = bench.agent(Side::Dialer).outcome().times;
    assert_eq!(times.remote_known, Some(ms(80)));
    assert_eq!(times.first_check_sent, Some(ms(80)));
    assert_eq!(times.first_answer, Some(ms(120)));
    assert_eq!(times.direct, Some(ms(120)));
    assert_eq!(times.quic_confirmed, None);
}

#[test]
fn without_delay_the_first_answer_selects() {
    let mut bench = Bench::new();
    bench.strict = true;
    bench.introduce_both();
    bench.run(ms(1));
    assert_eq!(bench.selections(Side::Dialer), [(0, direct(Side::Dialer))]);
    assert_eq!(
        bench.selections(Side::Acceptor),
        [(0, direct(Side::Acceptor))]
    );
}

#[test]
fn between_near_hosts_a_lost_first_check_costs_the_configured_gap_and_no_more() {
    for (first_retry, direct_at) in [(3, 4), (50, 51)] {
        let mut bench = Bench::with_config(Config {
            first_retry: ms(first_retry),
            ..Config::default()
        });
        let (start, mut lost) = (bench.start, 0);
        bench.relay_delay = ms(1);
        bench.loses = Box::new(move |packet| {
            lost += u32::from(packet.via.is_direct());
            packet.via.is_direct() && packet.sent_at == start && lost <= 2
        });
        bench.introduce_both();
        bench.run(secs(1));
        let selected = bench.selections(Side::Dialer);
        assert!(selected[0].0 <= direct_at, "{first_retry} ms: {selected:?}");
        assert!(
            selected[0].0 >= first_retry,
            "{first_retry} ms: {selected:?}"
        );
    }
}

#[test]
fn a_selection_names_strategy_and_round_trip_time() {
    let mut bench = introduced();
    bench.run(secs(1));
    let selected = bench
        .events
        .iter()
        .find_map(|(side, _, event)| match event {
            Event::Selected { strategy, rtt, .. } if *side == Side::Dialer => {
                Some((*strategy, *rtt))
            }
            _ => None,
        });
    assert_eq!(selected, Some((Some(Strategy::Reflexive), Some(ms(40)))));
}

#[test]
fn the_attempt_settles_once_and_is_confirmed_by_quic() {
    let mut bench = introduced();
    bench.run(secs(20));
    let settled = |bench: &Bench, side| {
        let of_side = bench.events.iter().filter(|(who, _, _)| *who == side);
        of_side
            .filter(|(_, _, event)| matches!(event, Event::Settled(o) if o.failure.is_none()))
            .count()
    };
    assert_eq!(settled(&bench, Side::Dialer), 1);
    assert_eq!(settled(&bench, Side::Acceptor), 1);
    let route = direct(Side::Dialer);
    for via in [Route::Relay, route, route] {
        bench.act(Side::Dialer, |agent, now| agent.handle_heard(via, now));
    }
    let confirmed = Event::Confirmed { route };
    assert_eq!(bench.events.iter().filter(|e| e.2 == confirmed).count(), 1);
    assert!(
        bench
            .agent(Side::Dialer)
            .outcome()
            .times
            .quic_confirmed
            .is_some()
    );
}

#[test]
fn held_checks_reach_nobody_early_and_cost_no_time() {
    let mut bench = Bench::new();
    bench.direct_delay = ms(20);
    bench.relay_delay = ms(40);
    bench.strict = true;
    bench.run(ms(40));
    let until = bench.now + ms(40);
    bench.act(Side::Acceptor, |agent, _| agent.hold_checks(until));
    bench.introduce(Side::Acceptor);
    bench.run(ms(39));
    assert_eq!(bench.direct_sends(Side::Acceptor).len(), 0);
    bench.run(ms(1));
    bench.introduce(Side::Dialer);
    assert_eq!(bench.direct_sends(Side::Acceptor).len(), 1);
    bench.run(secs(1));
    assert_eq!(bench.selections(Side::Dialer)[0].0, 120);
    assert_eq!(bench.selections(Side::Acceptor)[0].0, 140);
}

#[test]
fn a_check_of_the_other_side_ends_the_hold() {
    let mut bench = Bench::new();
    let until = bench.now + secs(5);
    bench.act(Side::Acceptor, |agent, _| agent.hold_checks(until));
    bench.introduce_both();
    bench.run(ms(1));
    assert_eq!(bench.selected(Side::Acceptor), direct(Side::Acceptor));
}

#[test]
fn a_lost_packet_costs_a_retry_and_not_the_path() {
    for lost in 0..12 {
        let mut bench = introduced();
        let mut count = 0;
        bench.loses = Box::new(move |packet| {
            count += usize::from(packet.via.is_direct());
            packet.via.is_direct() && count == lost + 1
        });
        bench.run(secs(1));
        let selected = bench.selections(Side::Dialer);
        assert_eq!(selected.len(), 1, "packet {lost}");
        assert!(selected[0].0 <= 180, "packet {lost}: {selected:?}");
        let followed = bench.selections(Side::Acceptor);
        assert!(followed[0].0 <= 240, "packet {lost}: {followed:?}");
        bench.assert_converged();
    }
}

#[test]
fn a_check_that_comes_before_the_introduction_is_answered_and_checked_back_at_once_after_it() {
    let mut bench = Bench::new();
    bench.direct_delay = ms(20);
    bench.introduce(Side::Acceptor);
    bench.run(ms(30));
    // The answer left although the dialer knows nothing of the acceptor.
    assert_eq!(bench.direct_sends(Side::Dialer).len(), 1);
    assert!(
        bench
            .events
            .iter()
            .any(|(side, _, event)| *side == Side::Dialer
                && *event
                    == Event::Allowed {
                        socket: SocketId(0),
                        remote: addr(Side::Acceptor, 0)
                    })
    );
    bench.introduce_with(Side::Dialer, &[]);
    let checks = bench.direct_sends(Side::Dialer);
    assert_eq!(checks.len(), 2);
    assert_eq!(
        fragment_of(&checks[1].payload),
        Some(credentials(Side::Acceptor).fragment)
    );
    bench.run(ms(40));
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    let strategy = bench.agent(Side::Dialer).outcome().strategy;
    assert_eq!(strategy, Some(Strategy::PeerReflexive));
}

#[test]
fn an_early_check_with_another_fragment_is_forgotten_at_the_introduction() {
    let mut bench = Bench::new();
    bench.act(Side::Acceptor, |agent, now| {
        agent.handle_remote(
            credentials(Side::Dialer),
            &[candidate(addr(Side::Dialer, 0))],
            NatClass::default(),
            now,
        );
    });
    bench.run(ms(0));
    let mut other = credentials(Side::Acceptor);
    other.fragment = [9; 8];
    bench.act(Side::Dialer, |agent, now| {
        agent.handle_remote(other, &[], NatClass::default(), now);
    });
    let disallowed = Event::Disallowed {
        socket: SocketId(0),
        remote: addr(Side::Acceptor, 0),
    };
    assert!(
        bench
            .events
            .iter()
            .any(|(_, _, event)| *event == disallowed)
    );
}

#[test]
fn the_first_checks_go_out_in_a_burst_by_rank_and_the_rest_are_paced() {
    let mut bench = Bench::new();
    let mut candidates: Vec<_> = (0..15u8)
        .map(|n| candidate(([198, 51, 100, n + 1], 9).into()))
        .collect();
    let near = Candidate {
        kind: CandidateKind::Host,
        addr: "203.0.113.77:9".parse().unwrap(),
    };
    candidates.push(near);
    bench.act(Side::Dialer, |agent, _| {
        let own = Candidate {
            kind: CandidateKind::Host,
            addr: "203.0.113.1:7000".parse().unwrap(),
        };
        agent.set_local(&[own], NatClass::default());
    });
    bench.introduce_with(Side::Dialer, &candidates);
    let first = bench.direct_sends(Side::Dialer);
    assert_eq!(first.len(), 10);
    assert!(matches!(first[0].via, Route::Direct { remote, .. } if remote == near.addr));
    bench.run(ms(60));
    let mut routes: Vec<_> = bench
        .direct_sends(Side::Dialer)
        .iter()
        .map(|p| p.via)
        .collect();
    routes.sort();
    routes.dedup();
    assert_eq!(routes.len(), 16);
}

#[test]
fn unsendable_candidates_are_never_sent_to() {
    let mut bench = Bench::new();
    let bad = [
        "127.0.0.1:22",
        "0.0.0.0:9",
        "224.0.0.1:9",
        "10.0.0.1:0",
        "[2001:db8::1]:9",
    ];
    let candidates: Vec<_> = bad.iter().map(|a| candidate(a.parse().unwrap())).collect();
    bench.introduce_with(Side::Dialer, &candidates);
    bench.run(secs(20));
    assert_eq!(bench.direct_sends(Side::Dialer).len(), 0);
    let outcome = bench.agent(Side::Dialer).outcome();
    assert_eq!(outcome.counts.candidates_ignored, 5);
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Candidates, Reason::NoUsablePair))
    );
}

#[test]
fn checks_end_and_the_outcome_says_why() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.introduce_both();
    bench.run(secs(30));
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Checks, Reason::NothingArrived))
    );
    let sends = bench.direct_sends(Side::Dialer);
    assert!((8..=20).contains(&sends.len()), "{}", sends.len());
    assert!(bench.elapsed_ms(sends.last().unwrap().sent_at) <= 10_000);
    bench.run(secs(60));
    assert_eq!(bench.direct_sends(Side::Dialer).len(), sends_count(&bench));
    assert_eq!(bench.selected(Side::Dialer), Route::Relay);
}

fn sends_count(bench: &Bench) -> usize {
    let end = bench.start + secs(30);
    let sends = bench.direct_sends(Side::Dialer);
    sends.iter().filter(|p| p.sent_at <= end).count()
}

#[test]
fn one_way_reachability_is_told_from_none() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct() && packet.from == Side::Dialer);
    bench.introduce_both();
    bench.run(secs(60));
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Checks, Reason::Unanswered))
    );
    assert!(bench.direct_sends(Side::Dialer).len() < 120);
}

#[test]
fn relay_only_and_empty_announcements_are_reported_at_once() {
    let mut bench = Bench::with_sockets(0);
    bench.introduce_with(Side::Dialer, &[candidate(addr(Side::Acceptor, 0))]);
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Candidates, Reason::RelayOnly))
    );
    let mut bench = Bench::new();
    bench.introduce_with(Side::Dialer, &[]);
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Candidates, Reason::NoRemoteCandidates))
    );
}

#[test]
fn candidates_that_come_later_take_the_attempt_up_again() {
    let mut bench = Bench::new();
    bench.introduce_with(Side::Dialer, &[]);
    bench.introduce_with(Side::Acceptor, &[]);
    bench.run(secs(1));
    for side in [Side::Acceptor, Side::Dialer] {
        let late = [candidate(addr(side.other(), 0))];
        bench.act(side, |agent, now| agent.handle_candidates(&late, now));
    }
    bench.run(secs(1));
    assert_eq!(failure(&mut bench), None);
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    bench.assert_converged();
}

#[test]
fn refused_sends_end_a_pair_early() {
    let mut bench = Bench::new();
    bench.loses = Box::new(|packet| packet.via.is_direct());
    bench.introduce(Side::Dialer);
    for _ in 0..3 {
        let via = direct(Side::Dialer);
        bench.act(Side::Dialer, |agent, now| {
            agent.handle_send_failed(via, now)
        });
    }
    assert_eq!(
        failure(&mut bench),
        Some((Stage::Checks, Reason::SendFailed))
    );
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = || {
        let mut bench = introduced();
        bench.run(secs(120));
        let sent = bench.sent.iter();
        sent.map(|p| (p.via, p.payload.clone())).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

fn failure(bench: &mut Bench) -> Option<(Stage, Reason)> {
    let failure: Option<Failure> = bench.agent(Side::Dialer).outcome().failure;
    failure.map(|f| (f.stage, f.reason))
}
