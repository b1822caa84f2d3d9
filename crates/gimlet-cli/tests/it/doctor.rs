//! The doctor on loopback: its words, its objects and its exit status.

use std::net::UdpSocket;

use assert_cmd::assert::Assert;
use serde_json::Value;

use crate::support::{Server, assert_keys, objects, once};

fn lines(done: &Assert) -> Vec<Value> {
    let lines = objects(&done.get_output().stdout);
    for line in &lines {
        assert_keys(line, &["stage", "ok", "found", "advice", "details"]);
        assert!(line["ok"] == true || line["advice"].is_string() || line["stage"] == "verdict");
    }
    lines
}

/// The stages that were looked at, without the verdict at the end.
fn stages(lines: &[Value]) -> Vec<&str> {
    let stages = lines.iter().map(|line| line["stage"].as_str().unwrap());
    stages.filter(|stage| *stage != "verdict").collect()
}

fn verdict(lines: &[Value]) -> (&str, Option<&str>) {
    let last = lines.last().unwrap();
    assert_eq!(last["stage"], "verdict");
    let details = &last["details"];
    (
        details["verdict"].as_str().unwrap(),
        details["failed_stage"].as_str(),
    )
}

#[test]
fn this_side_alone_is_fine_and_so_is_a_direct_session() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&[]);
    let alone = alice.run(&["doctor", "--json"]).assert().success();
    let alone = lines(&alone);
    assert_eq!(verdict(&alone), ("fine", None));
    assert_eq!(
        stages(&alone)[..5],
        ["configuration", "network", "server", "sign-in", "clock"]
    );
    let together = alice.run(&["doctor", "bob", "--json"]).assert().success();
    let together = lines(&together);
    assert_eq!(verdict(&together), ("direct", None));
    let with_peer = [
        "peer",
        "introduction",
        "relay",
        "handshake",
        "addresses",
        "pair",
    ];
    let then = ["checks", "direct", "confirmed"];
    assert!(stages(&together).ends_with(&[&with_peer[..], &then[..]].concat()));
}

#[test]
fn people_read_lines_that_fit_their_terminal() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&[]);
    let done = alice
        .run(&["doctor", "bob", "--relay-only"])
        .assert()
        .code(1);
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(text.contains("FAIL  addresses"), "{text}");
    assert!(text.contains("-> leave out --relay-only"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "bob is connected, but only through the server: it fails at \"addresses\"."
    );
}

#[test]
fn nobody_there_ends_with_three_and_a_no_with_one() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let done = alice.run(&["doctor", &bob.id(), "--json"]).assert().code(3);
    assert_eq!(verdict(&lines(&done)), ("unreachable", Some("peer")));
    let known = bob.home.path().join("known");
    std::fs::write(&known, server.host("carol").id()).unwrap();
    let _bob_up = bob.up(&["--accept", "known", "--known", known.to_str().unwrap()]);
    let done = alice.run(&["doctor", "bob", "--json"]).assert().code(1);
    assert_eq!(verdict(&lines(&done)), ("wrong", Some("introduction")));
}

#[test]
fn a_silent_server_ends_with_three_and_a_wrong_token_with_one() {
    let server = Server::start();
    let mut alice = server.host("alice");
    let (address, _) = alice.server.rsplit_once("token=").unwrap();
    alice.server = format!("{address}token=wrong");
    let done = alice.run(&["doctor", "--json"]).assert().code(1);
    assert_eq!(verdict(&lines(&done)), ("wrong", Some("sign-in")));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = silent.local_addr().unwrap().to_string();
    alice.server = server.address.replace(&server.listen, &there);
    let done = alice.run(&["doctor", "--json"]).assert().code(3);
    let found = lines(&done);
    assert_eq!(verdict(&found), ("unreachable", Some("server")));
    let silent = found.iter().find(|line| line["stage"] == "server").unwrap();
    // The machine refuses a TCP connection, so it is there.
    assert_eq!(silent["details"]["tcp"], "there");
}

#[cfg(target_os = "linux")]
#[test]
fn a_certificate_that_is_out_of_date_fails_at_the_clock() {
    let past = rcgen::date_time_ymd(2020, 1, 1);
    let server = crate::support::WebServer::start(|certificate| {
        certificate.not_before = past - std::time::Duration::from_secs(86_400);
        certificate.not_after = past;
    });
    let args = ["doctor", "--server", &server.place, "--json"];
    let done = server.client("ca.pem", &args).assert().code(1);
    assert_eq!(verdict(&lines(&done)), ("wrong", Some("clock")));
}

#[test]
fn without_a_server_or_a_usable_key_the_configuration_fails() {
    let home = tempfile::tempdir().unwrap();
    let done = once(&home, &["doctor", "--json"]).assert().code(1);
    assert_eq!(verdict(&lines(&done)), ("wrong", Some("configuration")));
    let key = home.path().join(".config/gimlet/identity.key");
    std::fs::write(key, "not a key").unwrap();
    let done = once(&home, &["doctor", "--json"]).assert().code(1);
    let found = objects(&done.get_output().stdout);
    assert_eq!(found[0]["stage"], "configuration");
    assert_eq!(found[0]["ok"], false);
}
