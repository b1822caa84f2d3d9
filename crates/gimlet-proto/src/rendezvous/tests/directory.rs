//! Lists, finding somebody, watching.

use super::*;
use crate::message::{PAGE_LEN, Presence, Unwatch};

fn ask_who(t: &mut Bench, conn: ConnId, text: &str) -> Result<(PeerId, bool), FailReason> {
    let resolve = Resolve {
        id: 1,
        text: text.to_owned(),
    };
    match t.ask(conn, resolve) {
        ToPeer::Resolved(Resolved { peer, online, .. }) => Ok((peer, online)),
        ToPeer::Failed(Failed { reason, .. }) => Err(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_list_is_walked_page_by_page_and_shows_everybody_once() {
    let mut t = Bench::open();
    let conns: Vec<_> = (0..200).map(|n| t.sign_in(n)).collect();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let ToPeer::Page(page) = t.ask(conns[0], List { id: 1, after }) else {
            panic!("a page");
        };
        assert!(page.peers.len() <= PAGE_LEN);
        seen.extend(page.peers.iter().map(|info| info.peer));
        after = seen.last().copied();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (0..200).map(peer).collect::<Vec<_>>());
}

#[test]
fn the_list_shows_name_lease_and_sessions_but_no_address() {
    let (mut t, a, _) = Bench::introduced();
    t.advance(Duration::from_secs(10));
    let ToPeer::Page(Page {
        peers, sessions, ..
    }) = t.ask(a, List { id: 1, after: None })
    else {
        panic!("a page");
    };
    assert_eq!((peers[0].lease_s, peers[1].lease_s), (30, 20));
    assert!(peers.iter().all(|info| info.observed.is_none()));
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].a, sessions[0].b), (peer(1), peer(2)));
}

#[test]
fn people_are_found_by_name_id_and_unique_prefix() {
    let mut t = Bench::open();
    let me = t.named(1, "alice");
    t.sign_in(2);
    let id = peer(2).to_string();
    assert_eq!(ask_who(&mut t, me, "alice"), Ok((peer(1), true)));
    assert_eq!(ask_who(&mut t, me, &id), Ok((peer(2), true)));
    assert_eq!(ask_who(&mut t, me, &id[..10]), Ok((peer(2), true)));
    assert_eq!(ask_who(&mut t, me, &id[..4]), Ok((peer(2), true)));
    assert_eq!(ask_who(&mut t, me, &id[..3]), Err(FailReason::UnknownPeer));
    assert_eq!(ask_who(&mut t, me, "zzzz"), Err(FailReason::UnknownPeer));
    assert_eq!(ask_who(&mut t, me, ""), Err(FailReason::BadRequest));
    let long = "y".repeat(65);
    assert_eq!(ask_who(&mut t, me, &long), Err(FailReason::BadRequest));
    let away = peer(77).to_string();
    assert_eq!(ask_who(&mut t, me, &away), Ok((peer(77), false)));
}

#[test]
fn a_prefix_of_two_ids_is_ambiguous_and_every_length_finds_its_id() {
    let mut t = Bench::open();
    let me = t.sign_in(1);
    let mut twin = [2; 32];
    twin[31] = 99;
    let conn = ConnId(900);
    t.sut
        .connected(conn, PeerId::from_bytes(twin), seen(9), t.now);
    t.say(conn, sign_in());
    t.sign_in(2);
    let (one, two) = (peer(2).to_string(), PeerId::from_bytes(twin).to_string());
    let shared = one
        .bytes()
        .zip(two.bytes())
        .take_while(|(x, y)| x == y)
        .count();
    for length in 4..=shared {
        let found = ask_who(&mut t, me, &one[..length]);
        assert_eq!(found, Err(FailReason::Ambiguous), "{length}");
    }
    for length in shared + 1..=52 {
        let found = ask_who(&mut t, me, &one[..length]);
        assert_eq!(found, Ok((peer(2), true)), "{length}");
    }
}

#[test]
fn a_name_like_somebodys_short_id_does_not_stand_in_for_it() {
    let mut t = Bench::open();
    let me = t.sign_in(1);
    t.sign_in(2);
    let short = peer(2).short();
    t.named(3, &short);
    assert_eq!(ask_who(&mut t, me, &short), Err(FailReason::Ambiguous));
}

#[test]
fn addresses_are_found_only_where_the_server_tells_them() {
    let text = seen(2).to_string();
    let mut t = Bench::open();
    let me = t.sign_in(1);
    t.sign_in(2);
    assert_eq!(ask_who(&mut t, me, &text), Err(FailReason::UnknownPeer));

    let mut config = Config::new(Access::Open);
    config.tell_observed = true;
    let mut t = Bench::new(config);
    let me = t.sign_in(1);
    let other = t.sign_in(2);
    assert_eq!(ask_who(&mut t, me, &text), Ok((peer(2), true)));
    t.sut.handle_moved(other, seen(200));
    t.drain();
    assert_eq!(ask_who(&mut t, me, &text), Err(FailReason::UnknownPeer));
    let text = seen(200).to_string();
    assert_eq!(ask_who(&mut t, me, &text), Ok((peer(2), true)));
    t.sut.disconnected(other, CloseReason::Lost);
    assert_eq!(ask_who(&mut t, me, &text), Err(FailReason::UnknownPeer));
}

#[test]
fn watchers_hear_of_coming_and_going() {
    let mut t = Bench::open();
    let me = t.sign_in(1);
    let presence = |online| -> ToPeer {
        let peer = peer(2);
        Presence { peer, online }.into()
    };
    t.say(me, Watch { peer: peer(2) });
    assert_eq!(t.heard(me), [presence(false)]);
    let conn = t.connect(2);
    t.say(conn, sign_in());
    assert_eq!(t.heard(me), [presence(true)]);
    t.sut.disconnected(conn, CloseReason::Lost);
    t.drain();
    assert_eq!(t.heard(me), [presence(false)]);
}

#[test]
fn who_watches_no_more_hears_no_more_and_makes_room() {
    let mut t = Bench::open();
    let me = t.sign_in(1);
    let peer = peer(2);
    t.say(me, Watch { peer });
    t.say(me, Unwatch { peer });
    t.say(me, Unwatch { peer });
    t.heard(me);
    assert_eq!(t.sut.watchers.len(), 0);
    t.sign_in_quietly(2);
    assert_eq!(t.heard(me), []);
}

#[test]
fn watching_is_bounded_and_ends_with_the_session() {
    let mut t = Bench::open();
    let me = t.sign_in(1);
    for n in 0..1000u16 {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&n.to_be_bytes());
        let peer = PeerId::from_bytes(key);
        t.say(me, Watch { peer });
        t.advance(Duration::from_millis(20));
    }
    assert_eq!(
        t.sut.watchers.len(),
        crate::rendezvous::directory::MAX_WATCHED
    );
    t.sut.disconnected(me, CloseReason::Lost);
    assert_eq!(t.sut.watchers.len(), 0);
}
