//! Why a transfer ended early, for who sends.

use gimlet::CloseReason;

use crate::NOT_SERVED;
use crate::files::walk::ScanError;
use crate::files::{GONE, MISBEHAVED, UNREADABLE};

/// Why a transfer ended before the receiver had everything. [`is_interruption`](Self::is_interruption)
/// tells whether it can go on where it was.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// What is offered can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The connection ended.
    #[error("lost the receiver: {0}")]
    Lost(CloseReason),
    /// Nothing came for ten seconds.
    #[error("lost the receiver: it has gone silent")]
    Silent,
    /// The receiver does not want it, or can't take it.
    #[error("the receiver ended it: {reason}")]
    Refused {
        /// One of the codes of `docs/protocol.md`.
        code: u64,
        /// In its words.
        reason: String,
    },
    /// Both sides send.
    #[error("the other side sends, too; one has to receive (`gimlet recv`)")]
    BothSend,
    /// The receiver did what no receiver does.
    #[error("the receiver does not keep to the protocol; are both of the same version?")]
    Misbehaved,
}

impl SendError {
    /// Whether the same again may go on where this ended.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Silent => true,
            Self::Scan(_) | Self::Refused { .. } | Self::BothSend | Self::Misbehaved => false,
        }
    }

    /// What the connection is closed with.
    pub(super) fn goodbye(&self) -> Option<(u32, &'static [u8])> {
        match self {
            Self::Scan(_) => Some((UNREADABLE, b"the sender can't read what it offers")),
            Self::BothSend => Some((NOT_SERVED, b"both sides send")),
            Self::Misbehaved => Some((MISBEHAVED, b"protocol violation")),
            Self::Silent => Some((GONE, b"silent")),
            Self::Lost(_) | Self::Refused { .. } => None,
        }
    }
}
