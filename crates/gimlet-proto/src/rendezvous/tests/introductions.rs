//! Introductions, and who may say what about a session.

use super::*;
use crate::candidate::MAX_CANDIDATES;
use crate::message::{Accepted, Candidates, Introduction, PathKind, PathReport};

#[test]
fn an_introduction_goes_there_and_back_and_the_relay_follows() {
    let mut t = Bench::open();
    let (a, b) = (t.named(1, "alice"), t.sign_in(2));
    t.relay.clear();
    t.say(a, introduce(9, 2));
    let introduction = Introduction {
        session: session(9),
        peer: peer(1),
        name: Some("alice".parse().unwrap()),
        credentials: credentials(9),
        candidates: vec![candidate("10.0.0.1:5")],
        nat: NatClass::default(),
    };
    assert_eq!(t.heard(b), [introduction.into()]);
    let open = relay::Command::Open {
        session: session(9),
        dialer: control(1, a),
        secret: RelaySecret([9; 32]),
        acceptor: control(2, b),
    };
    assert_eq!(t.relay, [open]);

    t.say(b, accept(9));
    let accepted = Accepted {
        session: session(9),
        credentials: credentials(109),
        candidates: vec![candidate("10.0.0.2:5")],
        nat: NatClass::default(),
    };
    assert_eq!(t.heard(a), [accepted.into()]);
    assert!(matches!(t.relay[1], relay::Command::Accept { .. }));
}

#[test]
fn the_peer_is_told_before_the_relay_lets_data_through() {
    let mut t = Bench::open();
    let (a, _) = (t.sign_in(1), t.sign_in(2));
    t.sut.handle_message(a, introduce(9, 2).into(), t.now);
    let first = t.sut.poll_output();
    assert!(matches!(
        first,
        Some(Output::Send(_, ToPeer::Introduction(_)))
    ));
    let second = t.sut.poll_output();
    assert!(matches!(
        second,
        Some(Output::Relay(relay::Command::Open { .. }))
    ));
}

#[test]
fn an_introduction_that_can_not_be_is_refused_with_its_reason() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    let answer = t.ask(a, introduce(1, 99));
    assert_eq!(answer, refused(1, RefuseReason::Offline));
    let answer = t.ask(a, introduce(1, 1));
    assert_eq!(answer, refused(1, RefuseReason::BadRequest));
    let mut crowded = introduce(1, 2);
    crowded.candidates = vec![candidate("10.0.0.1:5"); MAX_CANDIDATES + 1];
    let answer = t.ask(a, crowded);
    assert_eq!(answer, refused(1, RefuseReason::BadRequest));
    assert_eq!(t.heard(b), []);
    assert_eq!(t.sut.sessions(), 0);
}

#[test]
fn a_session_id_in_use_is_refused_to_everybody() {
    let (mut t, a, b) = Bench::introduced();
    let c = t.sign_in(3);
    for (conn, to) in [(a, 2), (b, 1), (c, 1)] {
        let answer = t.ask(conn, introduce(9, to));
        assert_eq!(answer, refused(9, RefuseReason::BadRequest));
    }
    assert_eq!(t.sut.sessions(), 1);
    assert_eq!(
        t.relay.len(),
        1,
        "peer 3 is placed, and nothing else: {:?}",
        t.relay
    );
}

#[test]
fn a_refusal_reaches_the_dialer_and_only_a_peers_reasons_pass() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    for (said, told) in [
        (RefuseReason::Declined, RefuseReason::Declined),
        (RefuseReason::Superseded, RefuseReason::Superseded),
        (RefuseReason::Busy, RefuseReason::Busy),
        (RefuseReason::Offline, RefuseReason::Declined),
    ] {
        t.say(a, introduce(9, 2));
        t.say(
            b,
            Refused {
                session: session(9),
                reason: said,
            },
        );
        assert_eq!(t.heard(a), [refused(9, told)]);
        assert_eq!(t.sut.sessions(), 0);
    }
}

#[test]
fn silence_is_told_as_unanswered_and_a_late_acceptance_as_closed() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    t.say(a, introduce(9, 2));
    t.heard(b);
    t.advance(Duration::from_secs(10));
    assert_eq!(t.heard(a), [refused(9, RefuseReason::Unanswered)]);
    assert_eq!(t.heard(b), [session_closed(9)]);
    t.say(b, accept(9));
    assert_eq!(t.heard(b), [session_closed(9)]);
    assert_eq!(t.heard(a), []);
}

#[test]
fn a_peer_that_leaves_while_asked_is_offline() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    t.say(a, introduce(9, 2));
    t.sut.disconnected(b, CloseReason::Lost);
    t.drain();
    assert_eq!(t.heard(a), [refused(9, RefuseReason::Offline)]);
}

#[test]
fn an_open_session_outlives_both_control_sessions_and_ends_with_the_relays() {
    let (mut t, a, b) = Bench::introduced();
    t.sut.disconnected(a, CloseReason::Lost);
    t.sut.disconnected(b, CloseReason::Lost);
    assert_eq!(t.sut.sessions(), 1);
    t.sut.handle_relay(relay::Event::Ended {
        session: session(9),
        reason: relay::EndReason::Idle,
        relayed: Default::default(),
    });
    assert_eq!(t.sut.sessions(), 0);
}

