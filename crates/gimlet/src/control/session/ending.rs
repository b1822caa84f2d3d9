//! The end of a session: our goodbye, and the reasons for theirs.

use std::time::Duration;

use gimlet_proto::message::{FailReason, SignOut};
use gimlet_proto::rendezvous::CloseReason;
use gimlet_proto::wire::DecodeError;

use super::Session;
use crate::control::link::End;
use crate::endpoint::farewell_time;
use crate::error::SignInError;

/// How long the reason for an end may take to come after it.
const REASON_TIMEOUT: Duration = Duration::from_millis(500);

impl Session<'_> {
    pub(super) async fn goodbye(&mut self) -> End {
        let patience = farewell_time(self.control.connection.rtt());
        let farewell = async {
            // What was said before the goodbye comes before it.
            while let Ok(outgoing) = self.task.outgoing.try_recv() {
                if self.send(outgoing).await.is_err() {
                    return;
                }
            }
            if self.write(SignOut {}.into()).await.is_ok() && self.send.finish().is_ok() {
                // The server closes; either way we are done.
                let _ = self.send.stopped().await;
            }
        };
        // What is lost is said by the end of the connection, right after.
        let _ = tokio::time::timeout(patience, farewell).await;
        End::SignedOut
    }

    /// Why the stream ended: the server closes the connection right after.
    pub(super) async fn closed_reason(&self) -> SignInError {
        let closed = self.control.connection.closed();
        match tokio::time::timeout(REASON_TIMEOUT, closed).await {
            Ok(error) => lost(error),
            Err(_) => SignInError::Lost {
                detail: "the server ended the stream".to_owned(),
            },
        }
    }

    pub(super) fn malformed(&self, error: DecodeError) -> End {
        End::Failed(SignInError::Protocol {
            addr: self.control.place.addr,
            detail: error.to_string(),
        })
    }
}

pub(super) fn refusal(reason: FailReason) -> SignInError {
    match reason {
        FailReason::BadToken => SignInError::BadToken,
        FailReason::NotAllowed => SignInError::NotAllowed,
        FailReason::NameTaken => SignInError::NameTaken,
        FailReason::ShuttingDown => SignInError::ShuttingDown,
        FailReason::Busy
        | FailReason::UnknownPeer
        | FailReason::Ambiguous
        | FailReason::BadRequest => SignInError::Busy,
    }
}

pub(super) fn lost(error: quinn::ConnectionError) -> SignInError {
    let reason = match &error {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseReason::from_code(close.error_code.into_inner())
        }
        _ => None,
    };
    match reason {
        Some(CloseReason::Replaced) => SignInError::Replaced,
        Some(CloseReason::ShuttingDown) => SignInError::ShuttingDown,
        Some(_) | None => SignInError::Lost {
            detail: error.to_string(),
        },
    }
}
