//! Folders by descriptor: every step names one component, and none follows a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{
    self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::Errno;

use super::manifest::Stamp;

/// What the owner of a file may do while it is filled.
const OWNER: u32 = 0o600;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// What a name stands for, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) what: What,
    pub(super) modified: Stamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File { size: u64 },
    Folder,
    Link,
    Special,
}

impl From<Stat> for Look {
    fn from(stat: Stat) -> Self {
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => What::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
            },
            FileType::Directory => What::Folder,
            FileType::Symlink => What::Link,
            _ => What::Special,
        };
        Self {
            what,
            modified: Stamp {
                seconds: stat.st_mtime,
                nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
        }
    }
}

impl Folder {
    /// One that this side's user has named; links on the way are theirs.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::open(path, flags, Mode::empty())?))
    }

    /// A folder in this one.
    pub(super) fn folder(&self, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(fs::openat(&self.0, os(name), flags, Mode::empty())?))
    }

    /// A folder in this one, made where it is not there; the user's umask applies to `mode`, and its
    /// owner can always get in.
    pub(super) fn make_folder(&self, name: &[u8], mode: u32) -> io::Result<Self> {
        let mode = Mode::from_raw_mode(mode & 0o777 | 0o700);
        match fs::mkdirat(&self.0, os(name), mode) {
            Ok(()) | Err(Errno::EXIST) => self.folder(name),
            Err(error) => Err(error.into()),
        }
    }

    /// A new file; the user's umask applies to `mode`, and its owner can write it.
    pub(super) fn create(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777 | OWNER);
        Ok(fs::openat(&self.0, os(name), flags, mode)?.into())
    }

    /// A file of ours, made where it is not there.
    pub(super) fn open_or_create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(fs::openat(&self.0, os(name), flags, mode)?.into())
    }

    /// A file that is there.
    pub(super) fn file(&self, name: &[u8], writable: bool) -> io::Result<File> {
        let access = match writable {
            true => OFlags::RDWR,
            false => OFlags::RDONLY,
        };
        // A pipe of that name must not hold us up.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = fs::openat(&self.0, os(name), flags, Mode::empty())?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// A new link.
    pub(super) fn link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(os(target), &self.0, os(name))?)
    }

    /// What is there by that name.
    pub(super) fn look(&self, name: &[u8]) -> io::Result<Option<Look>> {
        match fs::statat(&self.0, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves something to another folder of the file system, in one step. Where nothing may be
    /// replaced and something is there, [`io::ErrorKind::AlreadyExists`].
    pub(super) fn rename(
        &self,
        name: &[u8],
        to: &Self,
        to_name: &[u8],
        replace: bool,
    ) -> io::Result<()> {
        if replace {
            return Ok(fs::renameat(&self.0, os(name), &to.0, os(to_name))?);
        }
        let flags = RenameFlags::NOREPLACE;
        match fs::renameat_with(&self.0, os(name), &to.0, os(to_name), flags) {
            // Some file systems can't: then there is a moment between looking and moving.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match to.look(to_name)? {
                Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                None => Ok(fs::renameat(&self.0, os(name), &to.0, os(to_name))?),
            },
            done => Ok(done?),
        }
    }

    /// The names of all that is in it.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Removes a file, a link, or a folder with all that is in it; nothing where nothing is.
    pub(super) fn remove(&self, name: &[u8]) -> io::Result<()> {
        match fs::unlinkat(&self.0, os(name), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => (),
            Err(error) => return Err(error.into()),
        }
        let folder = self.folder(name)?;
        for name in folder.names()? {
            folder.remove(&name)?;
        }
        Ok(fs::unlinkat(&self.0, os(name), AtFlags::REMOVEDIR)?)
    }

    /// Removes a folder that is empty.
    pub(super) fn remove_empty(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, os(name), AtFlags::REMOVEDIR)?)
    }

    /// Sets when this folder was changed last.
    pub(super) fn set_modified(&self, modified: Stamp) -> io::Result<()> {
        Ok(fs::futimens(&self.0, &times(modified))?)
    }

    /// Has the system write the folder itself to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.0)?)
    }

    /// Has the system write everything of this file system to disk: for ten thousand files that is a
    /// call instead of ten thousand.
    #[cfg(target_os = "linux")]
    pub(super) fn sync_all(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.0)?)
    }

    /// Has the system write everything in this folder to disk.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn sync_all(&self) -> io::Result<()> {
        for name in self.names()? {
            match self.look(&name)?.map(|look| look.what) {
                Some(What::Folder) => self.folder(&name)?.sync_all()?,
                Some(What::File { .. }) => self.file(&name, false)?.sync_all()?,
                Some(What::Link | What::Special) | None => (),
            }
        }
        self.sync()
    }
}

/// Gives a file that [`Folder::create`] made its time, and takes from its owner what its mode does not
/// have. The file stays as the umask left it.
pub(super) fn finish_file(file: &File, mode: u32, modified: Stamp) -> io::Result<()> {
    if mode & OWNER != OWNER {
        let now = file.metadata()?.mode();
        fs::fchmod(file, Mode::from_raw_mode(now & mode & 0o777))?;
    }
    Ok(fs::futimens(file, &times(modified))?)
}

fn times(modified: Stamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanos.into(),
        },
    }
}

fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}
