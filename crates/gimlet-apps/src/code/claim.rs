//! The claiming side: from a code to the key behind it.

use std::time::Duration;

use gimlet::{ConnectError, Connection, Endpoint, RequestError, ResolveError};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::exchange::{Claiming, Malformed};
use super::keeper::Refusal;
use super::{ALPN, Code, Met, binding};

/// How long the other side may take: two round trips of the slowest link, and a busy machine.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why a code did not lead to anybody.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The number leads nowhere.
    #[error(
        "nobody offers code {number} now: it was used, its time is over, or its number is another; \
         is it from the same server?"
    )]
    Unknown {
        /// The number asked for.
        number: u32,
    },
    /// The server cannot be asked.
    #[error(transparent)]
    Request(RequestError),
    /// Who offers it cannot be reached.
    #[error("who offers the code cannot be reached: {0}")]
    Connect(#[from] ConnectError),
    /// The offering side says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Whoever answered does not know the code: somebody stands between, or the number was reused.
    #[error(
        "whoever answers does not know the code: do not trust this server, and ask for a new code"
    )]
    NotThem,
    /// The other side does not keep to the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The connection ended, or nothing came in time.
    #[error(
        "the connection was lost while the code was checked; if it is refused now, ask for a new one"
    )]
    Lost,
}

/// Finds who offers a code, and proves it to each other. On an error the code may be spent.
///
/// # Errors
///
/// [`ClaimError`]; its text says what to do.
///
/// # Cancel safety
///
/// Dropping the future may spend the code.
pub async fn claim(endpoint: &Endpoint, code: &Code) -> Result<Met, ClaimError> {
    let number = code.number();
    let found = endpoint.resolve_number(number).await;
    let found = found.map_err(|error| match error {
        ResolveError::Request(error) => ClaimError::Request(error),
        ResolveError::Unknown { .. } | ResolveError::Ambiguous { .. } => {
            ClaimError::Unknown { number }
        }
    })?;
    let connection = endpoint.connect(found.peer, ALPN).await?;
    let proven = timeout(TIMEOUT, prove(endpoint, &connection, code)).await;
    proven.map_err(|_| ClaimError::Lost)??;
    Ok(Met {
        peer: connection.peer(),
        connection,
    })
}

async fn prove(
    endpoint: &Endpoint,
    connection: &Connection,
    code: &Code,
) -> Result<(), ClaimError> {
    let lost = |_| ClaimError::Lost;
    let binding = binding(endpoint, connection).ok_or(ClaimError::Lost)?;
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| ClaimError::Lost)?;
    let (claiming, share) = Claiming::start(code, binding);
    send.write_all(&share).await.map_err(|_| ClaimError::Lost)?;
    go_on(recv.read_u8().await.map_err(lost)?)?;
    let mut answer = [0; 33];
    AsyncReadExt::read_exact(&mut recv, &mut answer)
        .await
        .map_err(lost)?;
    let (proving, proof) = claiming.handle_share(&answer)?;
    send.write_all(&proof).await.map_err(|_| ClaimError::Lost)?;
    // It fails where the connection is over, which is found out right below.
    let _ = send.finish();
    go_on(recv.read_u8().await.map_err(lost)?)?;
    let mut proof = [0; 32];
    AsyncReadExt::read_exact(&mut recv, &mut proof)
        .await
        .map_err(lost)?;
    match proving.check_offerer(&proof) {
        true => Ok(()),
        false => Err(ClaimError::NotThem),
    }
}

fn go_on(byte: u8) -> Result<(), Refusal> {
    Refusal::of(byte).map_or(Ok(()), Err)
}
