//! Disks that are full, folders and files that may not be used, targets that vanish: the right status,
//! what is wrong and what to do about it on both sides, and nothing lost of what had come.
//!
//! A small disk is a tmpfs in a user namespace of the test's own, so no privileges are needed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use super::{MIB, Pair, bytes, of_kind, printed};
use crate::support::Process;

/// Puts a disk of 8 MiB at `$DISK`, runs a command, says how it ended, makes the disk larger, and runs
/// the command again.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size=8m none "$DISK" || exit 90
"$@"
echo "first $?" >&2
mount -o remount,size=64m none "$DISK" || exit 91
"$@" || exit 92
cp "$DISK/large" "$COPY"
"#;

/// A command in a namespace where a script comes before it.
fn with_script(script: &str, command: &Command) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--user", "--map-root-user", "--mount"]);
    wrapped.args(["sh", "-c", script, "sh"]);
    wrap(wrapped, command)
}

/// A command that is run by another.
fn wrap(mut wrapped: Command, command: &Command) -> Command {
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// What a process has said to the person at it.
fn told(process: &Process) -> String {
    process.seen().join("\n")
}

/// Runs Alice's `send` to its end, which is a failure of hers; what she is told.
#[track_caller]
fn send_fails(pair: &Pair, path: &str) -> String {
    let send = pair.alice.run(&["send", path, "--to", "bob"]);
    let send = { send }.assert().code(1);
    String::from_utf8_lossy(&send.get_output().stderr).into_owned()
}

#[test]
fn a_full_disk_is_told_to_both_and_the_transfer_goes_on_once_there_is_space() {
    let pair = Pair::new();
    let content = bytes(24 * MIB as usize, 1);
    let path = pair.write("large", &content);
    let (disk, copy) = (pair.arrived(""), pair.bob.home.path().join("copy"));
    fs::create_dir_all(&disk).unwrap();
    let dir = disk.to_str().unwrap();
    let recv = pair.bob.command(&["recv", "--json", "--dir", dir]);
    let mut recv = with_script(SMALL_DISK, &recv);
    recv.env("DISK", &disk).env("COPY", &copy);
    let mut recv = Process::spawn(recv);
    recv.wait_event("ready");
    let alice = send_fails(&pair, &path);
    assert!(alice.contains("its disk is full"), "{alice}");
    assert!(
        alice.contains("hint: once there is space, the same command goes on where this ended"),
        "{alice}"
    );
    // Behind what it says to the person: the two outputs are not read in an order of their own.
    recv.wait_line(|line| line == "stderr: first 1");
    let bob = told(&recv);
    assert!(bob.contains("cannot write"), "{bob}");
    assert!(bob.contains("No space left on device"), "{bob}");
    assert!(
        bob.contains("hint: what came is kept: free some space, and the same command goes on"),
        "{bob}"
    );
    recv.wait_event("ready");
    let sent = pair.alice.json(&["send", &path, "--to", "bob"]);
    assert!(recv.wait_exit().success(), "{}", told(&recv));
    for said in [&sent, &printed(&recv)] {
        let file = of_kind(said, "file");
        let file = file.last().unwrap();
        assert_eq!(file["hash"], blake3::hash(&content).to_string());
        // What fitted was kept, but for the chunk that did not.
        let resumed = file["resumed_bytes"].as_u64().unwrap();
        assert!((6 * MIB..=8 * MIB).contains(&resumed), "{resumed}");
    }
    assert!(fs::read(copy).unwrap() == content);
}

#[test]
fn a_target_folder_that_may_not_be_written_to_is_told_to_both() {
    let pair = Pair::new();
    let path = pair.write("file", b"content");
    let folder = pair.arrived("");
    fs::create_dir_all(&folder).unwrap();
    let dir = folder.to_str().unwrap();
    let recv = pair.bob.command(&["recv", "--json", "--dir", dir]);
    // Who may do everything ignores modes, so the folder is made read-only for everybody.
    let script = r#"mount --bind "$DISK" "$DISK" && mount -o remount,ro,bind "$DISK" && exec "$@""#;
    let mut recv = with_script(script, &recv);
    recv.env("DISK", &folder);
    let mut recv = Process::spawn(recv);
    recv.wait_event("ready");
    let alice = send_fails(&pair, &path);
    assert!(alice.contains("it cannot write"), "{alice}");
    assert_eq!(recv.wait_exit().code(), Some(1));
    let bob = told(&recv);
    assert!(bob.contains(&format!("cannot write {dir}")), "{bob}");
    assert!(bob.contains("hint: "), "{bob}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn a_target_folder_that_vanishes_ends_the_transfer_and_the_next_begins_anew() {
    let pair = Pair::new();
    let content = bytes(200 * MIB as usize, 2);
    let path = pair.write("large", &content);
    let mut recv = pair.recv(&[]);
    let args = ["send", "--json", &path, "--to", "bob"];
    let mut send = Process::spawn(pair.alice.command(&args));
    // Its stage is being made, or is there: what it writes fails at any moment from now on.
    recv.wait_event("offered");
    let stage = pair.arrived(".gimlet-partial");
    let began = || fs::read_dir(&stage).is_ok_and(|mut stages| stages.next().is_some());
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while !began() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    // Somebody is still writing into it.
    while pair.arrived("").exists() {
        let _ = fs::remove_dir_all(pair.arrived(""));
    }
    assert_eq!(send.wait_exit().code(), Some(1), "{}", told(&send));
    assert_eq!(recv.wait_exit().code(), Some(1), "{}", told(&recv));
    let (alice, bob) = (told(&send), told(&recv));
    assert!(alice.contains("it cannot write large: "), "{alice}");
    assert!(
        bob.contains("cannot write") && bob.contains("large"),
        "{bob}"
    );
    let mut recv = pair.recv(&[]);
    pair.alice.json(&["send", &path, "--to", "bob"]);
    assert!(recv.wait_exit().success());
    assert!(fs::read(pair.arrived("large")).unwrap() == content);
}

/// The same command without the right to ignore modes, which root has.
fn without_rights(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        wrapped.args(["--bounding-set", "-all", "--inh-caps", "-all"]);
    }
    wrap(wrapped, command)
}

#[test]
fn a_file_that_the_sender_may_not_read_is_told_to_both_and_the_others_arrive() {
    let pair = Pair::new();
    let secret = pair.write("folder/secret", b"secret");
    pair.write("folder/open", b"open");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let folder = secret.strip_suffix("/secret").unwrap();
    // Named itself, it is not even offered.
    let args = ["send", &secret, "--to", "bob"];
    let mut send = Process::spawn(without_rights(&pair.alice.command(&args)));
    assert_eq!(send.wait_exit().code(), Some(1));
    let alice = told(&send);
    let must = format!("cannot send {secret}: Permission denied");
    assert!(alice.contains(&must), "{alice}");

    let args = ["send", folder, "--to", "bob"];
    let mut recv = pair.recv(&[]);
    let mut send = Process::spawn(without_rights(&pair.alice.command(&args)));
    assert_eq!(send.wait_exit().code(), Some(1), "{}", told(&send));
    assert_eq!(recv.wait_exit().code(), Some(1), "{}", told(&recv));
    let (alice, bob) = (told(&send), told(&recv));
    assert!(alice.contains("a file was not sent"), "{alice}");
    assert!(bob.contains("the sender can't read it"), "{bob}");
    assert_eq!(fs::read(pair.arrived("folder/open")).unwrap(), b"open");
    assert!(!pair.arrived("folder/secret").exists());

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let mut recv = pair.recv(&["--overwrite"]);
    pair.alice.json(&["send", folder, "--to", "bob"]);
    assert!(recv.wait_exit().success());
    assert_eq!(fs::read(pair.arrived("folder/secret")).unwrap(), b"secret");
}
