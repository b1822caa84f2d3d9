//! Signing in, leases, names, and being shown the door.

use super::*;
use crate::message::{ReleaseName, SignOut};

#[test]
fn signing_in_grants_what_was_asked_within_the_limits() {
    let mut config = Config::new(Access::Open);
    config.stun_ports = vec![3479];
    let mut t = Bench::new(config);
    for (wanted, granted) in [(0, 5), (30, 30), (u32::MAX, 60)] {
        let conn = t.connect(1);
        let answer = t.ask(
            conn,
            SignIn {
                lease_s: wanted,
                ..sign_in()
            },
        );
        let ToPeer::SignedIn(signed_in) = answer else {
            panic!("{answer:?}");
        };
        let expected = SignedIn {
            id: 1,
            lease_s: granted,
            name: None,
            observed: seen(1),
            stun_ports: vec![3479],
            time_s: 1_700_000_000,
        };
        assert_eq!(signed_in, expected);
    }
}

#[test]
fn an_ipv4_peer_on_a_dual_stack_socket_is_told_its_ipv4_address() {
    let mut t = Bench::open();
    let conn = ConnId(50);
    let mapped = "[::ffff:192.0.2.7]:99".parse().unwrap();
    t.sut.connected(conn, peer(1), mapped, t.now);
    let ToPeer::SignedIn(signed_in) = t.ask(conn, sign_in()) else {
        panic!("signed in");
    };
    assert_eq!(signed_in.observed, "192.0.2.7:99".parse().unwrap());
    let at = relay::Command::ControlAt {
        control: control(1, conn),
        address: mapped,
    };
    assert_eq!(t.relay, [at], "the relay sends to what the socket shows");
}

#[test]
fn only_a_known_token_opens() {
    let tokens = vec!["right".to_owned(), "other".to_owned()];
    let mut t = Bench::new(Config::new(Access::Tokens(tokens)));
    for wrong in [None, Some(""), Some("wrong"), Some("righ"), Some("right2")] {
        let conn = t.connect(1);
        let token = wrong.map(str::to_owned);
        let answer = t.ask(conn, SignIn { token, ..sign_in() });
        assert_eq!(answer, failed(FailReason::BadToken));
        assert_eq!(t.why_closed(conn), Some(CloseReason::SignInFailed));
    }
    for right in ["right", "other"] {
        let conn = t.connect(1);
        let token = Some(right.to_owned());
        let answer = t.ask(conn, SignIn { token, ..sign_in() });
        assert!(matches!(answer, ToPeer::SignedIn(_)));
    }
}

#[test]
fn a_key_list_lets_in_its_keys_alone() {
    let mut t = Bench::new(Config::new(Access::Keys([peer(1)].into())));
    let (one, two) = (t.connect(1), t.connect(2));
    assert!(matches!(t.ask(one, sign_in()), ToPeer::SignedIn(_)));
    assert_eq!(t.ask(two, sign_in()), failed(FailReason::NotAllowed));
}

#[test]
fn oversized_texts_are_refused() {
    let mut t = Bench::open();
    for bad in [
        SignIn {
            token: Some("a".repeat(129)),
            ..sign_in()
        },
        SignIn {
            software: "a".repeat(65),
            ..sign_in()
        },
    ] {
        let conn = t.connect(1);
        assert_eq!(t.ask(conn, bad), failed(FailReason::BadRequest));
    }
}

#[test]
fn nothing_is_answered_before_sign_in_but_a_refusal() {
    let mut t = Bench::open();
    let conn = t.connect(1);
    let answer = t.ask(conn, List { id: 1, after: None });
    assert_eq!(answer, failed(FailReason::BadRequest));
    let answer = t.ask(conn, introduce(9, 2));
    assert_eq!(answer, refused(9, RefuseReason::BadRequest));
    t.say(conn, Watch { peer: peer(2) });
    assert_eq!(t.heard(conn), []);
}

#[test]
fn a_connection_that_never_signs_in_is_closed() {
    let mut t = Bench::open();
    let conn = t.connect(1);
    t.advance(Duration::from_secs(9));
    assert_eq!(t.why_closed(conn), None);
    t.advance(Duration::from_secs(1));
    assert_eq!(t.why_closed(conn), Some(CloseReason::SignInTimedOut));
}

#[test]
fn any_message_refreshes_the_lease_and_silence_ends_it() {
    let mut t = Bench::open();
    let conn = t.sign_in(1);
    for _ in 0..5 {
        t.advance(Duration::from_secs(20));
        t.say(conn, Watch { peer: peer(9) });
    }
    t.advance(Duration::from_secs(20));
    t.sut.handle_alive(conn, t.now);
    t.advance(Duration::from_secs(29));
    assert_eq!(t.sut.online(), 1);
    t.advance(Duration::from_secs(1));
    assert_eq!(t.sut.online(), 0);
    assert_eq!(t.why_closed(conn), Some(CloseReason::LeaseExpired));
}

