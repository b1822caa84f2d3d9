//! The interactive shell: as a script drives it, and as a person sees it on a terminal.

use crate::support::terminal::Terminal;
use crate::support::{Host, Process, Server};

#[test]
fn parity_a_a_script_runs_its_commands_in_order() {
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
fn parity_a_each_side_that_is_not_signed_in_is_named() {
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
fn parity_a_after_logout_others_do_not_see_us_and_after_login_they_do() {
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
fn parity_d_two_conversations_at_once_and_punch_chooses() {
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
fn parity_d_an_incoming_line_does_not_break_a_half_typed_one() {
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
    // With the mark that it has arrived.
    terminal.wait_line("bob> half a line ✓");
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
fn parity_d_a_shell_that_asks_takes_the_answer_for_the_peer_it_names() {
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

/// A shell that a script drives.
fn shell(host: &Host) -> Process {
    let mut shell = Process::spawn(host.command(&["shell"]));
    shell.wait_line(|line| line.starts_with("help lists"));
    shell
}

#[test]
fn parity_d_a_request_is_asked_and_answered_and_an_answer_belongs_to_one_request() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (mut asking, mut asked) = (shell(&alice), shell(&bob));
    let asks = "alice wants to talk: accept alice, or deny alice";
    asking.type_line("chat request bob");
    asking.wait_line(|line| line.starts_with("Asked bob"));
    asked.wait_line(|line| line == asks);
    asked.type_line("chat deny alice");
    asking.wait_line(|line| line == "bob does not want to talk now.");
    // The answer is used up.
    asked.type_line("chat accept alice");
    asked.wait_line(|line| line == "error: alice is not waiting for an answer");
    asking.type_line("chat request bob");
    asked.wait_line(|line| line == asks);
    asked.type_line("chat accept alice");
    asking.wait_line(|line| line.starts_with("bob connected"));
    asking.type_line("thank you");
    asked.wait_line(|line| line == "alice: thank you");
    asked.type_line("welcome");
    asking.wait_line(|line| line == "bob: welcome");
}

#[test]
fn parity_d_who_is_connected_is_listed_and_disconnected_by_name() {
    let server = Server::start();
    let (alice, bob, carol) = (
        server.host("alice"),
        server.host("bob"),
        server.host("carol"),
    );
    let (mut bob, mut carol) = (shell(&bob), shell(&carol));
    let mut alice = shell(&alice);
    alice.type_line("list connected");
    alice.wait_line(|line| line == "You are talking to nobody.");
    for (name, other) in [("bob", &mut bob), ("carol", &mut carol)] {
        alice.type_line(&format!("punch {name}"));
        alice.wait_line(|line| line.starts_with(&format!("{name} connected")));
        other.wait_line(|line| line.starts_with("alice connected"));
    }
    alice.type_line("chat message bob not to carol");
    bob.wait_line(|line| line == "alice: not to carol");
    alice.type_line("to carol");
    carol.wait_line(|line| line == "alice: to carol");
    alice.type_line("list connected");
    alice.wait_line(|line| line.starts_with("bob ") && line.contains("together"));
    alice.wait_line(|line| line.starts_with("carol ") && line.contains("together"));
    alice.type_line("disconnect bob");
    alice.wait_line(|line| line == "Left bob.");
    bob.wait_line(|line| line == "alice left: said goodbye.");
    alice.type_line("disconnect bob");
    alice.wait_line(|line| line == "error: you are not talking to bob");
    alice.type_line("still here");
    carol.wait_line(|line| line == "alice: still here");
}

#[test]
fn parity_d_who_ask_each_other_at_once_get_one_conversation() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (mut alice, mut bob) = (shell(&alice), shell(&bob));
    alice.type_line("chat request bob");
    bob.type_line("chat request alice");
    // Nobody has to answer: whoever asks has answered.
    alice.wait_line(|line| line.starts_with("bob connected"));
    bob.wait_line(|line| line.starts_with("alice connected"));
    alice.type_line("from alice");
    bob.wait_line(|line| line == "alice: from alice");
    bob.type_line("from bob");
    alice.wait_line(|line| line == "bob: from bob");
}

#[test]
fn parity_d_what_is_said_while_requests_cross_arrives() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (mut alice, mut bob) = (shell(&alice), shell(&bob));
    alice.type_line("chat request bob\nfrom alice");
    bob.type_line("chat request alice\nfrom bob");
    alice.wait_line(|line| line == "bob: from bob");
    bob.wait_line(|line| line == "alice: from alice");
}

#[test]
fn a_conversation_goes_on_with_a_shell_that_was_killed_and_started_again() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut talking = shell(&alice);
    let mut killed = shell(&bob);
    talking.type_line("punch bob");
    talking.type_line("one");
    killed.wait_line(|line| line == "alice: one");
    drop(killed);
    talking.type_line("two");
    let mut again = shell(&bob);
    again.wait_line(|line| line == "alice: two");
    again.type_line("three");
    talking.wait_line(|line| line == "bob: three");
}

#[test]
fn parity_a_punch_takes_an_address_from_the_list() {
    let server = Server::start_with(&["--tell-addresses"]);
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut up = bob.up(&[]);
    let listed = alice.json(&["list"]);
    let seen = listed[0]["address"].as_str().unwrap();
    let script = format!("punch {seen}\nhello\n");
    let done = alice.run(&["shell"]).write_stdin(script).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("bob connected"), "{text}");
    assert_eq!(up.wait_event("message")["text"], "hello");
}

#[test]
fn everything_looks_right_in_80_columns() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut other = shell(&bob);
    let mut terminal = Terminal::run_wide(alice.command(&["shell"]), 80);
    terminal.wait_last(">");
    terminal.press("help\r");
    terminal.wait_line("A line that begins with a blank is always sent: ' list' says \"list\".");
    terminal.wait_last(">");
    terminal.press("punch bob\r");
    terminal.wait_last("bob>");
    terminal.wait("connected", |lines| {
        lines.iter().any(|line| line.starts_with("bob connected"))
    });
    terminal.press("hello\r");
    other.wait_line(|line| line == "alice: hello");
    terminal.wait_line("bob> hello ✓");
    // A line that takes two rows, typed while one of two rows comes in.
    let long = "0123456789 ".repeat(9);
    let long = long.trim_end();
    terminal.press(long);
    terminal.wait("two rows", |lines| {
        lines
            .last()
            .is_some_and(|line| line.ends_with("0123456789"))
    });
    other.type_line(long);
    let first = format!("bob: {}", &long[..75]);
    terminal.wait_line(&first);
    let rest = long[75..].to_owned();
    terminal.wait("the rest of both", |lines| {
        let ends = lines.iter().filter(|line| line.trim_end() == rest);
        ends.count() == 2 && lines.last().is_some_and(|line| line.trim_end() == rest)
    });
    terminal.press("\r");
    other.wait_line(|line| line == format!("alice: {long}"));
    // Too long for a mark at its end.
    terminal.wait_line("  ✓ arrived");
    terminal.wait_last("bob>");
}
