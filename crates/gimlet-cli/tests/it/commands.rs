//! Commands that run to their end, with everything there that they need.

use crate::support::{Server, assert_keys, gimlet, objects, once};

const PUNCH_KEYS: [&str; 16] = [
    "peer",
    "path",
    "strategy",
    "local",
    "remote",
    "rtt_ms",
    "search",
    "introduced_ms",
    "connected_ms",
    "first_byte_ms",
    "direct_ms",
    "nat_local",
    "nat_remote",
    "failed_stage",
    "reason",
    "sign_in_ms",
];

#[test]
fn id_makes_a_key_once_and_keeps_it() {
    let home = tempfile::tempdir().unwrap();
    let id = || {
        let done = once(&home, &["id", "--json"]).assert().success();
        objects(&done.get_output().stdout)[0].clone()
    };
    let first = id();
    assert_keys(&first, &["peer"]);
    assert_eq!(first["peer"].as_str().unwrap().len(), 52);
    assert_eq!(first, id());
    let key = home.path().join(".config/gimlet/identity.key");
    assert!(key.exists());
}

#[cfg(unix)]
#[test]
fn the_key_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    once(&home, &["id"]).assert().success();
    let key = home.path().join(".config/gimlet/identity.key");
    let mode = std::fs::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn whoami_shows_the_address_that_the_server_sees() {
    let server = Server::start();
    let alice = server.host("alice");
    let found = &alice.json(&["whoami"])[0];
    assert_keys(
        found,
        &[
            "peer",
            "name",
            "reflexive_v4",
            "reflexive_v6",
            "local",
            "nat",
            "mapped",
            "carrier_nat",
            "servers",
            "transport",
            "elapsed_ms",
        ],
    );
    assert_keys(
        &found["nat"],
        &[
            "mapping",
            "filtering",
            "allocation",
            "hairpin",
            "double_nat",
            "exact",
        ],
    );
    assert_eq!(found["peer"], alice.id());
    assert_eq!(found["name"], "alice");
    assert!(
        found["reflexive_v4"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
}

#[test]
fn whoami_needs_no_sign_in() {
    let server = Server::start();
    let mut alice = server.host("alice");
    let (address, _) = alice.server.rsplit_once("token=").unwrap();
    alice.server = format!("{address}token=wrong");
    let found = &alice.json(&["whoami"])[0];
    assert!(found["reflexive_v4"].is_string());
}

#[test]
fn list_shows_who_is_online_and_their_sessions() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    let listed = alice.json(&["list"]);
    let entry = listed.iter().find(|entry| entry["name"] == "bob").unwrap();
    assert_keys(entry, &["peer", "name", "lease_s", "nat"]);
    assert_eq!(entry["peer"], bob.id());
    assert!(entry["lease_s"].as_u64().unwrap() > 0);
    let text = alice.run(&["list"]).assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(text.starts_with("name"), "{text}");
    assert!(text.contains("bob"), "{text}");
}

#[test]
fn punch_reports_a_direct_path_with_every_key() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut bob_up = bob.up(&["--echo"]);
    for peer in ["bob", &bob.id(), &bob.id()[..8]] {
        let reports = alice.json(&["punch", peer]);
        let report = reports.last().unwrap();
        assert_keys(report, &PUNCH_KEYS);
        assert_eq!(report["path"], "direct", "{report}");
        assert_eq!(report["peer"], bob.id());
        for key in [
            "rtt_ms",
            "introduced_ms",
            "connected_ms",
            "first_byte_ms",
            "direct_ms",
        ] {
            assert!(report[key].is_number(), "{key}: {report}");
        }
        for key in ["local", "remote", "strategy"] {
            assert!(report[key].is_string(), "{key}: {report}");
        }
        assert!(
            report["reason"].is_null() && report["failed_stage"].is_null(),
            "{report}"
        );
    }
    let connected = bob_up.wait_event("connected");
    assert_eq!(connected["peer"], alice.id());
    assert_eq!(bob_up.wait_event("closed")["peer"], alice.id());
}

#[test]
fn punch_over_the_relay_alone_ends_with_one() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    let done = alice
        .run(&["punch", "bob", "--relay-only", "--json"])
        .assert()
        .code(1);
    let reports = objects(&done.get_output().stdout);
    let report = reports.last().unwrap();
    assert_keys(report, &PUNCH_KEYS);
    assert_eq!(report["path"], "relay");
    assert!(report["direct_ms"].is_null());
    assert!(report["first_byte_ms"].is_number());
    assert_eq!(report["reason"], "relay-only");
    let text = alice
        .run(&["punch", "bob", "--relay-only"])
        .assert()
        .code(1);
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(
        text.starts_with("Relayed to bob") && text.contains("hint:"),
        "{text}"
    );
}

#[test]
fn punch_works_without_echo_on_the_other_side() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&[]);
    let reports = alice.json(&["punch", "bob"]);
    assert_eq!(reports[0]["path"], "direct");
    assert!(reports[0]["first_byte_ms"].is_null());
}

#[test]
fn punch_that_does_not_wait_reports_what_there_is() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    let done = alice
        .run(&["punch", "bob", "--wait-direct", "0", "--json"])
        .assert();
    let report = objects(&done.get_output().stdout).pop().unwrap();
    let expected = match report["path"].as_str().unwrap() {
        "direct" => 0,
        "relay" => 1,
        other => panic!("{other}"),
    };
    done.code(expected);
}

#[test]
fn ping_counts_and_measures() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    let mut answers = alice.json(&["ping", "bob", "-c", "3", "-i", "0.01"]);
    let sum = answers.pop().unwrap();
    assert_keys(&sum, &["sent", "received", "min_ms", "median_ms", "max_ms"]);
    assert_eq!(sum["sent"], 3);
    assert_eq!(sum["received"], answers.len());
    assert!(!answers.is_empty());
    assert_keys(&answers[0], &["seq", "rtt_ms", "path"]);
    assert_eq!(answers[0]["seq"], 0);
}

#[test]
fn bench_moves_bytes_both_ways() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let _bob_up = bob.up(&["--echo"]);
    for args in [
        &["bench", "bob", "--mib", "2"][..],
        &["bench", "bob", "--mib", "2", "--reverse"],
        &["bench", "bob", "--mib", "2", "--long-datagrams"],
    ] {
        let report = alice.json(args).pop().unwrap();
        assert_keys(&report, &["mib", "seconds", "mib_per_s", "path"]);
        assert_eq!(report["mib"], 2);
        assert!(report["mib_per_s"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn help_and_version_need_nothing() {
    for args in [&["--help"][..], &["--version"], &["punch", "--help"]] {
        let done = gimlet().args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}");
        assert!(!done.stdout.is_empty());
    }
}

#[test]
fn everything_can_stand_in_the_configuration_file() {
    let server = Server::start();
    let bob = server.host("bob");
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/gimlet");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "server = ['{}']\nname = 'alice'\nrelay_only = true\n",
        server.address
    );
    std::fs::write(folder.join("config.toml"), text).unwrap();
    let _bob_up = bob.up(&["--echo"]);
    let done = once(&home, &["punch", "bob", "--json"]).assert().code(1);
    let report = objects(&done.get_output().stdout).pop().unwrap();
    assert_eq!(report["path"], "relay");
}
