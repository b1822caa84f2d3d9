//! What goes wrong, and the exit status and words it ends with.

use std::net::UdpSocket;
use std::thread;

use assert_cmd::assert::Assert;

use crate::support::{Server, objects, once};

/// What a person reads.
fn errors(done: &Assert) -> String {
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

#[test]
fn usage_ends_with_two() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["punch"][..],
        &["dig"],
        &[],
        &["list", "--server", "ftp://x"],
    ] {
        once(&home, args).assert().code(2);
    }
}

#[test]
fn without_a_server_the_person_is_told_where_to_get_one() {
    let home = tempfile::tempdir().unwrap();
    let done = once(&home, &["list"]).assert().code(2);
    assert!(errors(&done).contains("gimlet serve"), "{}", errors(&done));
}

#[test]
fn a_configuration_that_is_not_understood_ends_with_two() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    std::fs::write(&path, "servers = 'x:1'\n").unwrap();
    let done = once(&home, &["id", "--config", path.to_str().unwrap()])
        .assert()
        .code(2);
    assert!(errors(&done).contains("servers"), "{}", errors(&done));
    let done = once(&home, &["id", "--config", "nowhere.toml"])
        .assert()
        .code(2);
    assert!(errors(&done).contains("nowhere.toml"), "{}", errors(&done));
}

#[test]
fn a_bad_key_file_is_named_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity.key");
    std::fs::write(&path, "not a key\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let done = once(&home, &["id", "--identity", path.to_str().unwrap()])
        .assert()
        .code(1);
    assert!(errors(&done).contains("identity.key"), "{}", errors(&done));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key\n");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity.key");
    let args = ["id", "--identity", path.to_str().unwrap()];
    once(&home, &args).assert().success();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let done = once(&home, &args).assert().code(1);
    assert!(errors(&done).contains("identity.key"), "{}", errors(&done));
}

#[test]
fn a_server_that_is_not_there_ends_with_three() {
    let server = Server::start();
    let mut alice = server.host("alice");
    // A port that is ours and never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    alice.server = alice.server.replace(&server.listen, &address);
    alice.id();
    let all = [
        &["list"][..],
        &["punch", "bob"],
        &["ping", "bob"],
        &["up"],
        &["whoami"],
    ];
    // Each waits some seconds: all at once.
    thread::scope(|scope| {
        for args in all {
            let alice = &alice;
            scope.spawn(move || {
                let done = alice.run(args).assert().code(3);
                assert!(errors(&done).contains("error:"), "{}", errors(&done));
            });
        }
    });
}

#[test]
fn a_server_with_another_key_is_not_spoken_to() {
    let (server, other) = (Server::start(), Server::start());
    let mut alice = server.host("alice");
    alice.server = alice.server.replace(&server.listen, &other.listen);
    let done = alice.run(&["list"]).assert().code(1);
    assert!(errors(&done).contains("key"), "{}", errors(&done));
    // 1 would mean that the relay works.
    alice.run(&["punch", "bob"]).assert().code(3);
}

#[test]
fn a_wrong_token_is_refused() {
    let server = Server::start();
    let mut alice = server.host("alice");
    let (address, _) = alice.server.rsplit_once("token=").unwrap();
    alice.server = format!("{address}token=wrong");
    let done = alice.run(&["list"]).assert().code(1);
    assert!(errors(&done).contains("token"), "{}", errors(&done));
}

#[test]
fn a_name_that_somebody_holds_is_refused() {
    let server = Server::start();
    let _held = server.host("alice").up(&[]);
    let done = server.host("alice").run(&["list"]).assert().code(1);
    assert!(errors(&done).contains("name"), "{}", errors(&done));
}

#[test]
fn a_peer_that_is_not_there_ends_with_three() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    for args in [
        ["punch", "nobody"],
        ["ping", "nobody"],
        ["bench", "nobody"],
        ["chat", "nobody"],
    ] {
        let done = alice.run(&args).assert().code(3);
        assert!(errors(&done).contains("nobody"), "{}", errors(&done));
    }
    // Known to the server, but gone.
    bob.come_and_go();
    let done = alice.run(&["punch", "bob", "--json"]).assert().code(3);
    let report = objects(&done.get_output().stdout).pop().unwrap();
    assert!(
        report["path"].is_null() && report["connected_ms"].is_null(),
        "{report}"
    );
    assert_eq!(report["failed_stage"], "introduction");
    assert_eq!(report["reason"], "offline");
    assert!(report["sign_in_ms"].is_number());
    assert!(errors(&done).contains("bob"), "{}", errors(&done));
}

#[test]
fn a_peer_that_declines_says_so() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let known = bob.home.path().join("known");
    std::fs::write(&known, server.host("carol").id()).unwrap();
    let mut bob_up = bob.up(&["--accept", "known", "--known", known.to_str().unwrap()]);
    let done = alice.run(&["ping", "bob"]).assert().code(1);
    assert!(errors(&done).contains("declined"), "{}", errors(&done));
    let done = alice.run(&["punch", "bob", "--json"]).assert().code(3);
    let report = objects(&done.get_output().stdout).pop().unwrap();
    assert_eq!(report["reason"], "declined");
    assert_eq!(bob_up.wait_event("declined")["peer"], alice.id());
}

#[test]
fn asking_without_a_terminal_declines() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--accept", "ask"]);
    let done = alice.run(&["ping", "bob"]).assert().code(1);
    assert!(errors(&done).contains("declined"), "{}", errors(&done));
}

#[test]
fn a_service_that_is_not_offered_is_named() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&[]);
    for args in [
        &["ping", "bob"][..],
        &["bench", "bob", "--mib", "1"],
        &["bench", "bob", "--reverse"],
    ] {
        let done = alice.run(args).assert().code(1);
        assert!(errors(&done).contains("--echo"), "{}", errors(&done));
    }
    alice.run(&["pipe", "bob"]).assert().code(1);
}

#[test]
fn oneself_is_no_peer() {
    let server = Server::start();
    let alice = server.host("alice");
    let done = alice.run(&["ping", &alice.id()]).assert().failure();
    assert!(errors(&done).contains("your own"), "{}", errors(&done));
}
