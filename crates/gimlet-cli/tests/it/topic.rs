//! Publish/subscribe and presence by the commands, as scripts and people use them.

use crate::support::terminal::Terminal;
use crate::support::{Host, Process, Server, assert_keys, objects};

/// A subscriber that has connected.
fn subscribe(host: &Host, args: &[&str]) -> Process {
    let mut process = Process::spawn(host.command(&[&["subscribe", "--json"], args].concat()));
    process.wait_event("connected");
    process
}

/// A publisher that reads lines.
fn publish(host: &Host, args: &[&str]) -> Process {
    let mut process = Process::spawn(host.command(&[&["publish", "--json"], args].concat()));
    process.wait_event("ready");
    process
}

#[test]
fn parity_b_publish_reaches_every_subscriber_over_its_best_path() {
    let server = Server::start();
    let (alice, bob, carol) = (
        server.host("alice"),
        server.host("bob"),
        server.host("carol"),
    );
    let mut publisher = publish(&alice, &["--stay", "0"]);
    let mut subscribers = [subscribe(&bob, &["alice"]), subscribe(&carol, &["alice"])];
    publisher.wait_event("subscribed");
    publisher.wait_event("subscribed");
    for subscriber in &mut subscribers {
        // At once, or after the relay.
        subscriber.find_line(|line| line.contains(r#""path":"direct""#));
    }
    publisher.type_line("one");
    publisher.type_line("zwei é");
    for subscriber in &mut subscribers {
        let one = subscriber.wait_event("message");
        assert_keys(
            &one,
            &["event", "peer", "topic", "seq", "text", "published_ms"],
        );
        assert_eq!((&one["seq"], &one["text"]), (&1.into(), &"one".into()));
        assert_eq!(
            (&one["peer"], &one["topic"]),
            (&alice.id().into(), &"main".into())
        );
        assert_eq!(subscriber.wait_event("message")["text"], "zwei é");
    }
    publisher.end_input();
    let done = publisher.wait_event("done");
    assert_eq!((&done["messages"], &done["behind"]), (&2.into(), &0.into()));
    assert!(publisher.wait_exit().success());
    for mut subscriber in subscribers {
        subscriber.wait_event("disconnected");
        subscriber.terminate();
        assert!(subscriber.wait_exit().success());
    }
}

#[test]
fn parity_b_offline_subscribers_get_it_when_they_come_back() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let place = bob.home.path().join("place");
    let place = place.to_str().unwrap();
    let state = alice.home.path().join("state");
    let publishing = ["publish", "--state", state.to_str().unwrap()];
    let subscribing = ["alice", "--position", place, "-n", "1"];
    let once = |text: &str| {
        let mut subscriber =
            Process::spawn(bob.command(&[&["subscribe"], &subscribing[..]].concat()));
        // Both the publisher and the subscriber come and go.
        let mut publisher =
            Process::spawn(alice.command(&[&publishing[..], &["--stay", "20s", text]].concat()));
        subscriber.wait_line(|line| line == text);
        assert!(subscriber.wait_exit().success());
        publisher.terminate();
        publisher.wait_exit();
    };
    // Known to the server by name.
    alice.come_and_go();
    once("first");
    // Published while the subscriber is away, by a publisher that has gone again.
    alice
        .run(&[&publishing[..], &["--stay", "0", "second", "third"]].concat())
        .assert()
        .success();
    let mut publisher = publish(&alice, &["--state", state.to_str().unwrap()]);
    let mut all = subscribe(&bob, &["alice", "--position", place]);
    for (seq, text) in [(2, "second"), (3, "third")] {
        let message = all.wait_event("message");
        assert_eq!(
            (&message["seq"], &message["text"]),
            (&seq.into(), &text.into())
        );
    }
    publisher.type_line("fourth");
    assert_eq!(all.wait_event("message")["text"], "fourth");
}

#[test]
fn parity_b_a_subscription_is_restored_after_a_restart_of_the_server_and_of_the_publisher() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut publisher = publish(&alice, &[]);
    let mut subscriber = subscribe(&bob, &["alice"]);
    publisher.type_line("before");
    assert_eq!(subscriber.wait_event("message")["text"], "before");
    // Killed: no goodbye is heard, and the server learns of it by the next sign-in.
    drop(publisher);
    let mut publisher = publish(&alice, &[]);
    publisher.type_line("after");
    assert_eq!(subscriber.wait_event("message")["text"], "after");
    let _server = server.restart(|| ());
    publisher.type_line("and again");
    assert_eq!(subscriber.wait_event("message")["text"], "and again");
}

