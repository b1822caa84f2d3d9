//! From what a person names to a manifest. Links are not followed, but for those named themselves.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::manifest::{Entry, Kind, Manifest, ManifestError, Stamp};
use super::report::Skip;

/// What was found, and where.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) manifest: Manifest,
    pub(super) skipped: Vec<(PathBuf, Skip)>,
    /// What was named, by its number in the manifest, ascending.
    roots: Vec<(u32, PathBuf)>,
}

/// Why nothing can be offered.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// What was named is not there, or can't be read.
    #[error("cannot send {}: {source}", path.display())]
    Unreadable {
        /// What was named.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was named has no name, such as `..` or `/`.
    #[error("{} has no name to be sent under; name a file or a folder", path.display())]
    NoName {
        /// What was named.
        path: PathBuf,
    },
    /// What was named is neither file nor folder.
    #[error("{} is neither a file nor a folder", path.display())]
    Special {
        /// What was named.
        path: PathBuf,
    },
    /// It does not fit in a manifest.
    #[error("cannot send {}: {source}", path.display())]
    Manifest {
        /// Which of it.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
}

impl Scan {
    /// Looks at everything.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, ScanError> {
        let mut scan = Self {
            manifest: Manifest::new(),
            skipped: Vec::new(),
            roots: Vec::new(),
        };
        for path in paths {
            scan.root(path)?;
        }
        Ok(scan)
    }

    /// Where an entry is on this side.
    pub(super) fn source(&self, number: u32) -> PathBuf {
        let root = self.manifest.root(number);
        let at = self
            .roots
            .binary_search_by_key(&root, |(number, _)| *number);
        let Some((_, path)) = at.ok().and_then(|at| self.roots.get(at)) else {
            return PathBuf::new();
        };
        let within: PathBuf = self.manifest.path(number).iter().skip(1).collect();
        match number == root {
            true => path.clone(),
            false => path.join(within),
        }
    }

    /// Whether it was named itself, and may be reached over a link.
    pub(super) fn is_root(&self, number: u32) -> bool {
        self.manifest.root(number) == number
    }

    fn root(&mut self, path: &Path) -> Result<(), ScanError> {
        let unreadable = |source| ScanError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        let name = match path.file_name() {
            Some(name) => name.to_owned(),
            // `.` and `folder/..` have a name, though it is not written there.
            None => {
                let whole = path.canonicalize().map_err(unreadable)?;
                whole
                    .file_name()
                    .map(ToOwned::to_owned)
                    .ok_or_else(|| ScanError::NoName {
                        path: path.to_owned(),
                    })?
            }
        };
        let Some(kind) = kind(&metadata) else {
            let path = path.to_owned();
            return Err(ScanError::Special { path });
        };
        let is_folder = matches!(kind, Kind::Folder { .. });
        if !is_folder {
            fs::File::open(path).map_err(unreadable)?;
        }
        let number = self.push(path, None, name.into_vec(), kind)?;
        self.roots.push((number, path.to_owned()));
        match is_folder {
            true => self.folder(path, number, 1),
            false => Ok(()),
        }
    }

    /// Depth-first, so that what lies together is read together.
    fn folder(&mut self, path: &Path, number: u32, depth: u16) -> Result<(), ScanError> {
        let listed = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Ok(mut listed) = listed else {
            self.skipped.push((path.to_owned(), Skip::Unreadable));
            return Ok(());
        };
        listed.sort_by_key(fs::DirEntry::file_name);
        for entry in listed {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else {
                self.skipped.push((path, Skip::Unreadable));
                continue;
            };
            let kind = match metadata.is_symlink() {
                true => link(&path, depth),
                false => kind(&metadata).ok_or(Skip::Special),
            };
            let kind = match kind {
                Ok(kind) => kind,
                Err(why) => {
                    self.skipped.push((path, why));
                    continue;
                }
            };
            let is_folder = matches!(kind, Kind::Folder { .. });
            let child = self.push(&path, Some(number), entry.file_name().into_vec(), kind)?;
            if is_folder {
                self.folder(&path, child, depth + 1)?;
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        path: &Path,
        parent: Option<u32>,
        name: Vec<u8>,
        kind: Kind,
    ) -> Result<u32, ScanError> {
        let entry = Entry { parent, name, kind };
        self.manifest
            .push(entry)
            .map_err(|source| ScanError::Manifest {
                path: path.to_owned(),
                source,
            })
    }
}

fn link(path: &Path, depth: u16) -> Result<Kind, Skip> {
    let target = fs::read_link(path).map_err(|_| Skip::Unreadable)?;
    let target = target.as_os_str().as_bytes().to_vec();
    match super::manifest::stays_inside(&target, depth) {
        true => Ok(Kind::Link { target }),
        false => Err(Skip::Link),
    }
}

fn kind(metadata: &Metadata) -> Option<Kind> {
    let mode = metadata.mode() & 0o777;
    let modified = modified(metadata);
    if metadata.is_dir() {
        return Some(Kind::Folder { mode, modified });
    }
    metadata.is_file().then_some(Kind::File {
        mode,
        modified,
        size: metadata.len(),
    })
}

/// When something was changed last.
pub(super) fn modified(metadata: &Metadata) -> Stamp {
    Stamp {
        seconds: metadata.mtime(),
        nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_is_told_with_all_that_may_leave_it() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("tree");
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::write(root.join("b/c/file"), b"12345").unwrap();
        fs::write(root.join("a"), b"1").unwrap();
        fs::write(home.path().join("secret"), b"not this").unwrap();
        symlink("c/file", root.join("b/inside")).unwrap();
        symlink("../../secret", root.join("b/outside")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let scan = Scan::of(std::slice::from_ref(&root)).unwrap();
        let paths: Vec<_> = scan
            .manifest
            .iter()
            .map(|(n, _)| scan.manifest.path(n))
            .collect();
        let expected = [
            "tree",
            "tree/a",
            "tree/b",
            "tree/b/c",
            "tree/b/c/file",
            "tree/b/inside",
        ];
        assert_eq!(paths, expected.map(PathBuf::from));
        assert_eq!((scan.manifest.files(), scan.manifest.bytes()), (2, 6));
        assert_eq!(scan.source(4), root.join("b/c/file"));
        let mut skipped = scan.skipped;
        skipped.sort();
        let expected = [
            (root.join("absolute"), Skip::Link),
            (root.join("b/outside"), Skip::Link),
            (root.join("pipe"), Skip::Special),
        ];
        assert_eq!(skipped, expected);
    }

    #[test]
    fn what_is_named_is_followed_and_has_a_name() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), b"12345").unwrap();
        symlink("file", home.path().join("link")).unwrap();
        let scan = Scan::of(&[home.path().join("link")]).unwrap();
        assert_eq!(scan.manifest.path(0), PathBuf::from("link"));
        assert_eq!(scan.manifest.size(0), Some(5));
        let scan = Scan::of(&[home.path().join(".")]).unwrap();
        assert_eq!(
            Some(scan.manifest.path(0).as_os_str()),
            home.path().file_name()
        );
        assert!(matches!(
            Scan::of(&["/".into()]),
            Err(ScanError::NoName { .. })
        ));
        let missing = Scan::of(&[home.path().join("missing")]);
        assert!(matches!(missing, Err(ScanError::Unreadable { .. })));
    }

    #[test]
    fn two_things_of_the_same_name_cannot_be_sent_together() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("a")).unwrap();
        for file in ["x", "a/x"] {
            fs::write(home.path().join(file), b"1").unwrap();
        }
        let both = Scan::of(&[home.path().join("x"), home.path().join("a/x")]);
        assert!(matches!(both, Err(ScanError::Manifest { .. })));
    }
}
