//! What both sides of a transfer do: say who sends, notice silence, and say goodbye.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gimlet::{CloseReason, Connection, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// The version of the protocol, and the side that the dialer takes.
const VERSION: u8 = 1;

/// How long a peer may take to say who it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// Gap between signs of life.
pub(super) const ALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// Silence after which the other side counts as gone; a session that only changed its path is over
/// sooner. A peer that was killed is missed only after this, and a transfer is cheap to resume.
const SILENCE: Duration = Duration::from_secs(10);

/// How long whoever has everything waits for the other side's goodbye.
pub(super) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which side of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Sender,
    Receiver,
}

/// Why there is no transfer.
#[derive(Debug, thiserror::Error)]
pub(super) enum GreetError {
    #[error("the connection is over")]
    Lost,
    #[error("the other side wants the same as this one")]
    SameRole,
    #[error("the other side speaks another version")]
    Version,
}

/// Opens or takes the control stream, and sees that one sends and the other receives.
pub(super) async fn greet(
    connection: &Connection,
    role: Role,
) -> Result<(SendStream, RecvStream), GreetError> {
    let greeting = async {
        if connection.is_dialler() {
            let (mut send, recv) = connection.open_bi().await.map_err(|_| GreetError::Lost)?;
            let side = match role {
                Role::Sender => 0,
                Role::Receiver => 1,
            };
            send.write_all(&[VERSION, side])
                .await
                .map_err(|_| GreetError::Lost)?;
            return Ok((send, recv));
        }
        let (send, mut recv) = connection.accept_bi().await.map_err(|_| GreetError::Lost)?;
        let mut greeting = [0; 2];
        AsyncReadExt::read_exact(&mut recv, &mut greeting)
            .await
            .map_err(|_| GreetError::Lost)?;
        match (greeting, role) {
            ([VERSION, 0], Role::Receiver) | ([VERSION, 1], Role::Sender) => Ok((send, recv)),
            ([VERSION, 0 | 1], Role::Sender | Role::Receiver) => Err(GreetError::SameRole),
            _ => Err(GreetError::Version),
        }
    };
    timeout(GREETING_TIMEOUT, greeting)
        .await
        .unwrap_or(Err(GreetError::Lost))
}

/// Why a connection is over, if it is.
pub(super) fn closed(connection: &Connection) -> Option<CloseReason> {
    connection.quic().close_reason().map(CloseReason::from)
}

/// Notices when nothing comes any more.
#[derive(Debug)]
pub(super) struct Watch {
    heard_at: Mutex<Instant>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let heard_at = Mutex::new(Instant::now());
        Self { heard_at }
    }

    /// Something came, or this side is what holds it up.
    pub(super) fn heard(&self) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends once there was silence for too long.
    pub(super) async fn silence(&self) {
        loop {
            let heard_at = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
            let silent_at = heard_at + SILENCE;
            if silent_at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(silent_at).await;
        }
    }
}

/// Writes all of it, for what only means that the connection is over.
pub(super) async fn write(send: &mut SendStream, bytes: &[u8]) -> io::Result<()> {
    AsyncWriteExt::write_all(send, bytes).await
}
