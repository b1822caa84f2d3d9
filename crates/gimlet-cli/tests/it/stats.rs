//! Statistics: what the server and the own record say after attempts whose end is known.

use serde_json::Value;

use crate::support::{Host, Server, objects, once};

/// The count and its denominator in the line with these words.
fn share(lines: &[Value], words: &[(&str, &str)]) -> Option<(u64, u64)> {
    let line = lines
        .iter()
        .find(|line| words.iter().all(|(key, value)| line[*key] == *value))?;
    Some((line["count"].as_u64()?, line["of"].as_u64()?))
}

fn stage(host: &Host, from: &str, stage: &str) -> Option<(u64, u64)> {
    let lines = host.json(&["stats"]);
    share(&lines, &[("from", from), ("by", "stage"), ("stage", stage)])
}

#[test]
fn a_direct_session_counts_at_every_stage_here_and_on_the_server() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    alice.json(&["punch", "bob"]);
    let lines = alice.json(&["stats"]);
    for from in ["server", "own"] {
        for stage in ["introduced", "connected", "answered", "direct", "confirmed"] {
            let words = [("from", from), ("by", "stage"), ("stage", stage)];
            assert_eq!(share(&lines, &words), Some((1, 1)), "{from} {stage}");
        }
        let found = lines
            .iter()
            .find(|line| line["from"] == from && line["by"] == "strategy");
        assert_eq!(found.unwrap()["of_what"], "direct paths");
        assert!(lines.iter().any(|line| line["by"] == "pair"));
    }
    // Bob did not dial: nothing of his own, and the same of everybody's.
    assert_eq!(stage(&bob, "server", "direct"), Some((1, 1)));
    assert_eq!(stage(&bob, "own", "direct"), Some((0, 0)));
}

#[test]
fn a_relayed_session_is_an_attempt_that_was_not_direct() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    alice
        .run(&["punch", "bob", "--relay-only"])
        .assert()
        .code(1);
    let lines = alice.json(&["stats"]);
    let direct = [("from", "server"), ("by", "stage"), ("stage", "direct")];
    assert_eq!(share(&lines, &direct), Some((0, 1)));
    let failed = [
        ("from", "server"),
        ("by", "failure"),
        ("reason", "relay-only"),
    ];
    assert_eq!(share(&lines, &failed), Some((1, 1)));
}

#[test]
fn who_does_not_want_to_report_keeps_the_numbers_at_home() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    alice.json(&["punch", "bob", "--no-report"]);
    assert_eq!(stage(&alice, "server", "direct"), Some((0, 0)));
    assert_eq!(stage(&alice, "own", "direct"), Some((1, 1)));
}

#[test]
fn a_peer_that_is_away_counts_as_an_introduction_that_was_refused() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    alice.run(&["punch", &bob.id()]).assert().code(3);
    let lines = alice.json(&["stats"]);
    for from in ["server", "own"] {
        let words = [
            ("from", from),
            ("by", "introduction"),
            ("reason", "offline"),
        ];
        assert_eq!(share(&lines, &words), Some((1, 1)), "{from}");
    }
}

#[test]
fn the_own_record_needs_no_server_and_reads_as_text() {
    let home = tempfile::tempdir().unwrap();
    let done = once(&home, &["stats", "--own"]).assert().success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("Nobody has dialled yet."), "{text}");
    let done = once(&home, &["stats", "--own", "--json"])
        .assert()
        .success();
    for line in objects(&done.get_output().stdout) {
        assert_eq!((&line["count"], &line["of"]), (&0.into(), &0.into()));
    }
}