#[test]
fn only_the_two_sides_speak_about_a_session() {
    let (mut t, a, b) = Bench::introduced();
    let c = t.sign_in(3);
    t.relay.clear();
    let id = session(9);
    t.say(c, CloseSession { session: id });
    t.say(c, accept(9));
    t.say(
        c,
        Refused {
            session: id,
            reason: RefuseReason::Declined,
        },
    );
    t.say(
        c,
        Candidates {
            session: id,
            candidates: vec![candidate("10.9.9.9:9")],
        },
    );
    t.say(
        c,
        PathReport {
            session: id,
            path: PathKind::Direct,
        },
    );
    // The accepting side's path does not count either.
    t.say(
        b,
        PathReport {
            session: id,
            path: PathKind::Direct,
        },
    );
    // Nor can the dialer accept for the other side, or that side twice.
    t.say(a, accept(9));
    t.say(b, accept(9));
    assert_eq!((t.heard(a), t.heard(b)), (vec![], vec![]));
    assert_eq!(t.relay, []);
    assert!(
        !t.events
            .iter()
            .any(|e| matches!(e, Event::PathReported { .. }))
    );
}

#[test]
fn the_dialer_can_not_accept_its_own_introduction() {
    let mut t = Bench::open();
    let (a, _) = (t.sign_in(1), t.sign_in(2));
    t.say(a, introduce(9, 2));
    t.relay.clear();
    t.say(a, accept(9));
    assert_eq!((t.heard(a), t.relay.len()), (vec![], 0));
}

#[test]
fn more_candidates_pass_both_ways_and_the_unsendable_are_taken_out() {
    let (mut t, a, b) = Bench::introduced();
    let more = |texts: &[&str]| Candidates {
        session: session(9),
        candidates: texts.iter().map(|text| candidate(text)).collect(),
    };
    t.say(
        a,
        more(&["127.0.0.1:5", "224.0.0.1:5", "10.1.1.1:0", "10.1.1.1:7"]),
    );
    assert_eq!(t.heard(b), [more(&["10.1.1.1:7"]).into()]);
    t.say(b, more(&["[2001:db8::1]:5"]));
    assert_eq!(t.heard(a), [more(&["[2001:db8::1]:5"]).into()]);
    t.say(a, more(&["127.0.0.1:5"]));
    assert_eq!(t.heard(b), []);
    let mut many = more(&["10.1.1.1:7"]);
    many.candidates = many.candidates.repeat(MAX_CANDIDATES * 3);
    t.say(a, many);
    let Some(ToPeer::Candidates(passed)) = t.heard(b).pop() else {
        panic!("candidates");
    };
    assert_eq!(passed.candidates.len(), MAX_CANDIDATES);
}

#[test]
fn loopback_candidates_pass_between_peers_on_the_servers_machine() {
    let mut t = Bench::open();
    let conns: Vec<_> = (1..=2u8)
        .map(|n| {
            let conn = ConnId(n.into());
            let here = SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(n)));
            t.sut.connected(conn, peer(n), here, t.now);
            t.say(conn, sign_in());
            t.heard(conn);
            conn
        })
        .collect();
    let mut request = introduce(9, 2);
    request.candidates = vec![candidate("127.0.0.1:5")];
    t.say(conns[0], request);
    let Some(ToPeer::Introduction(introduction)) = t.heard(conns[1]).pop() else {
        panic!("an introduction");
    };
    assert_eq!(introduction.candidates, [candidate("127.0.0.1:5")]);
}

#[test]
fn closing_tells_the_other_side_and_the_relay() {
    let (mut t, a, b) = Bench::introduced();
    t.say(
        b,
        CloseSession {
            session: session(9),
        },
    );
    assert_eq!(t.heard(a), [session_closed(9)]);
    assert_eq!(t.heard(b), []);
    assert_eq!(
        t.relay,
        [relay::Command::Close {
            session: session(9)
        }]
    );
}

#[test]
fn a_dialer_that_gives_up_takes_its_question_back() {
    let mut t = Bench::open();
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    t.say(a, introduce(9, 2));
    t.heard(b);
    t.say(
        a,
        CloseSession {
            session: session(9),
        },
    );
    assert_eq!(t.heard(b), [session_closed(9)]);
    t.advance(Duration::from_secs(20));
    assert_eq!(t.heard(a), []);
    assert_eq!(t.sut.sessions(), 0);
}

#[test]
fn the_dialers_path_report_shows_in_the_list_and_is_told_once() {
    let (mut t, a, _) = Bench::introduced();
    for _ in 0..3 {
        let session = session(9);
        t.say(
            a,
            PathReport {
                session,
                path: PathKind::Direct,
            },
        );
    }
    let told = t
        .events
        .iter()
        .filter(|e| matches!(e, Event::PathReported { .. }));
    assert_eq!(told.count(), 1);
    let ToPeer::Page(page) = t.ask(a, List { id: 1, after: None }) else {
        panic!("a page");
    };
    assert_eq!(page.sessions[0].path, PathKind::Direct);
}

#[test]
fn nobody_alone_can_use_up_what_a_peer_may_be_asked() {
    let mut t = Bench::open();
    let victim = t.sign_in(2);
    let (mallory, friend) = (t.sign_in(3), t.sign_in(4));
    for n in 0..40 {
        t.say(mallory, introduce(n, 2));
    }
    let asked = t.heard(victim).len();
    assert_eq!(asked, t.sut.config.max_pending_out);
    t.say(friend, introduce(200, 2));
    assert_eq!(t.heard(victim).len(), 1);
}

#[test]
fn sessions_of_a_peer_are_bounded() {
    let mut config = Config::new(Access::Open);
    config.max_sessions_per_peer = 3;
    let mut t = Bench::new(config);
    let (a, b) = (t.sign_in(1), t.sign_in(2));
    for n in 0..3 {
        t.say(a, introduce(n, 2));
        t.say(b, accept(n));
    }
    t.heard(a);
    assert_eq!(t.ask(a, introduce(9, 2)), refused(9, RefuseReason::Busy));
    let c = t.sign_in(3);
    assert_eq!(t.ask(c, introduce(9, 2)), refused(9, RefuseReason::Busy));
}
