//! What is offered: folders, files and links, each in a folder named before it.
//!
//! An entry names its folder by number and itself by one component, so no path ever comes over the
//! wire. Whoever receives a manifest builds it with [`Manifest::push`], which refuses everything that
//! could lead out of the folder it is unpacked in.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Most entries: a few hundred bytes each while a transfer lasts. The largest source trees have some
/// hundred thousand.
pub const MAX_ENTRIES: usize = 1_000_000;

/// Most bytes of names and link targets together: what a hostile manifest can make us hold.
pub(super) const MAX_NAMES: usize = 64 << 20;

/// Longest name, bytes: what file systems take.
const MAX_NAME: usize = 255;

/// Longest target of a link, bytes.
const MAX_TARGET: usize = 4095;

/// Folders within one another. Deeper trees are longer than a path may be.
const MAX_DEPTH: u16 = 256;

/// Largest file, bytes: 4 TiB, whose digests take some 200 MB.
pub const MAX_FILE: u64 = 1 << 42;

/// Largest sum of sizes, bytes: no disk holds it, and no sum of it overflows.
const MAX_TOTAL: u64 = 1 << 60;

/// The name under which unfinished transfers are kept; nothing that is offered may be called so.
pub(super) const STAGE: &str = ".gimlet-partial";

/// A point in time as file systems keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

/// One thing offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The number of the folder that it is in; `None` for what was named on its own.
    pub(super) parent: Option<u32>,
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder {
        mode: u32,
        modified: Stamp,
    },
    File {
        mode: u32,
        modified: Stamp,
        size: u64,
    },
    Link {
        target: Vec<u8>,
    },
}

/// Why a manifest is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More entries than [`MAX_ENTRIES`].
    #[error("more than {MAX_ENTRIES} files and folders")]
    TooMany,
    /// The names take too much memory.
    #[error("names of more than {MAX_NAMES} bytes together")]
    TooLong,
    /// Folders nested too deep.
    #[error("folders nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A file beyond [`MAX_FILE`], or a sum that no disk holds.
    #[error("a file larger than 4 TiB")]
    TooLarge,
    /// Not one plain component: empty, `.`, `..`, with a slash or a zero byte, too long, or ours.
    #[error("a name that is no plain file name")]
    Name,
    /// The same name twice in a folder.
    #[error("the same name twice in a folder")]
    Duplicate,
    /// Its folder is no folder named before it.
    #[error("an entry in what is no folder")]
    Parent,
    /// A link that leads, or could lead, out of the folder that was sent.
    #[error("a link that leads out of its folder")]
    Link,
}

/// Checked entries, parents first.
#[derive(Debug)]
pub(super) struct Manifest {
    entries: Vec<Entry>,
    places: Vec<Place>,
    names: HashSet<u64>,
    hasher: RandomState,
    name_bytes: usize,
    files: u32,
    bytes: u64,
}

/// Where an entry is in the forest.
#[derive(Debug, Clone, Copy)]
struct Place {
    root: u32,
    depth: u16,
}

impl Manifest {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            places: Vec::new(),
            names: HashSet::new(),
            hasher: RandomState::new(),
            name_bytes: 0,
            files: 0,
            bytes: 0,
        }
    }

    /// Takes one more entry; its number.
    pub(super) fn push(&mut self, entry: Entry) -> Result<u32, ManifestError> {
        if self.entries.len() >= MAX_ENTRIES {
            return Err(ManifestError::TooMany);
        }
        let number = u32::try_from(self.entries.len()).map_err(|_| ManifestError::TooMany)?;
        if !is_plain(&entry.name) {
            return Err(ManifestError::Name);
        }
        let place = match entry.parent {
            None if entry.name == STAGE.as_bytes() => return Err(ManifestError::Name),
            None => Place {
                root: number,
                depth: 0,
            },
            Some(parent) => {
                let folder = self.entries.get(parent as usize);
                if !folder.is_some_and(|e| matches!(e.kind, Kind::Folder { .. })) {
                    return Err(ManifestError::Parent);
                }
                let Place { root, depth } = self.places[parent as usize];
                let depth = depth + 1;
                Place { root, depth }
            }
        };
        if place.depth > MAX_DEPTH {
            return Err(ManifestError::TooDeep);
        }
        let mut name_bytes = self.name_bytes + entry.name.len();
        let (mut files, mut bytes) = (self.files, self.bytes);
        match &entry.kind {
            Kind::Folder { .. } => (),
            Kind::File { size, .. } => {
                if *size > MAX_FILE {
                    return Err(ManifestError::TooLarge);
                }
                files += 1;
                bytes += size;
            }
            Kind::Link { target } => {
                // Of the folders above it, all but the outermost lie within what was sent.
                if !stays_inside(target, place.depth) {
                    return Err(ManifestError::Link);
                }
                name_bytes += target.len();
            }
        }
        if bytes > MAX_TOTAL {
            return Err(ManifestError::TooLarge);
        }
        if name_bytes > MAX_NAMES {
            return Err(ManifestError::TooLong);
        }
        // The key is random, so nobody can make two names collide, and chance won't.
        let name = self.hasher.hash_one((entry.parent, &entry.name));
        if !self.names.insert(name) {
            return Err(ManifestError::Duplicate);
        }
        (self.name_bytes, self.files, self.bytes) = (name_bytes, files, bytes);
        self.entries.push(entry);
        self.places.push(place);
        Ok(number)
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("push counts")
    }

    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)
    }

    /// All entries, in the order of their numbers.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All entries with their numbers.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &Entry)> {
        (0..self.len()).zip(&self.entries)
    }

    /// Size of an entry that is a file.
    pub(super) fn size(&self, number: u32) -> Option<u64> {
        match self.get(number)?.kind {
            Kind::File { size, .. } => Some(size),
            Kind::Folder { .. } | Kind::Link { .. } => None,
        }
    }

    /// What was named on its own and has this entry in it, or is it.
    pub(super) fn root(&self, number: u32) -> u32 {
        self.places[number as usize].root
    }

    pub(super) fn files(&self) -> u32 {
        self.files
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From what was named on its own down to the entry.
    pub(super) fn path(&self, number: u32) -> PathBuf {
        let mut names = Vec::new();
        let mut next = Some(number);
        while let Some(entry) = next.and_then(|number| self.get(number)) {
            names.push(OsStr::from_bytes(&entry.name));
            next = entry.parent;
        }
        names.iter().rev().collect()
    }
}

fn is_plain(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..")
        && name.len() <= MAX_NAME
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

/// Whether a link in a folder can't lead out of the tree, `depth` levels of which are above it.
///
/// The folders above a link are real, so `..` at the beginning climbs as far as it says; what follows
/// goes down, or through links of which the same holds. `..` after a name could begin anywhere.
pub(super) fn stays_inside(target: &[u8], depth: u16) -> bool {
    if target.is_empty() || target.len() > MAX_TARGET || target[0] == b'/' || target.contains(&0) {
        return false;
    }
    let parts = target.split(|&byte| byte == b'/');
    let mut parts = parts.filter(|part| !matches!(*part, b"" | b"."));
    let mut climbed = 0;
    for part in parts.by_ref() {
        if part != b".." {
            break;
        }
        climbed += 1;
    }
    climbed < depth && parts.all(|part| part != b"..")
}

#[cfg(test)]
mod tests;
