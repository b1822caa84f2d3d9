//! Peers and servers that are away, and come back.

use super::web::Nginx;
use super::{expose, get, listen};
use crate::support::{Process, Server};

#[test]
#[cfg(unix)]
fn a_forward_goes_on_by_itself_when_the_peer_was_killed_and_is_back() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let nginx = Nginx::start();
    nginx.page("x", 1);
    let mut expose_once = expose(&bob, &["web", &nginx.place()]);
    let (mut forward, place) = listen(&alice, &["forward", "0", "bob/web"]);
    assert_eq!(get(&place, "x").len(), 1);
    expose_once.kill();
    let _expose = expose(&bob, &["web", &nginx.place()]);
    // Nobody has to try in vain for it to be noticed.
    forward.wait_event("away");
    forward.wait_event("connected");
    assert_eq!(get(&place, "x").len(), 1);
}

#[test]
fn a_forward_listens_while_no_server_answers_and_works_once_one_does() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let nginx = Nginx::start();
    nginx.page("x", 1);
    expose(&bob, &["web", &nginx.place()]).terminate();
    let mut forward = None;
    let _server = server.restart(|| {
        let mut process = Process::spawn(alice.command(&["forward", "--json", "0", "bob/web"]));
        let ready = process.wait_event("ready");
        assert!(ready["peer"].is_null(), "{ready}");
        assert_eq!(ready["service"], "web");
        forward = Some((process, ready["listen"].as_str().unwrap().to_owned()));
    });
    let (mut forward, place) = forward.unwrap();
    let _expose = expose(&bob, &["web", &nginx.place()]);
    let connected = forward.wait_event("connected");
    assert_eq!(connected["peer"], bob.id());
    assert_eq!(get(&place, "x").len(), 1);
}

#[test]
fn a_forward_to_nobody_still_fails_at_once() {
    let server = Server::start();
    let mut alice = server.host("alice").run(&["forward", "0", "nobody/web"]);
    alice.assert().code(3);
}
