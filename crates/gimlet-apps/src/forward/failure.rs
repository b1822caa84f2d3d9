//! Why a flow ended before its time, and the codes that say so on the wire.

use std::io;

use gimlet::{CloseReason, ConnectionError, ReadError, ReadExactError, VarInt, WriteError};

use super::link::LinkError;
use crate::wide;

/// What became of a flow that did not end by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// The exposing side does not know the service, or not for this peer.
    #[error("the peer offers no such service to you; ask it for the name, and to allow your id")]
    NotServed,
    /// The exposing side has as many flows as it takes.
    #[error("the peer has as many connections open as it takes; try again later")]
    Busy,
    /// The destination is not one that the exit allows.
    #[error("the peer's rules do not allow this destination")]
    NotAllowed,
    /// Nobody answers at the service's address.
    #[error("the service does not answer")]
    Unreachable,
    /// The service's host refuses.
    #[error("the service refuses the connection; is it running?")]
    Refused,
    /// The name has no address.
    #[error("the service's host name cannot be resolved")]
    Unresolved,
    /// The request was not understood.
    #[error("the peer does not understand the request; are both of the same version?")]
    BadRequest,
    /// The connection at the peer's end was reset.
    #[error("the connection was reset at the peer's end")]
    ResetThere,
    /// The connection at our end was reset, or failed in another way.
    #[error("the connection was reset at this end ({0})")]
    ResetHere(io::ErrorKind),
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer is away.
    #[error(transparent)]
    Away(#[from] LinkError),
    /// The session ended under it.
    #[error("the session was lost: {0}")]
    Lost(CloseReason),
}

impl FlowError {
    /// What the stream is reset and stopped with.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::NotServed => crate::NOT_SERVED,
            Self::Busy => crate::BUSY,
            Self::NotAllowed => 3,
            Self::Unreachable | Self::TimedOut => 4,
            Self::Refused => 5,
            Self::Unresolved => 6,
            Self::BadRequest => 7,
            Self::ResetThere | Self::ResetHere(_) | Self::Away(_) | Self::Lost(_) => 8,
        }
    }

    /// What a reset with that code says.
    pub(super) fn from_code(code: VarInt) -> Self {
        match u32::try_from(code.into_inner()) {
            Ok(crate::NOT_SERVED) => Self::NotServed,
            Ok(crate::BUSY) => Self::Busy,
            Ok(3) => Self::NotAllowed,
            Ok(4) => Self::Unreachable,
            Ok(5) => Self::Refused,
            Ok(6) => Self::Unresolved,
            Ok(7) => Self::BadRequest,
            // Codes of later versions too: the connection is gone, whyever.
            Ok(_) | Err(_) => Self::ResetThere,
        }
    }

    /// Why dialling a service failed.
    pub(super) fn dial(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused,
            _ => Self::Unreachable,
        }
    }

    pub(super) fn here(error: &io::Error) -> Self {
        Self::ResetHere(error.kind())
    }
}

impl From<ConnectionError> for FlowError {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error.into())
    }
}

impl From<ReadError> for FlowError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::from_code(code),
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::ResetThere,
        }
    }
}

impl From<wide::ReadError> for FlowError {
    fn from(error: wide::ReadError) -> Self {
        match error {
            wide::ReadError::Read(error) => error.into(),
            wide::ReadError::Malformed => Self::BadRequest,
        }
    }
}

impl From<ReadExactError> for FlowError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::ReadError(error) => error.into(),
            ReadExactError::FinishedEarly(_) => Self::BadRequest,
        }
    }
}

impl From<WriteError> for FlowError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::from_code(code),
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => Self::ResetThere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_exposing_side_says_arrives_as_it_was_meant() {
        for error in [
            FlowError::NotServed,
            FlowError::Busy,
            FlowError::NotAllowed,
            FlowError::Unreachable,
            FlowError::Refused,
            FlowError::Unresolved,
            FlowError::BadRequest,
            FlowError::ResetThere,
        ] {
            assert_eq!(FlowError::from_code(error.code().into()), error);
        }
        assert_eq!(
            FlowError::from_code(VarInt::MAX),
            FlowError::ResetThere,
            "a code of a later version"
        );
    }
}
