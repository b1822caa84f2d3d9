//! What ends a stream of records, and what the other side is told of it.

use std::io;

/// Why records can't be read on, or sent. All but the last are the other side's fault, or of somebody in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not encrypted, of a kind that has no place here, or without a kind.
    #[error("a record of a kind that is not expected")]
    Unexpected,
    /// Longer than a record may be.
    #[error("a record is too long")]
    TooLong,
    /// Not from who holds the keys, changed, repeated, or not in its turn.
    #[error("a record is not authentic")]
    Forged,
    /// A message of the handshake that is malformed.
    #[error("a handshake message is malformed")]
    Malformed,
    /// It ended the connection.
    #[error("the other side sent alert {0}")]
    Alert(u8),
    /// Keys that are refused: none of ours.
    #[error("the keys are refused")]
    Keys,
}

impl RecordError {
    /// What the other side is told (RFC 8446 section 6.2), if anything.
    pub(super) fn alert(self) -> Option<u8> {
        match self {
            Self::Unexpected => Some(10),
            Self::Forged => Some(20),
            Self::TooLong => Some(22),
            Self::Malformed => Some(50),
            Self::Keys => Some(80),
            Self::Alert(_) => None,
        }
    }
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
