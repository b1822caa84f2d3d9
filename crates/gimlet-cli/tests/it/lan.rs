//! Parity C: three hosts on one network, with multicast, without a server, without a way out.
//!
//! They are network namespaces on a bridge, inside a user namespace of the test's own: no privileges are
//! needed and nothing outside is touched.

mod commands;
mod network;

use std::path::Path;

use serde_json::Value;

use crate::support::{Process, assert_keys};
use network::Network;

fn of<'a>(objects: &'a [Value], peer: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["peer"] == *peer);
    found
        .next()
        .unwrap_or_else(|| panic!("{peer} in {objects:?}"))
}

#[test]
fn parity_c_peers_on_one_network_find_one_another_with_no_server_and_no_internet() {
    let network = Network::new();
    assert!(Path::new("/proc").join(&network.pid).exists());
    let (mut b, _c) = (network.listen("b", &["-n", "1"]), network.listen("c", &[]));
    let (status, found) = network.run("a", &["lan", "--json", "--peers", "2", "--wait", "20"]);
    assert_eq!(status, Some(0));
    assert_eq!(found.len(), 2, "the count of peers: {found:?}");
    let entry = of(&found, &network.id("b"));
    assert_keys(entry, &["peer", "name", "contact", "addresses"]);
    assert_eq!(entry["name"], "b");
    let addresses = entry["addresses"].as_array().unwrap();
    let first = addresses[0].as_str().unwrap();
    assert!(first.starts_with("192.168.77.2:"), "{addresses:?}");

    // To all, with who has it and how long each took.
    let told = [
        "lan",
        "broadcast",
        "hello all",
        "--json",
        "--peers",
        "2",
        "--wait",
        "20",
    ];
    let (status, told) = network.run("a", &told);
    assert_eq!(status, Some(0), "{told:?}");
    for host in ["b", "c"] {
        let answer = of(&told, &network.id(host));
        assert_eq!(answer["outcome"], "answered");
        assert!(answer["after_ms"].as_f64().unwrap() > 0.0);
    }
    let summary = told.last().unwrap();
    assert_eq!(
        (&summary["peers"], &summary["answered"]),
        (&2.into(), &2.into())
    );

    // Waiting for a message ends with it, and says from whom.
    let message = b.wait_event("message");
    assert_eq!(message["text"], "hello all");
    assert_eq!(message["peer"], network.id("a"));
    assert!(b.wait_exit().success());
    drop(network.holder);
}

#[test]
fn parity_c_a_broadcast_says_who_did_not_take_it() {
    let network = Network::new();
    let (_b, _c) = (network.listen("b", &[]), network.listen("c", &[]));
    let everybody = ["lan", "--json", "--peers", "2", "--wait", "20"];
    assert_eq!(network.run("a", &everybody).1.len(), 2);
    // It is found, and does not answer: its firewall lets multicast DNS alone in.
    network.exec("c", "nft add table inet wall");
    network.exec(
        "c",
        "nft add chain inet wall in { type filter hook input priority 0; }",
    );
    network.exec("c", "nft add rule inet wall in udp dport != 5353 drop");
    let told = [
        "lan",
        "broadcast",
        "anyone?",
        "--json",
        "--peers",
        "2",
        "--wait",
        "20",
    ];
    let (status, told) = network.run("a", &told);
    assert_eq!(of(&told, &network.id("b"))["outcome"], "answered");
    let silent = of(&told, &network.id("c"));
    assert_eq!((status, &silent["outcome"]), (Some(1), &"silent".into()));
    assert!(silent["after_ms"].is_null());
    let summary = told.last().unwrap();
    assert_eq!(
        (&summary["peers"], &summary["answered"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn parity_c_nobody_there_is_told_and_ones_own_program_does_not_count() {
    let network = Network::new();
    let (status, found) = network.run("a", &["lan", "--json", "--wait", "1"]);
    assert_eq!((status, found.len()), (Some(3), 0));
    // The same key listening beside: that is oneself.
    let _own = network.listen("a", &[]);
    let (status, found) = network.run("a", &["lan", "--json", "--wait", "2"]);
    assert_eq!((status, found.len()), (Some(3), 0));
}

#[test]
fn parity_c_who_is_not_wanted_is_declined_by_its_key() {
    let network = Network::new();
    let friend = network.id("a");
    let (_, kept) = network.run("b", &["contacts", "add", "a", &friend, "--json"]);
    assert_eq!(kept.len(), 1);
    let _b = network.listen("b", &["--accept", "known"]);
    let told = [
        "lan",
        "broadcast",
        "hi",
        "--json",
        "--peers",
        "1",
        "--wait",
        "20",
    ];
    let (status, answers) = network.run("a", &told);
    assert_eq!(
        (status, &answers[0]["outcome"]),
        (Some(0), &"answered".into())
    );
    let (status, answers) = network.run("c", &told);
    assert_eq!(
        (status, &answers[0]["outcome"]),
        (Some(1), &"declined".into())
    );
}

#[test]
fn parity_c_commands_reach_a_peer_on_the_network_directly_with_no_server() {
    let network = Network::new();
    let mut up = Process::spawn(network.command("b", &["up", "--lan", "--echo", "--json"]));
    let ready = up.wait_event("ready");
    assert_eq!(ready["peer"], network.id("b"));
    let (status, pings) = network.run("a", &["ping", "b", "--lan", "-c", "2", "--json"]);
    assert_eq!(status, Some(0), "{pings:?}");
    assert_eq!(pings[0]["path"], "direct");
    assert_eq!(pings.last().unwrap()["received"], 2);
    assert_eq!(up.wait_event("connected")["peer"], network.id("a"));

    // A name is anybody's to announce: once it was somebody's, it is not another's unseen.
    drop(up);
    let mut command = network.command("c", &["up", "--lan", "--echo", "--json"]);
    command.env("GIMLET_NAME", "b");
    let mut other = Process::spawn(command);
    other.wait_event("ready");
    // The one that was killed said no goodbye, and may still be believed there.
    let by_id = network.id("c");
    let (status, _) = network.run("a", &["ping", &by_id, "--lan", "-c", "1", "--json"]);
    assert_eq!(status, Some(0));
    let (status, pings) = network.run("a", &["ping", "b", "--lan", "-c", "1", "--json"]);
    assert_eq!((status, pings.len()), (Some(1), 0));

    let (status, _) = network.run("a", &["ping", "nobody", "--lan", "-c", "1", "--json"]);
    assert_eq!(status, Some(3));
}
