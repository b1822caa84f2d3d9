//! `send` and `recv` as processes: what they print, and what they leave.

mod killed;
#[cfg(target_os = "linux")]
mod trouble;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Host, Process, Server, assert_keys};

const MIB: u64 = 1 << 20;

/// Alice, who sends, and Bob, who receives.
struct Pair {
    _server: Server,
    alice: Host,
    bob: Host,
}

impl Pair {
    fn new() -> Self {
        let server = Server::start();
        let (alice, bob) = (server.host("alice"), server.host("bob"));
        Self {
            _server: server,
            alice,
            bob,
        }
    }

    /// A file of Alice's.
    fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.alice.home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Where Bob gets it.
    fn arrived(&self, name: &str) -> PathBuf {
        self.bob.home.path().join("in").join(name)
    }

    /// Bob, waiting.
    fn recv(&self, args: &[&str]) -> Process {
        let folder = self.arrived("");
        let dir = ["recv", "--json", "--dir", folder.to_str().unwrap()];
        let mut process = Process::spawn(self.bob.command(&[&dir, args].concat()));
        process.wait_event("ready");
        process
    }
}

/// Bytes without a pattern that a lost chunk could hide in.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut state = seed;
    for part in bytes.chunks_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mixed = (state ^ (state >> 29)).to_be_bytes();
        part.copy_from_slice(&mixed[..part.len()]);
    }
    bytes
}

fn of_kind<'a>(all: &'a [Value], event: &str) -> Vec<&'a Value> {
    all.iter().filter(|value| value["event"] == event).collect()
}

/// What a process has printed, as far as it is JSON.
fn printed(process: &Process) -> Vec<Value> {
    let lines = process.seen().iter();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[test]
fn a_file_is_sent_and_both_sides_say_its_hash() {
    let pair = Pair::new();
    let content = bytes(3_000_000, 1);
    let path = pair.write("photo.jpg", &content);
    let mut recv = pair.recv(&[]);
    let sent = pair.alice.json(&["send", &path, "--to", "bob"]);
    assert!(recv.wait_exit().success());
    let received = printed(&recv);
    let hash = blake3::hash(&content).to_string();
    for said in [&sent, &received] {
        let [file] = of_kind(said, "file")[..] else {
            panic!("not one file: {said:?}");
        };
        let keys = [
            "event",
            "peer",
            "name",
            "bytes",
            "hash",
            "seconds",
            "resumed_bytes",
        ];
        assert_keys(file, &keys);
        assert_eq!(file["name"], "photo.jpg");
        assert_eq!(file["bytes"], 3_000_000);
        assert_eq!(file["hash"], hash);
        assert_eq!(file["resumed_bytes"], 0);
        assert_eq!(of_kind(said, "done").len(), 1);
        // Not of the connection before, which was given up for one of longer datagrams.
        assert_eq!(of_kind(said, "connected").len(), 1);
    }
    assert!(fs::read(pair.arrived("photo.jpg")).unwrap() == content);
}

#[test]
fn whoever_comes_for_it_gets_it_several_at_once() {
    let pair = Pair::new();
    let content = bytes(2_000_000, 2);
    let path = pair.write("folder/file", &content);
    let folder = path.strip_suffix("/file").unwrap();
    let args = ["send", "--json", folder, "--count", "3"];
    let mut send = Process::spawn(pair.alice.command(&args));
    send.wait_event("ready");
    let receivers: Vec<_> = (0..3)
        .map(|n| {
            let host = Host {
                name: format!("receiver-{n}"),
                server: pair.alice.server.clone(),
                home: tempfile::tempdir().unwrap(),
            };
            let dir = host.home.path().to_str().unwrap().to_owned();
            let args = ["recv", "--from", "alice", "--dir", &dir];
            let process = Process::spawn(host.command(&args));
            (host, process)
        })
        .collect();
    for (host, mut process) in receivers {
        assert!(process.wait_exit().success());
        assert!(fs::read(host.home.path().join("folder/file")).unwrap() == content);
    }
    assert!(send.wait_exit().success());
}

#[test]
fn what_is_there_is_refused_with_what_to_do() {
    let pair = Pair::new();
    let path = pair.write("file", b"new");
    fs::create_dir_all(pair.arrived("")).unwrap();
    fs::write(pair.arrived("file"), b"old one").unwrap();
    let mut recv = pair.recv(&[]);
    let send = pair
        .alice
        .run(&["send", &path, "--to", "bob"])
        .assert()
        .code(1);
    let told = String::from_utf8_lossy(&send.get_output().stderr).into_owned();
    assert!(told.contains("it has another file already"), "{told}");
    assert_eq!(recv.wait_exit().code(), Some(1));
    let told = recv.seen().join("\n");
    assert!(told.contains("hint: --overwrite replaces it"), "{told}");
    assert_eq!(fs::read(pair.arrived("file")).unwrap(), b"old one");
    let mut recv = pair.recv(&["--overwrite"]);
    pair.alice
        .run(&["send", &path, "--to", "bob"])
        .assert()
        .success();
    assert!(recv.wait_exit().success());
    assert_eq!(fs::read(pair.arrived("file")).unwrap(), b"new");
}

#[test]
fn what_cannot_be_sent_is_told_before_anybody_is_asked() {
    let pair = Pair::new();
    let missing = pair
        .alice
        .run(&["send", "/does/not/exist", "--to", "bob"])
        .assert()
        .code(1);
    let told = String::from_utf8_lossy(&missing.get_output().stderr).into_owned();
    assert!(told.contains("cannot send /does/not/exist"), "{told}");
    let path = pair.write("file", b"x");
    pair.alice
        .run(&["send", &path, "--to", "bob"])
        .assert()
        .code(3);
    pair.alice.run(&["send"]).assert().code(2);
}

#[test]
fn names_that_steer_terminals_are_shown_harmlessly() {
    let pair = Pair::new();
    let path = pair.write("evil\u{1b}[2Jname", b"x");
    let mut recv = pair.recv(&["--forever"]);
    let sent = pair
        .alice
        .run(&["send", &path, "--to", "bob"])
        .assert()
        .success();
    let shown = String::from_utf8_lossy(&sent.get_output().stdout).into_owned();
    assert!(shown.contains("evil\u{fffd}[2Jname"), "{shown}");
    recv.wait_event("done");
    recv.terminate();
    recv.wait_exit();
}
