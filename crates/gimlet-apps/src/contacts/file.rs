//! The file of contacts: TOML that people can read and edit, replaced as a whole.
//!
//! ```toml
//! [[contact]]
//! name = "bob"
//! id = "k3xf9ay6tw…"
//! first_seen = 1790000000
//! how = "kept"
//! ```
//!
//! Whoever changes it holds a lock on a file beside it, reads, changes, writes a new file, and renames
//! that over the old one: two commands at once lose nothing, and a crash leaves the old or the new.
//! Readers need no lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use gimlet::{Name, PeerId};
use serde::{Deserialize, Serialize};

use super::{Contact, Contacts, How, MAX_ENTRIES};

/// Longest file read: as many entries as there may be, some 150 bytes each, and comments.
const MAX_FILE: u64 = 2 << 20;

/// What stands above the entries.
const HEADER: &str = "\
# Peers by name. \"kept\" ones are contacts; \"seen\" ones are names a server gave, and who answered to
# them first. Comments of your own are lost when gimlet writes this file.
";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContactsFileError {
    /// The file or its folder cannot be read or written.
    #[error("cannot use the contacts in {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not such a file.
    #[error("the contacts in {} cannot be read: {source}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// Too long for a file of contacts.
    #[error("{} is too large for a file of contacts; is it another file?", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
}

/// Where the contacts of a user are. Calls block for a moment, as files do.
#[derive(Debug, Clone)]
pub struct ContactsFile {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    contact: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(with = "text")]
    name: Name,
    #[serde(with = "text")]
    id: PeerId,
    #[serde(default)]
    first_seen: u64,
    #[serde(default)]
    how: EntryHow,
}

/// What a person writes by hand is kept.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EntryHow {
    #[default]
    Kept,
    Seen,
}

impl ContactsFile {
    /// Names the file; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Which file it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the contacts; none where there is no file.
    ///
    /// # Errors
    ///
    /// [`ContactsFileError`]: there is one that cannot be used.
    pub fn load(&self) -> Result<Contacts, ContactsFileError> {
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contacts::default()),
            Err(error) => return Err(self.io(error)),
            Ok(file) => file.take(MAX_FILE + 1).read_to_string(&mut text),
        }
        .map_err(|error| self.io(error))?;
        if text.len() as u64 > MAX_FILE {
            return Err(self.too_large());
        }
        let document: Document = toml::from_str(&text).map_err(|source| {
            let path = self.path.clone();
            ContactsFileError::Malformed { path, source }
        })?;
        if document.contact.len() > MAX_ENTRIES {
            return Err(self.too_large());
        }
        let mut contacts = Contacts::default();
        for entry in document.contact {
            contacts.put(entry.into());
        }
        Ok(contacts)
    }

    /// Changes the contacts: reads, lets `change` do its work, and writes if that is `Ok`.
    ///
    /// # Errors
    ///
    /// [`ContactsFileError`] as it is, and what `change` returns inside: then nothing was written.
    pub fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Contacts) -> Result<T, E>,
    ) -> Result<Result<T, E>, ContactsFileError> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(|error| self.io(error))?;
        let lock = private().open(self.beside("lock"));
        let lock = lock.map_err(|error| self.io(error))?;
        lock.lock().map_err(|error| self.io(error))?;
        let before = self.load()?;
        let mut contacts = before.clone();
        let done = change(&mut contacts);
        if done.is_ok() && contacts != before {
            let written = self.replace(&contacts, folder);
            written.map_err(|error| self.io(error))?;
        }
        Ok(done)
    }

    fn replace(&self, contacts: &Contacts, folder: &Path) -> io::Result<()> {
        let contact = contacts.iter().cloned().map(Entry::from).collect();
        let text = toml::to_string(&Document { contact }).map_err(io::Error::other)?;
        let temporary = self.beside("new");
        // Left by a crash; nobody else is here, because of the lock.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (),
        }
        let mut file = private().open(&temporary)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        // Where folders can't be synced, the system decides when the name is on disk.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".");
        name.push(suffix);
        name.into()
    }

    fn io(&self, source: io::Error) -> ContactsFileError {
        let path = self.path.clone();
        ContactsFileError::Io { path, source }
    }

    fn too_large(&self) -> ContactsFileError {
        let path = self.path.clone();
        ContactsFileError::TooLarge { path }
    }
}

/// Whom somebody knows is nobody else's business.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl From<Entry> for Contact {
    fn from(entry: Entry) -> Self {
        Self {
            name: entry.name,
            peer: entry.id,
            first_seen: entry.first_seen,
            how: match entry.how {
                EntryHow::Kept => How::Kept,
                EntryHow::Seen => How::Seen,
            },
        }
    }
}

impl From<Contact> for Entry {
    fn from(contact: Contact) -> Self {
        Self {
            name: contact.name,
            id: contact.peer,
            first_seen: contact.first_seen,
            how: match contact.how {
                How::Kept => EntryHow::Kept,
                How::Seen => EntryHow::Seen,
            },
        }
    }
}

/// Names and ids as people write them.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
