//! Where an unfinished transfer is kept: a hidden folder in the target folder.
//!
//! `.gimlet-partial/KEY/` has the `journal` and the `tree`, in which everything has its place. The key
//! is made of who sends and what, so that the same offer finds what an earlier attempt left. Only this
//! side's user gets in, and links are made last, so nothing in it leads anywhere while it is filled.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gimlet::PeerId;

use super::error::ReceiveError;
use super::folder::Folder;
use super::manifest::{Manifest, STAGE};
use super::tree::Tree;

/// How long another attempt at the same, which is ending, is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Gap between looks whether it has ended; mostly that takes milliseconds. Nothing tells: the system waits
/// for a lock for ever or not at all.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Mode of what nobody else is to look into.
const PRIVATE: u32 = 0o700;

/// An open stage, which is ours alone until dropped.
#[derive(Debug)]
pub(super) struct Stage {
    path: PathBuf,
    key: String,
    holder: Folder,
    pub(super) tree: Tree,
}

impl Stage {
    /// Opens the stage, and makes it where there is none; with it, the journal's file. Failures are told
    /// by `disk`.
    pub(super) fn open(
        path: &Path,
        target: &Folder,
        peer: PeerId,
        manifest: &Manifest,
        disk: &impl Fn(io::Error) -> ReceiveError,
    ) -> Result<(Self, File), ReceiveError> {
        let key = key(peer, manifest);
        let give_up_at = Instant::now() + LOCK_TIMEOUT;
        loop {
            let (holder, home) = make(target, &key).map_err(disk)?;
            let journal = home.open_or_create(b"journal").map_err(disk)?;
            match journal.try_lock() {
                // Whoever had it may have finished, and removed it.
                Ok(()) if home.look(b"journal").map_err(disk)?.is_none() => (),
                Ok(()) => {
                    let tree = home.make_folder(b"tree", PRIVATE).map_err(disk)?;
                    let stage = Self {
                        path: path.to_owned(),
                        key,
                        holder,
                        tree: Tree::new(tree),
                    };
                    return Ok((stage, journal));
                }
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => {
                    std::thread::sleep(LOCK_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(ReceiveError::Twice),
                Err(TryLockError::Error(source)) => return Err(disk(source)),
            }
        }
    }

    /// Whether there is one of an earlier attempt.
    pub(super) fn exists(target: &Folder, peer: PeerId, manifest: &Manifest) -> bool {
        let holder = target.folder(STAGE.as_bytes());
        holder.is_ok_and(|holder| holder.folder(key(peer, manifest).as_bytes()).is_ok())
    }

    /// An error at this entry, with the path that it will have.
    pub(super) fn error(
        &self,
        manifest: &Manifest,
        number: u32,
        source: io::Error,
    ) -> ReceiveError {
        let path = self.path.join(manifest.path(number));
        ReceiveError::Disk { path, source }
    }

    /// That something else is where this entry belongs.
    pub(super) fn exists_at(&self, manifest: &Manifest, number: u32) -> ReceiveError {
        let path = self.path.join(manifest.path(number));
        ReceiveError::Exists { path }
    }

    /// Removes the stage: everything has been moved to its place.
    pub(super) fn remove(&mut self, target: &Folder) -> io::Result<()> {
        self.tree.close();
        self.holder.remove(self.key.as_bytes())?;
        // Others may be there.
        let _ = target.remove_empty(STAGE.as_bytes());
        Ok(())
    }
}

/// What the stage of an offer is called.
fn key(peer: PeerId, manifest: &Manifest) -> String {
    let mut names: Vec<&[u8]> = (manifest.iter())
        .filter(|(_, entry)| entry.parent.is_none())
        .map(|(_, entry)| &entry.name[..])
        .collect();
    names.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("gimlet 2026 files stage");
    hasher.update(peer.as_bytes());
    for name in names {
        hasher.update(name).update(b"/");
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The folder of all stages, and this one.
fn make(target: &Folder, key: &str) -> io::Result<(Folder, Folder)> {
    let once = || {
        let holder = target.make_folder(STAGE.as_bytes(), PRIVATE)?;
        let home = holder.make_folder(key.as_bytes(), PRIVATE)?;
        Ok((holder, home))
    };
    match once() {
        // Another transfer has ended and taken the empty folder with it.
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => once(),
        made => made,
    }
}
