//! Short codes: two hosts that know nothing of each other but a server and a few words.

use std::fs;

use crate::support::{Process, Server, assert_keys};

/// Starts `send --code`; the process and its code.
fn offer(command: std::process::Command) -> (Process, String) {
    let mut sending = Process::spawn(command);
    let told = sending.wait_event("code");
    assert_keys(&told, &["event", "code", "expires_s"]);
    let code = told["code"].as_str().unwrap().to_owned();
    (sending, code)
}

fn wrong(code: &str) -> String {
    let (kept, last) = code.rsplit_once('-').unwrap();
    let other = if last == "zoo" { "zone" } else { "zoo" };
    format!("{kept}-{other}")
}

#[test]
fn parity_f_a_file_goes_to_whoever_has_the_code_and_both_keep_each_other() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("letter.txt");
    fs::write(&path, "for your eyes only\n").unwrap();
    let path = path.to_str().unwrap();
    let to_dir = to.path().to_str().unwrap();

    let args = [
        "send", "--json", "--code", "--words", "3", "--keep", "bobby", path,
    ];
    let (mut sending, code) = offer(alice.command(&args));
    assert_eq!(code.split('-').count(), 4);
    // Typed as people type, each word cut to what tells it apart.
    let typed: Vec<_> = code
        .split('-')
        .map(|part| part[..part.len().min(4)].to_uppercase())
        .collect();
    let typed = typed.join("-");
    let got = bob.json(&["recv", &typed, "--dir", to_dir, "--keep", "ally"]);
    let met = got.iter().find(|object| object["event"] == "met").unwrap();
    assert_eq!(met["peer"], alice.id());
    assert_eq!(sending.wait_event("met")["peer"], bob.id());
    sending.wait_event("kept");
    assert!(sending.wait_exit().success());
    let arrived = fs::read_to_string(to.path().join("letter.txt")).unwrap();
    assert_eq!(arrived, "for your eyes only\n");

    // From now on they know each other by the names they chose.
    assert_eq!(alice.json(&["contacts"])[0]["peer"], bob.id());
    let _up = alice.up(&["--echo"]);
    bob.json(&["ping", "ally", "-c", "1"]);

    // The code is used: it leads nowhere.
    let again = bob.run(&["recv", &code]).assert().code(3);
    let said = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(said.contains("nobody offers code"), "{said}");
}

#[test]
fn a_wrong_code_gets_nothing_and_the_sender_is_told() {
    let server = Server::start();
    let (alice, mallory) = (server.host("alice"), server.host("mallory"));
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("letter.txt");
    fs::write(&path, "secret\n").unwrap();
    let (mut sending, code) =
        offer(alice.command(&["send", "--json", "--code", path.to_str().unwrap()]));
    let to = tempfile::tempdir().unwrap();
    let dir = to.path().to_str().unwrap();
    let mut refused = mallory.run(&["recv", &wrong(&code), "--dir", dir]);
    let refused = refused.assert().code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("the code is wrong"), "{said}");
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    let told = sending.wait_line(|line| line.contains("tried a wrong code"));
    assert!(told.contains(&mallory.id()[..10]), "{told}");
    assert_eq!(sending.wait_exit().code(), Some(1));
}

#[test]
fn without_the_code_the_files_are_not_for_anybody() {
    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("letter.txt");
    fs::write(&path, "secret\n").unwrap();
    let (_sending, _code) =
        offer(alice.command(&["send", "--json", "--code", path.to_str().unwrap()]));
    let to = tempfile::tempdir().unwrap();
    let dir = to.path().to_str().unwrap();
    bob.run(&["recv", "--from", "alice", "--dir", dir])
        .assert()
        .failure();
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}

#[test]
fn people_are_shown_the_code_what_to_type_and_a_picture() {
    let server = Server::start();
    let alice = server.host("alice");
    let from = tempfile::tempdir().unwrap();
    let path = from.path().join("letter.txt");
    fs::write(&path, "x").unwrap();
    let path = path.to_str().unwrap();
    let mut sending = Process::spawn(alice.command(&["send", "--code", "--qr", path]));
    sending.wait_line(|line| line.starts_with("████") && line.chars().count() <= 80);
    let typed = |line: &str| line.contains("within 10m: gimlet recv 1-");
    let said = sending.find_line(typed);
    let code = said.rsplit(' ').next().unwrap();
    sending.find_line(|line| line == code);
}

#[test]
fn what_is_no_code_is_a_usage_error() {
    let home = tempfile::tempdir().unwrap();
    for code in ["seven-zoo", "7", "7-xyzzy"] {
        let done = crate::support::once(&home, &["recv", code])
            .assert()
            .code(2);
        let said = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(said.contains("code"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_person_at_a_terminal_is_asked_whether_to_keep_the_other() {
    use crate::support::terminal::Terminal;

    let server = Server::start();
    let (alice, bob) = (server.host("alice"), server.host("bob"));
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = from.path().join("letter.txt");
    fs::write(&path, "x").unwrap();
    let (mut sending, code) =
        offer(alice.command(&["send", "--json", "--code", path.to_str().unwrap()]));
    let dir = to.path().to_str().unwrap();
    let mut receiving = Terminal::run(bob.command(&["recv", &code, "--dir", dir]));
    let prompt = format!(
        "Keep {} as a contact? A name, or Enter for no:",
        &alice.id()[..10]
    );
    receiving.wait_last(&prompt);
    receiving.press("Not A Name\r");
    receiving.wait("what is wrong", |lines| {
        lines.iter().any(|line| line.contains("a name uses a-z"))
    });
    receiving.press("ally\r");
    receiving.wait_line("Kept as ally.");
    assert!(receiving.wait_exit().success());
    assert!(sending.wait_exit().success());
    assert_eq!(bob.json(&["contacts"])[0]["peer"], alice.id());
}
