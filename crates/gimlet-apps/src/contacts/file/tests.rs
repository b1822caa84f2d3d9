//! The file of contacts on a real disk.

use super::*;
use crate::contacts::KeepError;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn file() -> (tempfile::TempDir, ContactsFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = ContactsFile::new(folder.path().join("deep/contacts.toml"));
    (folder, file)
}

#[test]
fn contacts_are_read_back_as_they_were_kept() {
    let (_folder, file) = file();
    assert_eq!(file.load().unwrap(), Contacts::default());
    let kept = file.change(|contacts| {
        contacts.see(name("carol"), peer(3), 5);
        contacts.keep(name("bob"), peer(2), 7)
    });
    kept.unwrap().unwrap();
    let read = file.load().unwrap();
    assert_eq!(read.named("bob").unwrap().first_seen, 7);
    assert_eq!(read.iter().count(), 2);
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(text.contains("name = \"bob\""), "{text}");
    assert!(text.contains(&format!("id = \"{}\"", peer(2))), "{text}");
}

#[test]
fn a_change_that_fails_writes_nothing() {
    let (_folder, file) = file();
    let failed = file.change(|contacts| {
        contacts.keep(name("bob"), peer(1), 0)?;
        contacts.keep(name("bob"), peer(2), 0)
    });
    assert!(matches!(failed, Ok(Err(KeepError::Taken { .. }))));
    assert!(!file.path().exists());
}

#[test]
fn commands_at_once_lose_nothing_of_one_another() {
    let (_folder, file) = file();
    std::thread::scope(|scope| {
        for n in 0..16u8 {
            let file = &file;
            scope.spawn(move || {
                let kept =
                    file.change(|contacts| contacts.keep(name(&format!("n{n}")), peer(n), 0));
                kept.unwrap().unwrap();
            });
        }
    });
    assert_eq!(file.load().unwrap().kept().count(), 16);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, file) = file();
    let kept = file.change(|contacts| contacts.keep(name("bob"), peer(1), 0));
    kept.unwrap().unwrap();
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_a_person_writes_by_hand_is_kept() {
    let (_folder, file) = file();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    let id = peer(4);
    let text = format!("# mine\n[[contact]]\nname = \"dora\"\nid = \"{id}\"\n");
    fs::write(file.path(), text).unwrap();
    assert_eq!(file.load().unwrap().named("dora").unwrap().peer, id);
}

#[test]
fn what_is_no_such_file_is_left_alone() {
    let (_folder, file) = file();
    fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    for text in [
        "[[contact]]\nname = \"Bob\"\nid = \"x\"\n",
        "\u{0}",
        "a = 1",
    ] {
        fs::write(file.path(), text).unwrap();
        let changed = file.change(|contacts| contacts.keep(name("bob"), peer(1), 0));
        assert!(
            matches!(changed, Err(ContactsFileError::Malformed { .. })),
            "{text}"
        );
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    }
}
