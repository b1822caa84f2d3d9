//! A file that is read, as long as it is what was offered.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use crate::files::manifest::{Kind, Stamp};
use crate::files::record::Failure;
use crate::files::walk::{self, Scan};

/// An open file.
pub(super) struct Source {
    pub(super) file: File,
    pub(super) size: u64,
    modified: Stamp,
}

impl Source {
    /// Opens a file that is still what the manifest says.
    pub(super) fn open(scan: &Scan, entry: u32) -> Result<Self, Failure> {
        let Some(Kind::File { size, modified, .. }) =
            scan.manifest.get(entry).map(|entry| &entry.kind)
        else {
            return Err(Failure::Unreadable);
        };
        let mut options = File::options();
        options.read(true);
        let mut flags = rustix::fs::OFlags::NONBLOCK;
        if !scan.is_root(entry) {
            // It was no link when it was offered.
            flags |= rustix::fs::OFlags::NOFOLLOW;
        }
        options.custom_flags(flags.bits() as i32);
        let opened = options.open(scan.source(entry));
        let file = opened.map_err(|error| {
            let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
            match is_link || error.kind() == io::ErrorKind::NotFound {
                true => Failure::Changed,
                false => Failure::Unreadable,
            }
        })?;
        let source = Self {
            file,
            size: *size,
            modified: *modified,
        };
        match source.is_unchanged() {
            true => Ok(source),
            false => Err(Failure::Changed),
        }
    }

    /// Whether it still has the size and the time of the manifest.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| {
            let is_same = walk::modified(&metadata) == self.modified;
            metadata.is_file() && metadata.len() == self.size && is_same
        })
    }
}

/// Why a file could not be read.
pub(super) fn broken(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Changed,
        _ => Failure::Unreadable,
    }
}
