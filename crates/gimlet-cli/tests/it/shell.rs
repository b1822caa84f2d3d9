//! The interactive shell: as a script drives it, and as a person sees it on a terminal.

use crate::support::terminal::Terminal;
use crate::support::{Process, Server};

#[test]
fn a_script_runs_its_commands_in_order() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&[]);
    let script = "help\nwhoami\nlist\nhello?\npunch bob\nhello\n list\nleave\nexit\n";
    let done = alice.run(&["shell"]).write_stdin(script).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    for part in [
        "Signed in as alice",
        "punch PEER",
        &alice.id(),
        "lease",
        "there is nobody to talk to yet",
        "bob connected",
        "Left bob.",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert_eq!(up.wait_event("message")["text"], "hello");
    assert_eq!(up.wait_event("message")["text"], "list");
}

#[test]
fn the_end_of_a_script_loses_nothing_said() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&[]);
    let lines: String = (0..200).map(|number| format!("line {number}\n")).collect();
    let script = format!("punch bob\n{lines}");
    alice.run(&["shell"]).write_stdin(script).assert().success();
    up.wait_json(|event| event["text"] == "line 199");
}

#[test]
fn each_side_that_is_not_signed_in_is_named() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    bob.come_and_go();
    let script = "punch bob\nlogout\nlogout\nlist\npunch bob\nlogin\nlist\n";
    let done = alice.run(&["shell"]).write_stdin(script).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("bob: the peer is not signed in"), "{text}");
    assert_eq!(text.matches("you are not signed in").count(), 3, "{text}");
    assert!(text.contains("hint: login signs in"), "{text}");
    assert!(text.contains("Signed in again"), "{text}");
    let (_, last) = text.rsplit_once("Signed in again").unwrap();
    assert!(last.contains("alice"), "{text}");
}

#[test]
fn after_logout_others_do_not_see_us_and_after_login_they_do() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut shell = Process::spawn(alice.command(&["shell"]));
    shell.wait_line(|line| line.starts_with("help lists"));
    let is_listed = || {
        bob.json(&["list"])
            .iter()
            .any(|entry| entry["name"] == "alice")
    };
    assert!(is_listed());
    shell.type_line("logout");
    shell.wait_line(|line| line.starts_with("Signed out"));
    assert!(!is_listed());
    shell.type_line("login");
    shell.wait_line(|line| line.starts_with("Signed in again"));
    assert!(is_listed());
    assert_eq!(bob.json(&["punch", "alice"])[0]["path"], "direct");
}

#[test]
fn two_conversations_at_once_and_punch_chooses() {
    let server = Server::start();
    let (alice, bob, carol) = (
        server.host("alice"),
        server.host("bob"),
        server.host("carol"),
    );
    let (mut bob_up, mut carol_up) = (bob.up(&[]), carol.up(&[]));
    let script = "punch bob\none\npunch carol\ntwo\npunch bob\nthree\nleave\nfour\n";
    let done = alice.run(&["shell"]).write_stdin(script).assert().success();
    assert_eq!(bob_up.wait_event("message")["text"], "one");
    assert_eq!(carol_up.wait_event("message")["text"], "two");
    assert_eq!(bob_up.wait_event("message")["text"], "three");
    // "four" went to nobody: carol was not chosen again.
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("there is nobody to talk to yet"), "{text}");
    carol_up.wait_event("closed");
    assert!(!carol_up.seen().iter().any(|line| line.contains("four")));
}

#[test]
fn an_incoming_line_does_not_break_a_half_typed_one() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut other = Process::spawn(bob.command(&["shell"]));
    other.wait_line(|line| line.starts_with("help lists"));
    let mut terminal = Terminal::run(alice.command(&["shell"]));
    terminal.wait_last(">");
    terminal.press("punch bob\r");
    terminal.wait_last("bob>");
    terminal.press("half a li");
    terminal.wait_last("bob> half a li");
    other.wait_line(|line| line.starts_with("alice connected"));
    other.type_line("I interrupt");
    terminal.wait_line("bob: I interrupt");
    terminal.wait_last("bob> half a li");
    terminal.press("ne\r");
    other.wait_line(|line| line == "alice: half a line");
    terminal.wait_line("bob> half a line");
    terminal.wait_last("bob>");
    // Ctrl-D leaves.
    terminal.press("\u{4}");
    assert!(terminal.wait_exit().success());
}

#[test]
fn a_terminal_is_asked_and_the_answer_belongs_to_the_request() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut terminal = Terminal::run(bob.command(&["up", "--accept", "ask", "--echo"]));
    terminal.wait("sign-in", |lines| {
        lines
            .iter()
            .any(|line| line.starts_with("Signed in as bob"))
    });
    let mut ping = Process::spawn(alice.command(&["ping", "bob", "-c", "1"]));
    let asks = "alice wants to connect. Accept? [y/N]";
    terminal.wait_last(asks);
    terminal.press("n\r");
    assert_eq!(ping.wait_exit().code(), Some(1));
    let mut ping = Process::spawn(alice.command(&["ping", "bob", "-c", "1"]));
    terminal.wait("second question", |lines| {
        let questions = lines.iter().filter(|line| line.starts_with(asks));
        questions.count() == 2
    });
    terminal.press("y\r");
    assert!(ping.wait_exit().success());
}

#[test]
fn the_terminal_is_as_before_when_a_chat_ends_in_the_middle_of_a_line() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut other = Process::spawn(bob.command(&["shell"]));
    other.wait_line(|line| line.starts_with("help lists"));
    let mut terminal = Terminal::run(alice.command(&["chat", "bob"]));
    terminal.wait_last(">");
    terminal.press("half");
    terminal.wait_last("> half");
    assert!(terminal.modes() != terminal.modes_before);
    other.wait_line(|line| line.starts_with("alice connected"));
    other.type_line("exit");
    assert!(terminal.wait_exit().success());
    assert!(terminal.modes() == terminal.modes_before);
}

#[test]
fn a_shell_that_asks_takes_the_answer_for_the_peer_it_names() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut terminal = Terminal::run(bob.command(&["shell", "--accept", "ask"]));
    terminal.wait_last(">");
    let mut chat = Process::spawn(alice.command(&["chat", "bob", "--json"]));
    terminal.wait_line("alice wants to talk: accept alice, or deny alice");
    terminal.press("accept carol\r");
    terminal.wait_line("error: carol is not waiting for an answer");
    terminal.press("accept alice\r");
    chat.type_line("thank you");
    terminal.wait_line("alice: thank you");
    // Who came first is who is talked to.
    terminal.press("welcome\r");
    assert_eq!(chat.wait_event("message")["text"], "welcome");
    let mut again = Process::spawn(alice.command(&["chat", "bob"]));
    terminal.wait("second request", |lines| {
        let asked = |line: &&String| line.starts_with("alice wants to talk");
        lines.iter().filter(asked).count() == 2
    });
    terminal.press("deny alice\r");
    assert_eq!(again.wait_exit().code(), Some(1));
}
