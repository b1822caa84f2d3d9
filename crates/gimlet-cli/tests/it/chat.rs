//! Conversations between two that both speak.

use crate::support::{Process, Server};

#[test]
fn both_sides_hear_each_other() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut bob_shell = Process::spawn(bob.command(&["shell"]));
    bob_shell.wait_line(|line| line.starts_with("help lists"));
    let mut chat = Process::spawn(alice.command(&["chat", "bob"]));
    chat.type_line("hello");
    bob_shell.wait_line(|line| line == "alice: hello");
    bob_shell.type_line("hello yourself");
    chat.wait_line(|line| line == "bob: hello yourself");
    chat.end_input();
    assert!(chat.wait_exit().success());
    bob_shell.wait_line(|line| line.starts_with("alice left"));
}

#[test]
fn a_peer_that_leaves_ends_the_chat() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut bob_shell = Process::spawn(bob.command(&["shell"]));
    bob_shell.wait_line(|line| line.starts_with("help lists"));
    let mut chat = Process::spawn(alice.command(&["chat", "bob", "--json"]));
    chat.type_line("hello");
    bob_shell.wait_line(|line| line == "alice: hello");
    bob_shell.type_line("list is a command");
    bob_shell.wait_line(|line| line.contains("usage: list"));
    bob_shell.type_line(" list is a command");
    assert_eq!(chat.wait_event("message")["text"], "list is a command");
    bob_shell.type_line("exit");
    assert!(bob_shell.wait_exit().success());
    assert!(chat.wait_exit().success());
}

#[test]
fn a_conversation_that_cannot_go_direct_works_over_the_relay() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&["--relay-only"]);
    let chatted = alice
        .run(&["chat", "bob"])
        .write_stdin("over the relay\n")
        .assert();
    chatted.success();
    assert_eq!(up.wait_event("connected")["path"], "relay");
    assert_eq!(up.wait_event("message")["text"], "over the relay");
}
