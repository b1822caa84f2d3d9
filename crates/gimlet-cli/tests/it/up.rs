//! A peer that stays signed in.

use crate::support::{Process, Server, assert_keys};

#[test]
fn ready_says_who_and_where() {
    let server = Server::start();
    let bob = server.host("bob");
    let mut up = Process::spawn(bob.command(&["up", "--json"]));
    let ready = up.wait_event("ready");
    assert_keys(
        &ready,
        &[
            "event",
            "peer",
            "name",
            "observed",
            "transport",
            "sign_in_ms",
        ],
    );
    assert_eq!(ready["peer"], bob.id());
    assert_eq!(ready["name"], "bob");
}

#[test]
fn lines_of_a_chat_are_shown_even_without_echo() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&[]);
    alice
        .run(&["chat", "bob"])
        .write_stdin("hello\nsecond \u{1b}[2J\n")
        .assert()
        .success();
    let connected = up.wait_event("connected");
    assert_keys(&connected, &["event", "peer", "protocol", "path"]);
    assert_eq!(connected["protocol"], "gimlet/chat/2");
    let message = up.wait_event("message");
    assert_keys(&message, &["event", "peer", "text"]);
    assert_eq!(message["peer"], alice.id());
    assert_eq!(message["text"], "hello");
    assert_eq!(up.wait_event("message")["text"], "second \u{1b}[2J");
    let closed = up.wait_event("closed");
    assert_keys(&closed, &["event", "peer", "reason"]);
}

#[test]
fn people_read_names_and_no_escapes() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = Process::spawn(bob.command(&["up"]));
    up.wait_line(|line| line.starts_with("Signed in as bob"));
    alice
        .run(&["chat", "bob"])
        .write_stdin("hi\u{1b}[2J\n")
        .assert()
        .success();
    assert_eq!(
        up.wait_line(|line| line.starts_with("alice:")),
        "alice: hi\u{fffd}[2J"
    );
}

#[test]
fn a_second_program_with_the_same_key_takes_over_and_the_first_says_so() {
    let server = Server::start();
    let bob = server.host("bob");
    let mut first = bob.up(&[]);
    let _second = bob.up(&[]);
    let signed_out = first.wait_event("signed_out");
    assert_keys(&signed_out, &["event", "reason", "retrying"]);
    assert_eq!(signed_out["retrying"], false);
    assert_eq!(first.wait_exit().code(), Some(1));
}

#[test]
fn commands_that_only_dial_leave_it_signed_in() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&["--echo"]);
    bob.json(&["list"]);
    bob.run(&["ping", "nobody"]).assert().code(3);
    assert_eq!(alice.json(&["punch", "bob"])[0]["path"], "direct");
    up.wait_event("connected");
    let seen = up.seen().join("\n");
    assert!(!seen.contains("signed_out"), "{seen}");
}

#[cfg(unix)]
#[test]
fn signing_out_is_seen_by_others_at_once() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&[]);
    up.terminate();
    assert!(up.wait_exit().success());
    let listed = alice.json(&["list"]);
    assert!(
        listed.iter().all(|entry| entry["name"] != "bob"),
        "{listed:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_server_that_restarts_finds_its_peers_again_and_sessions_go_on() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&["--echo"]);
    let mut chat = Process::spawn(alice.command(&["chat", "bob"]));
    // At once, or after a moment on the relay.
    up.wait_json(|event| event["path"] == "direct");
    chat.type_line("before");
    assert_eq!(up.wait_event("message")["text"], "before");
    let mut chatted = false;
    let server = server.restart(|| {
        up.wait_event("signed_out");
        chat.type_line("meanwhile");
        assert_eq!(up.wait_event("message")["text"], "meanwhile");
        chatted = true;
    });
    assert!(chatted);
    let signed_in = up.wait_event("signed_in");
    assert_keys(&signed_in, &["event", "observed", "transport"]);
    chat.type_line("after");
    assert_eq!(up.wait_event("message")["text"], "after");
    // The address of before still holds: same key, same port.
    assert_eq!(server.address, alice.server);
    let carol = server.host("carol");
    assert_eq!(carol.json(&["punch", "bob"])[0]["path"], "direct");
}
