//! What commands leave on a narrow terminal.

use std::fs::File;

use crate::support::terminal::Terminal;
use crate::support::{Process, Server};

/// As long as names may be.
const LONG: &str = "a-peer-with-a-name-of-32-letters";

/// Enough to be seen under way.
const LENGTH: u64 = 192 << 20;

#[test]
fn the_moving_line_is_one_line_on_a_narrow_terminal_and_gone_at_the_end() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host(LONG));
    let folder = bob.home.path().join("in");
    let recv = ["recv", "--json", "--dir", folder.to_str().unwrap()];
    let mut recv = Process::spawn(bob.command(&recv));
    recv.wait_event("ready");
    let file = alice.home.path().join("file");
    File::create(&file).unwrap().set_len(LENGTH).unwrap();
    let send = ["send", file.to_str().unwrap(), "--to", LONG];
    let mut send = Terminal::run_wide(alice.command(&send), 50);
    let moving = |lines: &[String]| lines.iter().filter(|line| line.contains("% of ")).count();
    send.wait("progress", |lines| moving(lines) == 1);
    send.wait("the end", |lines| {
        assert!(moving(lines) <= 1, "{lines:#?}");
        lines.iter().any(|line| line.contains("1 file with 192"))
    });
    assert!(send.wait_exit().success());
    send.wait("nothing left of it", |lines| moving(lines) == 0);
    assert!(recv.wait_exit().success());
}

#[test]
fn an_error_says_what_is_behind_it_once() {
    let server = Server::start();
    let alice = server.host("alice");
    let failed = alice.run(&["send", "/no/such/file", "--to", "bob"]);
    let failed = { failed }.assert().code(1);
    let said = String::from_utf8_lossy(&failed.get_output().stderr).into_owned();
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}
