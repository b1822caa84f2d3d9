//! What attackers send: nothing of it makes state, answers or growth.

use super::bench::{Bench, Packet, Side, addr, candidate, credentials, direct};
use super::{ms, secs};
use crate::candidate::NatClass;
use crate::secret::Credentials;
use crate::stun::{
    Answer, Body, Check, CheckRole, Key, Seal, TransactionId, decode_check, encode_answer,
    encode_check,
};
use crate::traversal::{Dropped, Event, Route, SocketId};

fn from(addr: &str) -> Route {
    Route::Direct {
        socket: SocketId(0),
        remote: addr.parse().unwrap(),
    }
}

fn check(id: u32, seal: &Seal) -> Vec<u8> {
    let mut transaction = [0; 12];
    transaction[..4].copy_from_slice(&id.to_be_bytes());
    let check = Check {
        transaction: TransactionId(transaction),
        priority: 1,
        role: CheckRole::Controlling {
            tie_breaker: 1,
            nominate: false,
        },
    };
    encode_check(&check, seal, 1200)
}

fn dialers_seal() -> Seal {
    Seal::new(&credentials(Side::Acceptor), &credentials(Side::Dialer))
}

/// An acceptor that has been introduced to a dialer that is not there.
fn acceptor() -> Bench {
    let mut bench = Bench::new();
    bench.loses = Box::new(|_| true);
    bench.introduce(Side::Acceptor);
    bench.run(secs(30));
    bench.sent.clear();
    bench.events.clear();
    bench
}

fn first_check(bench: &Bench, from: Side) -> Packet {
    let direct = bench.direct_sends(from);
    (*direct.first().unwrap()).clone()
}

#[test]
fn a_forged_check_makes_no_state_and_no_answer() {
    let mut bench = acceptor();
    let guess = Credentials {
        fragment: credentials(Side::Acceptor).fragment,
        password: [0; 16],
    };
    let forged = check(1, &Seal::new(&guess, &credentials(Side::Dialer)));
    let paths = bench.agent(Side::Acceptor).paths.len();
    for via in [direct(Side::Acceptor), from("198.51.100.9:9"), Route::Relay] {
        let dropped = bench.inject(Side::Acceptor, via, &forged);
        assert_eq!(dropped, Some(Dropped::BadIntegrity));
    }
    let stranger = Credentials {
        fragment: [3; 8],
        password: [3; 16],
    };
    for (receiver, sender) in [
        (stranger.clone(), credentials(Side::Dialer)),
        (credentials(Side::Acceptor), stranger),
    ] {
        let wrong = check(2, &Seal::new(&receiver, &sender));
        let dropped = bench.inject(Side::Acceptor, from("198.51.100.9:9"), &wrong);
        assert_eq!(dropped, Some(Dropped::WrongUser));
    }
    assert_eq!(bench.agent(Side::Acceptor).paths.len(), paths);
    assert!(bench.sent.is_empty() && bench.events.is_empty());
}

#[test]
fn a_check_copied_to_another_address_is_neither_answered_nor_learned() {
    let mut bench = acceptor();
    let original = check(1, &dialers_seal());
    assert_eq!(
        bench.inject(Side::Acceptor, direct(Side::Acceptor), &original),
        None
    );
    let sent = bench.sent.len();
    let dropped = bench.inject(Side::Acceptor, from("198.51.100.9:9"), &original);
    assert_eq!(dropped, Some(Dropped::Replayed));
    assert_eq!(bench.sent.len(), sent);
}

#[test]
fn sources_learned_from_checks_are_bounded() {
    let mut bench = acceptor();
    let seal = dialers_seal();
    for n in 0..2000u32 {
        let source = format!("198.51.{}.{}:9", n / 200, 1 + n % 200);
        bench.inject(Side::Acceptor, from(&source), &check(n, &seal));
        if n % 10 == 9 {
            bench.run(ms(100));
        }
    }
    let agent = bench.agent(Side::Acceptor);
    assert!(agent.paths.len() <= 14, "{}", agent.paths.len());
    assert!(agent.seen.len() <= 256 && agent.outstanding.len() <= 256);
    let allowed = |event: &Event| match event {
        Event::Allowed { .. } => 1i32,
        Event::Disallowed { .. } => -1,
        _ => 0,
    };
    let open: i32 = bench
        .events
        .iter()
        .map(|(_, _, event)| allowed(event))
        .sum();
    assert!(open <= 13, "{open}");
    // 20 s of flood at no more than the budget for checks and one answer a check.
    assert!(
        bench.sent.len() <= 2000 + 20 * 100 + 60,
        "{}",
        bench.sent.len()
    );
}

