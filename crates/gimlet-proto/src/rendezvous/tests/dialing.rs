//! Several control sessions of one key: one that is reachable, and some that only dial.

use super::*;
use crate::message::{Accepted, Candidates, PathKind, PathReport, Presence, SignOut};

fn named(name: &str, reachable: bool) -> SignIn {
    SignIn {
        name: Some(name.parse().unwrap()),
        reachable,
        ..sign_in()
    }
}

fn signed_in_as(t: &mut Bench, conn: ConnId, request: SignIn) -> Option<String> {
    match t.ask(conn, request) {
        ToPeer::SignedIn(signed_in) => signed_in.name.map(|name| name.to_string()),
        other => panic!("{other:?}"),
    }
}

fn page(t: &mut Bench, conn: ConnId) -> Page {
    match t.ask(conn, List { id: 1, after: None }) {
        ToPeer::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

fn more(text: &str) -> Candidates {
    Candidates {
        session: session(9),
        candidates: vec![candidate(text)],
    }
}

#[test]
fn two_dialing_sessions_of_a_key_meet_the_same_peer_each_by_itself() {
    let mut t = Bench::open();
    let bob = t.sign_in(2);
    let (first, second) = (t.dialing(1), t.dialing(1));
    t.relay.clear();
    t.say(first, introduce(8, 2));
    t.say(second, introduce(9, 2));
    let opened: Vec<_> = t
        .relay
        .iter()
        .filter_map(|command| match command {
            relay::Command::Open { dialer, .. } => Some(*dialer),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [control(1, first), control(1, second)]);
    assert_eq!(t.heard(bob).len(), 2);
    t.say(bob, accept(9));
    t.say(bob, accept(8));
    for (conn, n) in [(first, 8), (second, 9)] {
        let heard = t.heard(conn);
        let [ToPeer::Accepted(Accepted { session: of, .. })] = heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!(of, session(n));
    }
    t.say(
        bob,
        CloseSession {
            session: session(8),
        },
    );
    assert_eq!(t.heard(first), [session_closed(8)]);
    assert_eq!(t.heard(second), []);
}

#[test]
fn a_session_that_only_dials_replaces_nobody_and_is_not_there_for_others() {
    let mut t = Bench::open();
    let watcher = t.sign_in(3);
    t.say(watcher, Watch { peer: peer(1) });
    t.say(watcher, Watch { peer: peer(2) });
    t.heard(watcher);
    let up = t.sign_in_quietly(1);
    assert_eq!(t.heard(watcher).len(), 1);
    let (list, alone) = (t.dialing(1), t.dialing(2));
    assert_eq!((t.why_closed(up), t.heard(watcher)), (None, vec![]));
    let listed: Vec<_> = page(&mut t, list).peers.iter().map(|p| p.peer).collect();
    assert_eq!(listed, [peer(1), peer(3)]);
    assert_eq!((t.sut.online(), t.sut.dialing()), (2, 2));
    let text = peer(2).to_string();
    let ToPeer::Resolved(resolved) = t.ask(list, Resolve { id: 1, text }) else {
        panic!("resolved");
    };
    assert!(!resolved.online);
    let answer = t.ask(watcher, introduce(9, 2));
    assert_eq!(answer, refused(9, RefuseReason::Offline));
    // Leaving makes no noise either, and what is said to the key reaches the one that stayed.
    t.say(list, SignOut {});
    t.say(alone, SignOut {});
    assert_eq!(t.heard(watcher), []);
    t.say(watcher, introduce(9, 1));
    assert!(matches!(t.heard(up)[..], [ToPeer::Introduction(_)]));
}

#[test]
fn a_session_that_only_dials_can_watch_and_is_told_of_the_drain() {
    let mut t = Bench::open();
    let conn = t.dialing(1);
    let presence = |online| -> ToPeer {
        let peer = peer(2);
        Presence { peer, online }.into()
    };
    t.say(conn, Watch { peer: peer(2) });
    t.sign_in_quietly(2);
    assert_eq!(t.heard(conn), [presence(false), presence(true)]);
    t.sut.drain(Duration::from_millis(500));
    t.drain();
    let notice = Draining {
        in_ms: 500,
        return_over_ms: 2,
    };
    assert_eq!(t.heard(conn), [notice.into()]);
}

#[test]
fn a_reachable_session_replaces_the_one_before_and_leaves_the_dialing_ones() {
    let mut t = Bench::open();
    let dialing = t.dialing(1);
    let old = t.sign_in(1);
    let new = t.sign_in(1);
    assert_eq!(t.why_closed(old), Some(CloseReason::Replaced));
    assert_eq!(t.why_closed(new), None);
    assert_eq!(t.why_closed(dialing), None);
    assert_eq!((t.sut.online(), t.sut.dialing()), (1, 1));
}

#[test]
fn sessions_of_a_key_that_only_dial_are_bounded() {
    let mut t = Bench::open();
    let up = t.sign_in(1);
    let conns: Vec<_> = (0..16).map(|_| t.dialing(1)).collect();
    let late = t.connect(1);
    assert_eq!(t.ask(late, dial_only()), failed(FailReason::Busy));
    assert_eq!(t.why_closed(late), Some(CloseReason::SignInFailed));
    // Not so another key, a renewal, or the one that can be reached.
    t.dialing(2);
    assert!(matches!(t.ask(conns[0], dial_only()), ToPeer::SignedIn(_)));
    t.sign_in(1);
    assert_eq!(t.why_closed(up), Some(CloseReason::Replaced));
    t.sut.disconnected(conns[3], CloseReason::Lost);
    t.dialing(1);
    assert_eq!(t.sut.dialing(), 17);
}

#[test]
fn a_full_server_counts_every_kind_of_session() {
    let mut config = Config::new(Access::Open);
    config.max_peers = 2;
    let mut t = Bench::new(config);
    t.dialing(1);
    let old = t.sign_in(2);
    for request in [sign_in(), dial_only()] {
        let conn = t.connect(3);
        assert_eq!(t.ask(conn, request), failed(FailReason::Busy));
    }
    t.sign_in(2);
    assert_eq!(t.why_closed(old), Some(CloseReason::Replaced));
}

#[test]
fn a_dialing_session_shows_its_keys_name_and_binds_no_other() {
    let mut t = Bench::open();
    let bob = t.named(2, "bob");
    let alice = t.named(1, "alice");
    let conn = t.connect(1);
    let own = Some("alice".to_owned());
    assert_eq!(signed_in_as(&mut t, conn, dial_only()), own);
    assert_eq!(signed_in_as(&mut t, conn, named("alice", false)), own);
    assert_eq!(signed_in_as(&mut t, conn, named("new", false)), own);
    let answer = t.ask(conn, named("bob", false));
    assert_eq!(answer, failed(FailReason::NameTaken));
    t.say(conn, introduce(9, 2));
    let Some(ToPeer::Introduction(introduction)) = t.heard(bob).pop() else {
        panic!("an introduction");
    };
    assert_eq!(introduction.name.unwrap().as_str(), "alice");
    let third = t.connect(3);
    let free = signed_in_as(&mut t, third, named("new", true));
    assert_eq!(free.as_deref(), Some("new"), "nobody has bound it");
    // The key gives its name back over one connection: no other one shows it any more.
    let name = "alice".parse().unwrap();
    t.say(alice, crate::message::ReleaseName { name });
    t.named(4, "alice");
    t.say(conn, introduce(10, 2));
    let Some(ToPeer::Introduction(introduction)) = t.heard(bob).pop() else {
        panic!("an introduction");
    };
    assert_eq!(introduction.name, None);
}

#[test]
fn a_key_without_a_name_may_take_its_first_one_while_it_only_dials() {
    let mut t = Bench::open();
    let (alice, thief) = (t.connect(1), t.connect(2));
    let got = signed_in_as(&mut t, alice, named("alice", false));
    assert_eq!(got.as_deref(), Some("alice"));
    let answer = t.ask(thief, named("alice", true));
    assert_eq!(answer, failed(FailReason::NameTaken));
}

#[test]
fn each_session_of_a_key_has_its_own_lease() {
    let mut t = Bench::open();
    let (up, dialing) = (t.sign_in(1), t.dialing(1));
    t.advance(Duration::from_secs(20));
    t.sut.handle_alive(up, t.now);
    t.advance(Duration::from_secs(10));
    assert_eq!(t.why_closed(dialing), Some(CloseReason::LeaseExpired));
    assert_eq!(t.why_closed(up), None);
    assert_eq!((t.sut.online(), t.sut.dialing()), (1, 0));
}

#[test]
fn nobody_is_introduced_to_a_session_of_the_same_key() {
    let mut t = Bench::open();
    let (up, dialing) = (t.sign_in(1), t.dialing(1));
    for conn in [up, dialing] {
        let answer = t.ask(conn, introduce(9, 1));
        assert_eq!(answer, refused(9, RefuseReason::BadRequest));
    }
    assert_eq!((t.heard(up), t.sut.sessions()), (vec![], 0));
}

#[test]
fn the_list_shows_the_sessions_of_those_that_only_dial() {
    let mut t = Bench::open();
    let (bob, conn) = (t.sign_in(2), t.dialing(1));
    t.say(conn, introduce(9, 2));
    t.say(bob, accept(9));
    t.heard(conn);
    let page = page(&mut t, conn);
    let listed: Vec<_> = page.peers.iter().map(|info| info.peer).collect();
    assert_eq!(listed, [peer(2)]);
    assert_eq!((page.sessions[0].a, page.sessions[0].b), (peer(1), peer(2)));
}

#[test]
fn a_reachable_peer_that_reconnects_goes_on_with_its_sessions() {
    let (mut t, a, b) = Bench::introduced();
    let (a2, b2) = (t.sign_in(1), t.sign_in(2));
    assert_eq!(t.why_closed(a), Some(CloseReason::Replaced));
    assert_eq!(t.why_closed(b), Some(CloseReason::Replaced));
    t.say(a2, more("10.7.7.7:7"));
    assert_eq!(t.heard(b2), [more("10.7.7.7:7").into()]);
    t.say(b2, more("10.8.8.8:8"));
    assert_eq!(t.heard(a2), [more("10.8.8.8:8").into()]);
    let (id, path) = (session(9), PathKind::Direct);
    t.say(a2, PathReport { session: id, path });
    assert_eq!(page(&mut t, b2).sessions[0].path, PathKind::Direct);
    t.say(a2, CloseSession { session: id });
    assert_eq!(t.heard(b2), [session_closed(9)]);
    assert_eq!(t.sut.sessions(), 0);
}

#[test]
fn a_dialing_peer_that_reconnects_is_told_where_it_is_now() {
    let mut t = Bench::open();
    let (up, bob) = (t.sign_in(1), t.sign_in(2));
    let old = t.dialing(1);
    t.say(old, introduce(9, 2));
    t.say(bob, accept(9));
    let new = t.dialing(1);
    t.heard(old);
    // The connection before has not timed out; having spoken makes the newer one count.
    t.say(new, more("10.7.7.7:7"));
    t.say(old, more("10.7.7.7:6"));
    t.heard(bob);
    t.say(bob, more("10.8.8.8:8"));
    assert_eq!(t.heard(new), [more("10.8.8.8:8").into()]);
    assert_eq!((t.heard(old), t.heard(up)), (vec![], vec![]));
}

#[test]
fn a_dialing_peer_that_is_lost_and_back_need_not_speak_first() {
    let mut t = Bench::open();
    let (up, bob) = (t.sign_in(1), t.sign_in(2));
    let old = t.dialing(1);
    t.say(old, introduce(9, 2));
    t.say(bob, accept(9));
    t.heard(old);
    t.sut.disconnected(old, CloseReason::Lost);
    let new = t.dialing(1);
    t.say(bob, more("10.8.8.8:8"));
    assert_eq!(t.heard(new), [more("10.8.8.8:8").into()]);
    assert_eq!(t.heard(up), []);
}

#[test]
fn a_dialing_session_that_leaves_takes_only_its_own_questions_back() {
    let mut t = Bench::open();
    let bob = t.sign_in(2);
    let (gone, stays) = (t.dialing(1), t.dialing(1));
    t.say(gone, introduce(8, 2));
    t.say(stays, introduce(9, 2));
    t.heard(bob);
    t.say(gone, SignOut {});
    assert_eq!(t.heard(bob), [session_closed(8)]);
    t.heard(stays);
    t.say(bob, accept(9));
    assert!(matches!(t.heard(stays)[..], [ToPeer::Accepted(_)]));
}

#[test]
fn a_question_survives_the_dialers_reconnect() {
    let mut t = Bench::open();
    let (old, bob) = (t.sign_in(1), t.sign_in(2));
    t.say(old, introduce(9, 2));
    let new = t.sign_in(1);
    t.say(bob, accept(9));
    assert!(matches!(t.heard(new)[..], [ToPeer::Accepted(_)]));
    // Handed over for good: the new connection's end is the end of its questions.
    t.say(new, introduce(10, 2));
    let newest = t.sign_in(1);
    t.heard(bob);
    t.sut.disconnected(newest, CloseReason::Lost);
    t.drain();
    assert_eq!(t.heard(bob), [session_closed(10)]);
}

#[test]
fn a_connection_may_change_what_it_is() {
    let mut t = Bench::open();
    let watcher = t.sign_in(3);
    t.say(watcher, Watch { peer: peer(1) });
    let (old, conn) = (t.sign_in_quietly(1), t.dialing(1));
    t.heard(watcher);
    assert!(matches!(t.ask(conn, sign_in()), ToPeer::SignedIn(_)));
    assert_eq!(t.why_closed(old), Some(CloseReason::Replaced));
    assert_eq!((t.sut.online(), t.sut.dialing()), (2, 0));
    // Told again: what the watcher has with the old session may be dead.
    let anew = Presence {
        peer: peer(1),
        online: true,
    };
    assert_eq!(t.heard(watcher), [anew.into()]);
    assert!(matches!(t.ask(conn, dial_only()), ToPeer::SignedIn(_)));
    assert_eq!((t.sut.online(), t.sut.dialing()), (1, 1));
    let peer = peer(1);
    let left = Presence {
        peer,
        online: false,
    };
    assert_eq!(t.heard(watcher), [left.into()]);
    assert_eq!(t.sut.observed.len(), 1);
}

#[test]
fn the_relay_hears_where_every_session_of_a_key_is() {
    let mut t = Bench::open();
    t.sign_in(1);
    t.relay.clear();
    let conn = t.connect(1);
    t.say(conn, dial_only());
    t.sut.handle_moved(conn, seen(77));
    t.say(conn, SignOut {});
    let control = control(1, conn);
    let at = |address| relay::Command::ControlAt { control, address };
    let gone = relay::Command::ControlGone { control };
    assert_eq!(t.relay, [at(seen(1)), at(seen(77)), gone]);
}
