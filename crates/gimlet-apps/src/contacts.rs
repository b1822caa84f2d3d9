//! Peers a person knows by name: what a key was called, kept on this machine.
//!
//! A server's names are a convenience that the server vouches for. What is written here is this
//! user's own: a [*kept*](How::Kept) contact is a name that the user gave a key, after a [code](crate::code)
//! or by hand, and means that key whatever any server says. A [*seen*](How::Seen) one is a server's name
//! and the key that answered to it the first time. It is no contact, but it tells when the name has
//! another key some day: see [`Contacts::judge`].
//!
//! [`Contacts`] is the table; [`ContactsFile`] is where it lives.

mod file;

use std::fmt;

use gimlet::{Name, PeerId};

pub use file::{ContactsFile, ContactsFileError};

/// Entries of one user: far more than anybody dials, and quickly read.
const MAX_ENTRIES: usize = 4096;

/// One name and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// What this user calls it, or for a seen one the server.
    pub name: Name,
    /// Who it is.
    pub peer: PeerId,
    /// When this name and key were first seen together, seconds since 1970.
    pub first_seen: u64,
    /// How it came here.
    pub how: How,
}

/// How an entry came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The user keeps this peer under a name of their own choice.
    Kept,
    /// A server's name, and who answered to it first.
    Seen,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Seen => "seen",
        })
    }
}

/// What to think of the key that a server gives for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Not seen before: note it once it has proven its key.
    New,
    /// The same as ever.
    Same,
    /// Another key than before: a new device, or somebody in another's place. Don't go on unless
    /// the user says so.
    Changed {
        /// What it was.
        was: Contact,
    },
}

/// Why a contact cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The name is another contact's.
    #[error("{name} is already {}; remove that contact first, or choose another name", .peer.short())]
    Taken {
        /// The name.
        name: Name,
        /// Whose it is.
        peer: PeerId,
    },
    /// There are as many as are kept.
    #[error("there are 4096 contacts already; remove some")]
    Full,
}

/// All entries, by name. A name has one entry; a key may have several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts {
    entries: Vec<Contact>,
}

impl Contacts {
    /// The contacts that the user keeps, by name.
    pub fn kept(&self) -> impl Iterator<Item = &Contact> {
        self.iter().filter(|contact| contact.how == How::Kept)
    }

    /// All entries, seen ones too, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.entries.iter()
    }

    /// The contact that the user keeps under that text.
    pub fn named(&self, text: &str) -> Option<&Contact> {
        self.kept().find(|contact| contact.name.as_str() == text)
    }

    /// What the user calls a key.
    pub fn name_of(&self, peer: PeerId) -> Option<&Name> {
        let mut kept = self.kept();
        kept.find(|contact| contact.peer == peer)
            .map(|contact| &contact.name)
    }

    /// Keeps a peer under a name. What was only seen under it gives way.
    ///
    /// # Errors
    ///
    /// [`KeepError`]: another peer is kept under that name, or there are too many.
    pub fn keep(&mut self, name: Name, peer: PeerId, unix_s: u64) -> Result<(), KeepError> {
        let first_seen = match self.entries.iter().find(|entry| entry.name == name) {
            Some(known) if known.how == How::Kept && known.peer != peer => {
                let peer = known.peer;
                return Err(KeepError::Taken { name, peer });
            }
            Some(known) if known.peer == peer => known.first_seen,
            Some(_) | None => unix_s,
        };
        let contact = Contact {
            name,
            peer,
            first_seen,
            how: How::Kept,
        };
        match self.put(contact) {
            true => Ok(()),
            false => Err(KeepError::Full),
        }
    }

    /// Forgets a name, kept or seen.
    pub fn remove(&mut self, name: &Name) -> Option<Contact> {
        let at = self.position(name).ok()?;
        Some(self.entries.remove(at))
    }

    /// What to think of a server that says `name` is `peer`.
    pub fn judge(&self, name: &Name, peer: PeerId) -> Judgement {
        match self.position(name).ok().map(|at| &self.entries[at]) {
            None => Judgement::New,
            Some(known) if known.peer == peer => Judgement::Same,
            Some(known) => Judgement::Changed { was: known.clone() },
        }
    }

    /// Notes whom a server's name led to. A kept name stays as it is; when there are too many
    /// entries, nothing is noted.
    pub fn see(&mut self, name: Name, peer: PeerId, unix_s: u64) {
        let known = self.position(&name).ok().map(|at| &self.entries[at]);
        if known.is_some_and(|known| known.how == How::Kept || known.peer == peer) {
            return;
        }
        let how = How::Seen;
        let first_seen = unix_s;
        self.put(Contact {
            name,
            peer,
            first_seen,
            how,
        });
    }

    /// Puts an entry in its place, or in that of the one with its name. False where there is no room.
    fn put(&mut self, contact: Contact) -> bool {
        match self.position(&contact.name) {
            Ok(at) => self.entries[at] = contact,
            Err(_) if self.entries.len() >= MAX_ENTRIES => return false,
            Err(at) => self.entries.insert(at, contact),
        }
        true
    }

    fn position(&self, name: &Name) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.name.cmp(name))
    }
}

#[cfg(test)]
mod tests;