#[test]
fn what_is_no_text_is_base64_and_a_file_is_one_message() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let file = alice.home.path().join("file");
    std::fs::write(&file, [0xff, 0xfe, b'\n', 0]).unwrap();
    let file = file.to_str().unwrap();
    let _publisher = publish(&alice, &["--topic", "raw", "--file", file, "--stay", "1h"]);
    let args = ["subscribe", "alice", "--topic", "raw", "-n", "1"];
    let json = bob.json(&args);
    let message = json.last().unwrap();
    assert_eq!(message["base64"], "//4KAA==");
    assert_eq!(message["topic"], "raw");
    let plain = bob.run(&args).assert().success();
    assert_eq!(plain.get_output().stdout, [0xff, 0xfe, b'\n', 0, b'\n']);
}

#[test]
fn topics_do_not_mix_and_new_leaves_out_what_was_kept() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut publisher = publish(&alice, &["--topic", "a"]);
    publisher.type_line("old");
    publisher.wait_event("published");
    let mut other = subscribe(&bob, &["alice", "--topic", "b"]);
    let mut new = subscribe(&bob, &["alice", "--topic", "a", "--new"]);
    publisher.wait_json(|event| event["event"] == "subscribed" && event["topic"] == "a");
    publisher.type_line("new");
    assert_eq!(new.wait_event("message")["text"], "new");
    other.terminate();
    other.wait_exit();
    assert!(!other.seen().iter().any(|line| line.contains("message")));
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    let server = Server::start();
    let alice = server.host("alice");
    let line = "x".repeat((1 << 20) + 1);
    let done = alice.run(&["publish"]).write_stdin(line).assert().code(1);
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(
        said.contains("too long") && said.contains("gimlet send"),
        "{said}"
    );
}

#[test]
fn parity_b_alive_says_whether_a_device_is_there() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    alice.come_and_go();
    let away = bob.run(&["alive", "alice", "--json"]).assert().code(3);
    let away = &objects(&away.get_output().stdout)[0];
    assert_keys(away, &["peer", "alive"]);
    assert_eq!(away["alive"], false);
    let mut watch = Process::spawn(bob.command(&["alive", "alice", "--watch"]));
    watch.wait_line(|line| line == "alice is not online.");
    let mut up = alice.up(&[]);
    watch.wait_line(|line| line == "alice is online.");
    assert_eq!(bob.json(&["alive", "alice"])[0]["alive"], true);
    up.terminate();
    assert!(up.wait_exit().success());
    watch.wait_line(|line| line == "alice is not online.");
    watch.terminate();
    assert!(watch.wait_exit().success());
    bob.run(&["alive", "nobody"]).assert().code(3);
}

#[test]
fn messages_look_right_on_a_terminal_of_80_columns() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut publisher = Terminal::run_wide(alice.command(&["publish"]), 80);
    publisher.wait_line("Publishing; on the other side: gimlet subscribe alice");
    let mut subscriber = Terminal::run_wide(bob.command(&["subscribe", "alice"]), 80);
    subscriber.wait("connected", |lines| {
        lines
            .iter()
            .any(|line| line.starts_with("Connected to alice, "))
    });
    publisher.press("steer \u{1b}[2J this\r");
    // What would have cleared the screen is shown instead.
    subscriber.wait_line("steer \u{fffd}[2J this");
    publisher.wait("who listens", |lines| {
        lines.iter().any(|line| line.ends_with("hears main."))
    });
}
