//! What whoever runs a transfer hears of it: how far it is, and what became of each file.

use std::fmt;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of files that have arrived and are verified, those of earlier attempts included.
    pub bytes: u64,
    /// Bytes of all files offered.
    pub total: u64,
    /// Of `bytes`, those that were there before this attempt began.
    pub resumed: u64,
    /// Files that are done.
    pub files: u32,
    /// Files offered.
    pub total_files: u32,
}

/// Something that happened in a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It is known what is offered.
    Offered {
        /// Files.
        files: u32,
        /// Bytes of all of them.
        bytes: u64,
    },
    /// The receiver has compared with what it has, and data flows.
    Began {
        /// Bytes that need not be sent.
        resumed: u64,
    },
    /// Something is not offered; only whoever sends knows.
    Skipped {
        /// From what was named.
        name: String,
        /// Why not.
        why: Skip,
    },
    /// A file is sent anew although a part of it was there; only whoever receives knows.
    Restarted {
        /// From what was named.
        name: String,
        /// Why.
        why: Restart,
    },
    /// A file has arrived and is right.
    Finished(FileReport),
    /// A file has not arrived, and won't in this attempt; only whoever receives knows.
    Failed {
        /// From what was named.
        name: String,
        /// Why.
        why: Fault,
    },
    /// What was named stands in the target folder now; only whoever receives knows.
    Installed {
        /// The name in the target folder.
        name: String,
    },
}

/// A file that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// From what was named; what is no UTF-8 is replaced.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3 hash, as `b3sum` prints it.
    pub hash: [u8; 32],
    /// From its first byte in this attempt on.
    pub elapsed: Duration,
    /// Bytes that earlier attempts had brought.
    pub resumed: u64,
}

impl FileReport {
    /// The hash in hexadecimal digits.
    pub fn hash_text(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }
}

/// What a transfer came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that have arrived.
    pub files: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, bytes that earlier attempts had brought.
    pub resumed: u64,
    /// Files that have not arrived, although everything else has.
    pub failed: u32,
}

/// Why something in a folder is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Skip {
    /// A link that leads out of the folder.
    Link,
    /// Neither file nor folder nor link.
    Special,
    /// It can't be looked at.
    Unreadable,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "a link that leads out of the folder",
            Self::Special => "neither file nor folder",
            Self::Unreadable => "it can't be read",
        })
    }
}

/// Why a file is sent anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// Its size or its time is another one than in the attempt before.
    Changed,
    /// Its hash differs: it was changed and given the old time.
    Differs,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "it was changed since the last attempt",
            Self::Differs => "its content is another one than in the last attempt",
        })
    }
}

/// Why a file has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It was changed while it was sent.
    Changed,
    /// The sender can't read it.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "it was changed while it was sent",
            Self::Unreadable => "the sender can't read it",
        })
    }
}

/// Where a transfer tells what happens.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// At most a few for each file that the manifest may have.
    events: Option<mpsc::UnboundedSender<Event>>,
    progress: watch::Sender<Progress>,
}

/// What a transfer tells.
#[derive(Debug)]
pub struct Reports {
    events: mpsc::UnboundedReceiver<Event>,
    progress: watch::Receiver<Progress>,
}

impl Reporter {
    /// And where it is heard.
    pub fn new() -> (Self, Reports) {
        let (sender, events) = mpsc::unbounded_channel();
        let reporter = Self {
            events: Some(sender),
            progress: watch::Sender::default(),
        };
        let progress = reporter.progress.subscribe();
        (reporter, Reports { events, progress })
    }

    /// For those who need only the outcome.
    pub fn silent() -> Self {
        Self {
            events: None,
            progress: watch::Sender::default(),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // Nobody listens any more.
            let _ = events.send(event);
        }
    }

    pub(super) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    /// How far it is now.
    pub fn now(&self) -> Progress {
        *self.progress.borrow()
    }
}

impl Reports {
    /// The next event; `None` when the transfer is over and all were told.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that has happened already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// How far it is now.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }
}
