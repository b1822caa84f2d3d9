//! A second run, and who may read the keys.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder of this test's own, gone when dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gimlet-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_second_run_keeps_every_file() {
    let folder = Folder::new("certs-kept");
    let read = || {
        let mut files: Vec<_> = std::fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    make(&folder.0).unwrap();
    let first = read();
    make(&folder.0).unwrap();
    assert_eq!(first.len(), 5);
    assert_eq!(first, read());
}

#[test]
fn only_the_owner_can_read_the_private_keys() {
    let folder = Folder::new("certs-mode");
    make(&folder.0).unwrap();
    for name in IDENTITIES.into_iter().chain(["tls-key.pem"]) {
        let mode = std::fs::metadata(folder.0.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, KEY_MODE, "{name}");
    }
}

#[test]
fn a_new_tls_key_is_not_put_beside_an_old_certificate() {
    let folder = Folder::new("certs-half");
    std::fs::write(folder.0.join("tls-cert.pem"), "old").unwrap();
    make(&folder.0).unwrap();
    assert!(!folder.0.join("tls-key.pem").exists());
}

#[test]
fn a_made_identity_is_one_that_gimlet_loads() {
    let folder = Folder::new("certs-load");
    make(&folder.0).unwrap();
    let ids = IDENTITIES.map(|name| {
        gimlet_net::identity::Identity::load(&folder.0.join(name))
            .unwrap()
            .peer_id()
    });
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}