#[test]
fn a_flood_of_valid_checks_is_answered_at_a_bounded_rate() {
    let mut bench = acceptor();
    let seal = dialers_seal();
    for n in 0..1000 {
        bench.inject(Side::Acceptor, direct(Side::Acceptor), &check(n, &seal));
    }
    assert!(
        bench
            .dropped
            .contains(&(Side::Acceptor, Dropped::RateLimited))
    );
    assert!(bench.sent.len() <= 300, "{}", bench.sent.len());
}

/// A dialer whose first check got lost, the way that went, and what the answer would say.
fn unanswered() -> (Bench, Route, Answer) {
    let mut bench = Bench::new();
    bench.loses = Box::new(|_| true);
    bench.introduce(Side::Dialer);
    let packet = first_check(&bench, Side::Dialer);
    let Some(Body::Request { check, .. }) = decode_check(&packet.payload).map(|i| i.body) else {
        panic!("the first datagram is a check");
    };
    let answer = Answer {
        transaction: check.transaction,
        mapped: Some(addr(Side::Dialer, 0)),
    };
    let via = packet.via;
    (bench, via, answer)
}

#[test]
fn a_response_must_come_from_where_its_check_went() {
    let (mut bench, via, answer) = unanswered();
    let key = Key::new(&credentials(Side::Acceptor));
    let genuine = encode_answer(&answer, &key, 1200);
    for via in [from("198.51.100.9:9"), Route::Relay] {
        let dropped = bench.inject(Side::Dialer, via, &genuine);
        assert_eq!(dropped, Some(Dropped::WrongSource));
    }
    let forged = encode_answer(&answer, &Key::new(&credentials(Side::Dialer)), 1200);
    let dropped = bench.inject(Side::Dialer, via, &forged);
    assert_eq!(dropped, Some(Dropped::BadIntegrity));
    assert_eq!(bench.selected(Side::Dialer), Route::Relay);
    // None of it cost the genuine answer its effect, which it has once.
    assert_eq!(bench.inject(Side::Dialer, via, &genuine), None);
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
    let again = bench.inject(Side::Dialer, via, &genuine);
    assert_eq!(again, Some(Dropped::UnknownTransaction));
}

#[test]
fn a_short_answer_does_not_prove_a_full_size_path() {
    let (mut bench, via, answer) = unanswered();
    let short = encode_answer(&answer, &Key::new(&credentials(Side::Acceptor)), 0);
    assert_eq!(bench.inject(Side::Dialer, via, &short), None);
    assert_eq!(bench.selected(Side::Dialer), Route::Relay);
}

#[test]
fn oversized_candidate_lists_are_cut() {
    let mut bench = Bench::new();
    let flood: Vec<_> = (0..5000u32)
        .map(|n| candidate(([198, (n / 250) as u8, (n % 250) as u8, 1], 9).into()))
        .collect();
    bench.introduce_with(Side::Dialer, &flood);
    for chunk in flood.chunks(16) {
        bench.act(Side::Dialer, |agent, now| {
            agent.handle_candidates(chunk, now)
        });
    }
    bench.run(secs(30));
    let agent = bench.agent(Side::Dialer);
    assert!(agent.paths.len() <= 33, "{}", agent.paths.len());
    assert!(agent.outcome().counts.candidates_ignored >= 4968);
    let sent = bench.sent.len();
    assert!(sent < 800, "{sent}");
}

#[test]
fn datagrams_of_no_meaning_change_nothing() {
    let mut bench = acceptor();
    for junk in [&b""[..], &[0], &[0; 20], &[0xff; 1200], &[0; 64000]] {
        let dropped = bench.inject(Side::Acceptor, direct(Side::Acceptor), junk);
        assert_eq!(dropped, Some(Dropped::Malformed));
    }
    let mut cut = check(1, &dialers_seal());
    cut.truncate(1196);
    let dropped = bench.inject(Side::Acceptor, direct(Side::Acceptor), &cut);
    assert_eq!(dropped, Some(Dropped::Malformed));
    assert!(bench.sent.is_empty() && bench.events.is_empty());
}

#[test]
fn a_second_introduction_does_not_replace_the_credentials() {
    let mut bench = Bench::new();
    bench.introduce_both();
    bench.run(secs(1));
    let other = Credentials {
        fragment: [8; 8],
        password: [8; 16],
    };
    bench.act(Side::Dialer, |agent, now| {
        agent.handle_remote(other, &[], NatClass::default(), now);
    });
    bench.run(secs(60));
    assert_eq!(bench.selections(Side::Dialer).len(), 1);
    assert_eq!(bench.selected(Side::Dialer), direct(Side::Dialer));
}