#[test]
fn the_newest_session_of_a_key_replaces_the_older_without_a_blink() {
    let mut t = Bench::open();
    let watcher = t.sign_in(2);
    let old = t.sign_in(1);
    t.say(watcher, Watch { peer: peer(1) });
    t.heard(watcher);
    let new = t.sign_in(1);
    assert_eq!(t.why_closed(old), Some(CloseReason::Replaced));
    assert_eq!(t.why_closed(new), None);
    assert_eq!(t.heard(watcher), []);
    t.sut.disconnected(old, CloseReason::Lost);
    t.drain();
    assert_eq!(t.sut.online(), 2);
    let at = relay::Command::ControlAt {
        control: control(1, new),
        address: seen(1),
    };
    let gone = relay::Command::ControlGone {
        control: control(1, old),
    };
    assert!(t.relay.ends_with(&[at, gone]), "{:?}", t.relay);
}

#[test]
fn a_name_belongs_to_its_key_even_while_that_is_away() {
    let mut t = Bench::open();
    let alice = t.named(1, "alice");
    t.say(alice, SignOut {});
    assert_eq!(t.why_closed(alice), Some(CloseReason::SignedOut));
    let thief = t.connect(2);
    let claim = |name: &str| SignIn {
        name: Some(name.parse().unwrap()),
        ..sign_in()
    };
    assert_eq!(t.ask(thief, claim("alice")), failed(FailReason::NameTaken));
    assert_eq!(t.why_closed(thief), None, "another name may do");
    assert!(matches!(t.ask(thief, claim("bob")), ToPeer::SignedIn(_)));
    let back = t.connect(1);
    let ToPeer::SignedIn(signed_in) = t.ask(back, sign_in()) else {
        panic!("signed in");
    };
    assert_eq!(signed_in.name.unwrap().as_str(), "alice");
}

#[test]
fn a_name_given_back_is_anybodys() {
    let mut t = Bench::open();
    let alice = t.named(1, "alice");
    let name: Name = "alice".parse().unwrap();
    t.say(alice, ReleaseName { name: name.clone() });
    let bob = t.connect(2);
    let name = Some(name);
    let answer = t.ask(bob, SignIn { name, ..sign_in() });
    assert!(matches!(answer, ToPeer::SignedIn(_)));
}

#[test]
fn a_name_unused_for_long_is_free_and_one_in_use_is_not() {
    let mut t = Bench::open();
    let alice = t.named(1, "alice");
    t.named(2, "bob");
    t.heard(alice);
    for _ in 0..(31 * 24) {
        t.sut.handle_alive(alice, t.now);
        for _ in 0..150 {
            t.advance(Duration::from_secs(24));
            t.sut.handle_alive(alice, t.now);
        }
    }
    let third = t.sign_in(3);
    let resolve = |text: &str| Resolve {
        id: 1,
        text: text.to_owned(),
    };
    assert!(matches!(
        t.ask(third, resolve("alice")),
        ToPeer::Resolved(_)
    ));
    assert_eq!(
        t.ask(third, resolve("bob")),
        failed(FailReason::UnknownPeer)
    );
}

#[test]
fn a_name_that_reads_like_an_id_is_refused() {
    let mut t = Bench::open();
    let conn = t.connect(1);
    let name = Some(peer(2).to_string().parse().unwrap());
    let answer = t.ask(conn, SignIn { name, ..sign_in() });
    assert_eq!(answer, failed(FailReason::BadRequest));
}

#[test]
fn too_many_requests_are_answered_busy_and_far_too_many_end_the_session() {
    let mut t = Bench::open();
    let conn = t.sign_in(1);
    let mut busy = 0;
    for _ in 0..5000 {
        t.say(conn, List { id: 1, after: None });
        busy += t.heard(conn).contains(&failed(FailReason::Busy)) as u32;
    }
    assert_eq!(busy, 1000);
    assert_eq!(t.why_closed(conn), Some(CloseReason::TooManyRequests));
}

#[test]
fn a_draining_server_says_so_and_takes_nobody_in() {
    let mut t = Bench::open();
    let conn = t.sign_in(1);
    t.sut.drain(Duration::from_millis(500));
    t.drain();
    let notice = Draining {
        in_ms: 500,
        return_over_ms: 1,
    };
    assert_eq!(t.heard(conn), [notice.into()]);
    let late = t.connect(2);
    assert_eq!(t.ask(late, sign_in()), failed(FailReason::ShuttingDown));
}

#[test]
fn peers_of_a_draining_server_come_back_over_a_bounded_time() {
    let mut config = Config::new(Access::Open);
    config.returns_per_s = 1;
    let mut t = Bench::new(config);
    let [conn, _, _] = [1, 2, 3].map(|n| t.sign_in(n));
    t.sut.drain(Duration::ZERO);
    t.drain();
    let notice = Draining {
        in_ms: 0,
        return_over_ms: 3000,
    };
    assert_eq!(t.heard(conn).pop(), Some(notice.into()));
    assert_eq!(notice.pause(0.5), Duration::from_millis(1500));
    let return_over_ms = u32::MAX;
    let hostile = Draining {
        return_over_ms,
        ..notice
    };
    assert_eq!(hostile.pause(1.0), Draining::MAX_RETURN);
}

#[test]
fn software_reaches_the_log_without_control_characters() {
    let mut t = Bench::open();
    let conn = t.connect(1);
    let software = "x\n\u{1b}[31mWARN fake".to_owned();
    t.say(
        conn,
        SignIn {
            software,
            ..sign_in()
        },
    );
    let Some(Event::SignedIn { software, .. }) = t.events.pop() else {
        panic!("signed in");
    };
    assert_eq!(software, "x[31mWARN fake");
}
