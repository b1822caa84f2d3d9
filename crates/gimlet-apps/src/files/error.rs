//! Why a transfer was not received.

use std::io;
use std::path::PathBuf;

use gimlet::CloseReason;

use super::manifest::ManifestError;
use super::{DISK, EXISTS, GONE, MISBEHAVED, NO_SPACE};
use crate::NOT_SERVED;

/// Why a transfer ended before everything was here. What is here is kept, and the next attempt at the
/// same goes on with it. [`is_interruption`](Self::is_interruption) tells whether to just try again.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection ended.
    #[error("lost the sender: {0}")]
    Lost(CloseReason),
    /// Nothing came for ten seconds.
    #[error("lost the sender: it has gone silent")]
    Silent,
    /// The sender ended it.
    #[error("the sender ended it: {reason}")]
    Refused {
        /// One of the codes of `docs/protocol.md`.
        code: u64,
        /// In its words.
        reason: String,
    },
    /// Both sides receive.
    #[error("the other side receives, too; one has to send (`gimlet send`)")]
    BothReceive,
    /// There is something else in the target folder already.
    #[error("{} is there already, and is another one", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// The disk is full, nothing may be written there, or it fails.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// What could not be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program receives the same at the moment.
    #[error("another program is receiving the same from this peer into this folder")]
    Twice,
    /// What is offered is refused.
    #[error("what is offered is refused: {0}")]
    Manifest(#[from] ManifestError),
    /// Bytes came that are not what the sender said of them.
    #[error("the sender sent other bytes than it announced")]
    Corrupt,
    /// The sender did what no sender does.
    #[error("the sender does not keep to the protocol; are both of the same version?")]
    Misbehaved,
}

impl ReceiveError {
    /// Whether the same again may go on where this ended.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Silent => true,
            Self::Refused { .. }
            | Self::BothReceive
            | Self::Exists { .. }
            | Self::Disk { .. }
            | Self::Twice
            | Self::Manifest(_)
            | Self::Corrupt
            | Self::Misbehaved => false,
        }
    }

    /// What the connection is closed with: for the sender to read.
    pub(super) fn goodbye(&self) -> Option<(u32, String)> {
        let name = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        match self {
            Self::Lost(_) | Self::Refused { .. } => None,
            Self::Silent => Some((GONE, "silent".to_owned())),
            Self::BothReceive => Some((NOT_SERVED, "both sides receive".to_owned())),
            Self::Exists { path } => {
                Some((EXISTS, format!("it has another {} already", name(path))))
            }
            Self::Disk { source, .. } if is_full(source) => {
                Some((NO_SPACE, "its disk is full".to_owned()))
            }
            Self::Disk { path, source } => {
                let why = source.kind();
                Some((DISK, format!("it cannot write {}: {why}", name(path))))
            }
            Self::Twice => Some((DISK, "it is receiving the same already".to_owned())),
            Self::Manifest(error) => Some((MISBEHAVED, format!("it refuses {error}"))),
            Self::Corrupt => Some((MISBEHAVED, "it got other bytes than announced".to_owned())),
            Self::Misbehaved => Some((MISBEHAVED, "protocol violation".to_owned())),
        }
    }

    /// Whether the disk, or this user's part of it, is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if is_full(source))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_told_what_it_can_do_something_about_and_no_path() {
        let disk = |kind: io::ErrorKind| ReceiveError::Disk {
            path: "/home/bob/secret folder/a.iso".into(),
            source: kind.into(),
        };
        let full = disk(io::ErrorKind::StorageFull);
        assert!(full.is_disk_full());
        assert_eq!(
            full.goodbye(),
            Some((NO_SPACE, "its disk is full".to_owned()))
        );
        let denied = disk(io::ErrorKind::PermissionDenied);
        let told = "it cannot write a.iso: permission denied".to_owned();
        assert_eq!(denied.goodbye(), Some((DISK, told)));
        assert!(!denied.is_interruption());
    }
}
