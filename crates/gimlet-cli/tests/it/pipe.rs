//! Bytes through a pipe: all of them, in order, both ways, and a good end.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::{Host, Server};

/// A listener that is ready, and what it prints.
fn listen(host: &Host) -> Child {
    let mut command = host.command(&["pipe", "--listen"]);
    let mut child = spawn(&mut command);
    // The note comes when it can be dialled.
    let stderr = child.stderr.as_mut().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\n") {
        let mut byte = [0];
        assert_eq!(
            stderr.read(&mut byte).unwrap(),
            1,
            "{}",
            String::from_utf8_lossy(&said)
        );
        said.push(byte[0]);
    }
    child
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(child: &mut Child, bytes: &[u8]) {
    child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
}

/// Waits until it has printed as much as this, which must be this.
fn hear(child: &mut Child, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    assert_eq!(bytes, expected);
}

/// Feeds it, reads it to the end, and waits for it.
fn run(mut child: Child, input: Vec<u8>) -> thread::JoinHandle<Vec<u8>> {
    let mut stdin = child.stdin.take().unwrap();
    let feeder = thread::spawn(move || stdin.write_all(&input));
    thread::spawn(move || {
        let done = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    })
}

/// Bytes without a pattern that a lost block could hide in.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn four_mebibytes_each_way_at_once() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let listener = listen(&bob);
    let dialler = spawn(&mut alice.command(&["pipe", "bob"]));
    let (up, down) = (bytes(4 << 20, 1), bytes(4 << 20, 2));
    let at_bob = run(listener, down.clone());
    let at_alice = run(dialler, up.clone());
    assert!(at_bob.join().unwrap() == up);
    assert!(at_alice.join().unwrap() == down);
}

#[test]
fn each_direction_may_be_empty() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    for (up, down) in [(0, 0), (100_000, 0), (0, 100_000)] {
        let (up, down) = (bytes(up, 3), bytes(down, 4));
        let at_bob = run(listen(&bob), down.clone());
        let at_alice = run(spawn(&mut alice.command(&["pipe", "bob"])), up.clone());
        assert!(at_bob.join().unwrap() == up);
        assert!(at_alice.join().unwrap() == down);
    }
}

#[test]
fn what_is_typed_arrives_before_the_end() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut listener = listen(&bob);
    let mut dialler = spawn(&mut alice.command(&["pipe", "bob"]));
    say(&mut dialler, b"hello\n");
    hear(&mut listener, b"hello\n");
    say(&mut listener, b"there\n");
    hear(&mut dialler, b"there\n");
    // One side ends; the other may still speak.
    drop(dialler.stdin.take());
    say(&mut listener, b"later\n");
    hear(&mut dialler, b"later\n");
    drop(listener.stdin.take());
    assert!(dialler.wait().unwrap().success());
    assert!(listener.wait().unwrap().success());
}

#[test]
fn a_peer_that_vanishes_is_a_failure() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let mut listener = listen(&bob);
    let mut dialler = spawn(&mut alice.command(&["pipe", "bob"]));
    say(&mut dialler, b"hello\n");
    hear(&mut listener, b"hello\n");
    #[cfg(unix)]
    {
        let pid = rustix::process::Pid::from_child(&listener);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(listener.wait().unwrap().code(), Some(1));
        assert_eq!(dialler.wait().unwrap().code(), Some(1));
    }
    #[cfg(not(unix))]
    listener.kill().unwrap();
}
