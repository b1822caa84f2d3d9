//! Contacts: names of one's own, and names of servers whose key changes.

use crate::support::{Host, Server, assert_keys, objects, once};

/// Whether a text is somewhere in some output.
fn contains(output: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(output).contains(text)
}

/// What a command says on standard error that ends so.
fn fails(host: &Host, args: &[&str], status: i32) -> Vec<u8> {
    let done = host.run(args).assert().code(status);
    done.get_output().stderr.clone()
}

#[test]
fn contacts_are_kept_listed_and_removed_without_a_server() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let done = once(&home, args).assert().success();
        objects(&done.get_output().stdout)
    };
    let id = run(&["id", "--json"])[0]["peer"]
        .as_str()
        .unwrap()
        .to_owned();
    let added = run(&["contacts", "add", "bob", &id, "--json"]);
    assert_keys(&added[0], &["name", "peer", "first_seen_s", "how"]);
    assert_eq!(added[0]["peer"], *id);
    assert_eq!(run(&["contacts", "--json"]), added);
    assert_eq!(run(&["contacts", "remove", "bob", "--json"]), added);
    assert!(run(&["contacts", "list", "--json"]).is_empty());
    let again = once(&home, &["contacts", "remove", "bob"]).assert().code(1);
    assert!(contains(&again.get_output().stderr, "no contact bob"));
    once(&home, &["contacts", "add", "bob", "bob"])
        .assert()
        .code(2);
}

#[test]
fn a_contact_is_found_by_a_name_that_the_server_does_not_know() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _up = bob.up(&["--echo"]);
    alice.json(&["contacts", "add", "my-bob", &bob.id()]);
    let punched = alice.json(&["punch", "my-bob"]);
    assert_eq!(punched.last().unwrap()["peer"], *bob.id());
    // The name is nothing to anybody else.
    let carol = server.host("carol");
    fails(&carol, &["punch", "my-bob"], 3);
}

#[test]
fn a_contacts_name_wins_over_the_servers() {
    let server = Server::start();
    let (alice, bob, other) = (
        server.host("alice"),
        server.host("bob"),
        server.host("other"),
    );
    let _bob = bob.up(&["--echo"]);
    let _other = other.up(&["--echo"]);
    alice.json(&["contacts", "add", "bob", &other.id()]);
    let punched = alice.json(&["punch", "bob"]);
    assert_eq!(punched.last().unwrap()["peer"], *other.id());
}

#[test]
fn accept_known_takes_contacts_and_nobody_else() {
    let server = Server::start();
    let (alice, bob, carol) = (
        server.host("alice"),
        server.host("bob"),
        server.host("carol"),
    );
    let nobody = fails(&bob, &["up", "--accept", "known"], 2);
    assert!(contains(&nobody, "gimlet contacts add"));
    bob.json(&["contacts", "add", "alice", &alice.id()]);
    let _up = bob.up(&["--echo", "--accept", "known"]);
    alice.json(&["ping", "bob", "-c", "1"]);
    let refused = fails(&carol, &["ping", "bob", "-c", "1"], 1);
    assert!(contains(&refused, "declined"));
}

#[cfg(unix)]
#[test]
fn a_name_that_leads_to_another_key_is_refused_until_the_user_says_so() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    {
        let mut up = bob.up(&["--echo"]);
        alice.json(&["ping", "bob", "-c", "1"]);
        up.terminate();
        assert!(up.wait_exit().success());
    }
    let seen = alice.json(&["contacts", "list", "--all"]);
    assert_eq!(
        (&seen[0]["name"], &seen[0]["how"]),
        (&"bob".into(), &"seen".into())
    );
    assert!(alice.json(&["contacts"]).is_empty(), "seen is not kept");

    // Another server, or this one after it has forgotten, gives the name to another key.
    let server = Server::start();
    let mallory = server.host("bob");
    let _up = mallory.up(&["--echo"]);
    let alice = Host {
        server: server.address.clone(),
        ..alice
    };
    for (args, status) in [(&["ping", "bob"][..], 1), (&["punch", "bob"], 3)] {
        let refused = fails(&alice, args, status);
        assert!(contains(&refused, "another key than before"));
        assert!(contains(&refused, "--trust-new"));
    }
    // By id there is no name to be mistaken about.
    alice.json(&["ping", &mallory.id(), "-c", "1"]);
    alice.json(&["ping", "bob", "-c", "1", "--trust-new"]);
    alice.json(&["ping", "bob", "-c", "1"]);
}
