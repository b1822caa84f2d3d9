//! The handshake, by rustls, and what is taken over from it.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, ExtractedSecrets, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::incoming::Incoming;
use super::keys::{Keys, Schedule};
use super::outgoing::Outgoing;
use super::{Records, State};

/// Bytes read at once.
const PIECE: usize = 4 * 1024;

/// Bytes of the other side's that may wait for more of them: the longest message that rustls takes, in full records.
const MAX_WAITING: usize = 72 * 1024;

/// Shakes hands as a client. `config` has to
/// [give its secrets away](ClientConfig::enable_secret_extraction), and allow for TLS 1.3 only.
///
/// # Errors
///
/// The stream's own, and what rustls has to say.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Records<S>> {
    let connection = UnbufferedClientConnection::new(config, name).map_err(failed)?;
    shake(stream, connection).await
}

/// Shakes hands as a server; see [`connect`].
///
/// # Errors
///
/// As for [`connect`].
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: Arc<ServerConfig>,
) -> io::Result<Records<S>> {
    let connection = UnbufferedServerConnection::new(config).map_err(failed)?;
    shake(stream, connection).await
}

/// rustls' two kinds of connections.
trait Connection: Sized {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn take_over(self) -> Result<(ExtractedSecrets, Schedule), rustls::Error>;
}

impl Connection for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn take_over(self) -> Result<(ExtractedSecrets, Schedule), rustls::Error> {
        let (secrets, rest): (_, KernelConnection<_>) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Schedule::Client(rest)))
    }
}

impl Connection for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn take_over(self) -> Result<(ExtractedSecrets, Schedule), rustls::Error> {
        let (secrets, rest): (_, KernelConnection<_>) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Schedule::Server(rest)))
    }
}

/// What is to be done outside of the connection.
enum Step {
    Go,
    Send,
    Read,
    Done,
}

async fn shake<S, C>(mut stream: S, mut connection: C) -> io::Result<Records<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Connection,
{
    let (mut came, mut leaves) = (Vec::new(), Vec::new());
    // What a client sends right behind its last flight.
    let mut early = Vec::new();
    loop {
        let UnbufferedStatus { discard, state, .. } = connection.process(&mut came);
        let step = match state {
            Ok(ConnectionState::EncodeTlsData(encode)) => {
                append(encode, &mut leaves)?;
                Step::Go
            }
            Ok(ConnectionState::TransmitTlsData(transmit)) => {
                transmit.done();
                Step::Send
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    early.extend_from_slice(record.map_err(failed)?.payload);
                }
                Step::Go
            }
            Ok(ConnectionState::BlockedHandshake) => Step::Read,
            Ok(ConnectionState::WriteTraffic(_)) => Step::Done,
            // Closed in the middle; and there is no early data, which nobody has asked for.
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => {
                say_why(&mut stream, &mut connection, leaves).await;
                return Err(failed(error));
            }
        };
        came.drain(..discard);
        match step {
            Step::Go => (),
            Step::Send => {
                stream.write_all(&leaves).await?;
                stream.flush().await?;
                leaves.clear();
            }
            Step::Read if came.len() >= MAX_WAITING => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Step::Read => {
                came.reserve(PIECE);
                if stream.read_buf(&mut came).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Step::Done => break,
        }
    }
    let (secrets, schedule) = connection.take_over().map_err(failed)?;
    Ok(Records {
        stream,
        incoming: Incoming::new(&early, &came),
        outgoing: Outgoing::default(),
        keys: Keys::new(secrets, schedule)?,
        state: State::Open,
    })
}

fn append<D>(mut encode: EncodeTlsData<'_, D>, leaves: &mut Vec<u8>) -> io::Result<()> {
    let start = leaves.len();
    let mut asked = encode.encode(&mut []);
    if let Err(EncodeError::InsufficientSize(size)) = &asked {
        leaves.resize(start + size.required_size, 0);
        asked = encode.encode(&mut leaves[start..]);
    }
    asked.map(drop).map_err(failed)
}

/// Sends the alert, if the connection has one to say.
async fn say_why<S, C>(stream: &mut S, connection: &mut C, mut leaves: Vec<u8>)
where
    S: AsyncWrite + Unpin,
    C: Connection,
{
    if let Ok(ConnectionState::EncodeTlsData(encode)) = connection.process(&mut []).state
        && append(encode, &mut leaves).is_ok()
    {
        // It has failed already.
        let _ = stream.write_all(&leaves).await;
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
