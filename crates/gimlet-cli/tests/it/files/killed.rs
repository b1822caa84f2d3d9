//! Either side of a transfer gets a SIGKILL and is started again, whichever of the two had dialled.

use std::fs;

use super::{MIB, Pair, bytes, of_kind, printed};
use crate::support::Process;

/// Who of the two dials.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dials {
    Sender,
    Receiver,
}

/// Kills one side as soon as an eighth is there; the file arrives, and what had arrived is not sent again.
#[track_caller]
fn kill(kills_sender: bool, dials: Dials) {
    let pair = Pair::new();
    let content = bytes(LARGE as usize, 3);
    let path = pair.write("large", &content);
    let send = || {
        let to = ["send", "--json", &path, "--to", "bob"];
        let wait = ["send", "--json", &path, "--count", "1"];
        match dials {
            Dials::Sender => Process::spawn(pair.alice.command(&to)),
            Dials::Receiver => {
                let mut process = Process::spawn(pair.alice.command(&wait));
                process.wait_event("ready");
                process
            }
        }
    };
    let recv = || {
        let folder = pair.arrived("");
        let from = ["recv", "--json", "--from", "alice", "--dir"];
        let from = [&from[..], &[folder.to_str().unwrap()]].concat();
        match dials {
            Dials::Sender => pair.recv(&[]),
            Dials::Receiver => Process::spawn(pair.bob.command(&from)),
        }
    };
    // Who waits is there before it is dialled.
    let (mut receiver, mut sender);
    match dials {
        Dials::Sender => (receiver, sender) = (recv(), send()),
        Dials::Receiver => (sender, receiver) = (send(), recv()),
    }
    let victim = if kills_sender {
        &mut sender
    } else {
        &mut receiver
    };
    let progress = victim.wait_json(|value| {
        let bytes = value["bytes"].as_u64();
        value["event"] == "progress" && bytes.is_some_and(|bytes| bytes >= LARGE / 8)
    });
    let kept = progress["bytes"].as_u64().unwrap();
    victim.kill();
    match kills_sender {
        true => sender = send(),
        false => receiver = recv(),
    }
    assert!(
        receiver.wait_exit().success(),
        "{}",
        receiver.seen().join("\n")
    );
    assert!(sender.wait_exit().success(), "{}", sender.seen().join("\n"));
    for process in [&receiver, &sender] {
        let said = printed(process);
        let files = of_kind(&said, "file");
        let file = files.last().unwrap();
        assert_eq!(file["hash"], blake3::hash(&content).to_string());
        let resumed = file["resumed_bytes"].as_u64().unwrap();
        // At most two chunks of what had arrived come again.
        assert!(resumed + 2 * MIB >= kept, "{resumed} of {kept}");
    }
    assert!(fs::read(pair.arrived("large")).unwrap() == content);
    assert!(!pair.arrived(".gimlet-partial").exists());
}

/// Large enough that progress is told several times on a machine that moves a gigabyte a second.
const LARGE: u64 = 600 * MIB;

#[test]
fn a_sender_that_is_killed_goes_on_where_it_was() {
    kill(true, Dials::Sender);
}

#[test]
fn a_receiver_that_is_killed_goes_on_where_it_was() {
    kill(false, Dials::Sender);
}

#[test]
fn a_sender_that_waits_and_is_killed_goes_on_where_it_was() {
    kill(true, Dials::Receiver);
}

#[test]
fn a_receiver_that_dials_and_is_killed_goes_on_where_it_was() {
    kill(false, Dials::Receiver);
}
