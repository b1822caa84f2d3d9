//! `gimlet/pipe/1`: bytes both ways, each direction with an end of its own.
//!
//! The dialer opens one bidirectional stream and sends one byte, the version 1, so that the
//! listener sees the stream even if no input ever comes. After it both sides send plain bytes and
//! finish at the end of their input. A side whose input or output fails closes the connection with code
//! 3: the other can't take that for an end.
//!
//! Neither side may close the session while the other still has bytes to read. So the dialer, once
//! it has everything of the listener's, says so by opening and finishing an empty unidirectional
//! stream; the listener, once it has that and everything of the dialer's, closes with code 0.
//!
//! Nothing is read from the input that the peer does not take: its window, and ours, are all that lies
//! between the two.
//!
//! # Examples
//!
//! ```no_run
//! use gimlet_apps::pipe;
//!
//! # async fn example(to_bob: gimlet::Connection, from_alice: gimlet::Connection) -> anyhow::Result<()> {
//! let alice = async {
//!     let mut answer = Vec::new();
//!     pipe::dial(&to_bob, &b"question"[..], &mut answer).await?;
//!     Ok::<_, pipe::PipeError>(answer)
//! };
//! let bob = async {
//!     let pipe = pipe::accept(&from_alice).await?;
//!     pipe.run(&b"answer"[..], tokio::io::sink()).await
//! };
//! let (answer, moved) = tokio::try_join!(alice, bob)?;
//! assert_eq!((&answer[..], moved.received), (&b"answer"[..], 8));
//! # Ok(())
//! # }
//! ```

use std::time::Duration;
use std::{array, io, mem};

use bytes::{Bytes, BytesMut};
use gimlet::{CloseReason, Connection, ReadError, RecvStream, SendStream, WriteError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::wide::{self, Lanes, Source};

/// ALPN of pipes.
pub const ALPN: &[u8] = b"gimlet/pipe/1";

/// First byte of the dialer.
const VERSION: u8 = 1;

/// Code of a connection that is closed because this side has failed.
const FAILED: u32 = 3;

/// Where less memory than that is left to read into, new memory is taken.
const MIN_READ: usize = 4 * 1024;

/// Packets taken from the peer at once.
const CHUNKS: usize = 64;

/// How long a peer that connected may take to open its stream.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// What went through a pipe that ended well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes to the peer, all of which it has.
    pub sent: u64,
    /// Bytes from the peer.
    pub received: u64,
}

/// Why a pipe did not end well.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// Our input cannot be read.
    #[error("the input cannot be read: {0}")]
    Input(#[source] io::Error),
    /// Our output takes no more.
    #[error("the output takes no more: {0}")]
    Output(#[source] io::Error),
    /// The same at the peer's side.
    #[error("the peer's input or output failed")]
    PeerFailed,
    /// Who connected did not begin a pipe.
    #[error("the peer began no pipe; is it of the same version?")]
    NoGreeting,
    /// The session ended first.
    #[error("lost the peer before everything had arrived: {0}")]
    Lost(CloseReason),
}

impl From<gimlet::ConnectionError> for PipeError {
    fn from(error: gimlet::ConnectionError) -> Self {
        CloseReason::from(error).into()
    }
}

impl From<CloseReason> for PipeError {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Peer { code, .. } if code == u64::from(FAILED) => Self::PeerFailed,
            reason => Self::Lost(reason),
        }
    }
}

impl From<ReadError> for PipeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => error.into(),
            ReadError::Reset(_)
            | ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::PeerFailed,
        }
    }
}

impl From<wide::ReadError> for PipeError {
    fn from(error: wide::ReadError) -> Self {
        match error {
            wide::ReadError::Read(error) => error.into(),
            wide::ReadError::Malformed => Self::PeerFailed,
        }
    }
}

impl From<WriteError> for PipeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => error.into(),
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                Self::PeerFailed
            }
        }
    }
}

/// Runs the dialer's side to the end of both directions; then everything is where it was to go.
///
/// # Errors
///
/// [`PipeError`]: something may be missing at either side.
pub async fn dial<R, W>(connection: &Connection, input: R, output: W) -> Result<Moved, PipeError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut send, recv) = connection.open_bi().await?;
    send.write_all(&[VERSION]).await?;
    let moved = Pipe::new(connection, send, recv)
        .copy(input, output)
        .await?;
    // Everything of the peer's is here: it may close, and does once it has everything of ours.
    let mut all_here = connection.open_uni().await?;
    // Fails only on a stream that was reset, which nobody has done.
    let _ = all_here.finish();
    match connection.closed().await {
        CloseReason::Peer { code: 0, .. } => Ok(moved),
        closed => Err(closed.into()),
    }
}

/// Waits 10 s at most for a peer that connected to begin its pipe.
///
/// # Errors
///
/// - [`PipeError::NoGreeting`]: it has not, or does something else.
/// - [`PipeError::Lost`]: it has left.
pub async fn accept(connection: &Connection) -> Result<Pipe<'_>, PipeError> {
    let greeting = async {
        let (send, mut recv) = connection.accept_bi().await?;
        let mut version = [0];
        match recv.read_exact(&mut version).await {
            Ok(()) if version == [VERSION] => Ok(Pipe::new(connection, send, recv)),
            Ok(()) | Err(_) => Err(PipeError::NoGreeting),
        }
    };
    let greeted = timeout(GREETING_TIMEOUT, greeting).await;
    greeted.unwrap_or(Err(PipeError::NoGreeting))
}

/// A pipe that a peer has begun.
#[derive(Debug)]
#[must_use = "nothing moves until it is run"]
pub struct Pipe<'a> {
    connection: &'a Connection,
    send: wide::Sender,
    recv: wide::Receiver,
    /// Both directions have ended.
    ended: bool,
}

impl<'a> Pipe<'a> {
    fn new(connection: &'a Connection, send: SendStream, recv: RecvStream) -> Self {
        let lanes = Lanes::new(connection.clone());
        Self {
            connection,
            send: wide::Sender::new(send, lanes),
            recv: wide::Receiver::new(recv, Source::Lone(connection.clone())),
            ended: false,
        }
    }

    /// Runs the listener's side to the end of both directions, and closes the connection; then
    /// everything is where it was to go.
    ///
    /// # Errors
    ///
    /// [`PipeError`]: something may be missing at either side.
    pub async fn run<R, W>(self, input: R, output: W) -> Result<Moved, PipeError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let connection = self.connection;
        let moved = self.copy(input, output).await?;
        // Our last bytes are the peer's before we close: it tells when it has them.
        connection.accept_uni().await?;
        connection.close(0, b"");
        Ok(moved)
    }

    /// Moves both directions at once, each to its own end.
    async fn copy<R, W>(mut self, input: R, output: W) -> Result<Moved, PipeError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let sending = send_all(input, &mut self.send);
        let receiving = receive_all(&mut self.recv, output);
        let (sent, received) = tokio::try_join!(sending, receiving)?;
        self.ended = true;
        Ok(Moved { sent, received })
    }
}

/// What is given up half-way must not look like an end.
impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close(FAILED, b"input or output failed");
        }
    }
}

async fn send_all<R>(mut from: R, to: &mut wide::Sender) -> Result<u64, PipeError>
where
    R: AsyncRead + Unpin,
{
    let mut buffer = BytesMut::new();
    let mut moved = 0;
    loop {
        if buffer.capacity() < MIN_READ {
            buffer.reserve(crate::BUFFER);
        }
        let read = from.read_buf(&mut buffer).await.map_err(PipeError::Input)?;
        if read == 0 {
            to.finish().map_err(|_| PipeError::PeerFailed)?;
            return Ok(moved);
        }
        to.write(buffer.split().freeze(), true).await?;
        moved += read as u64;
    }
}

async fn receive_all<W>(from: &mut wide::Receiver, mut to: W) -> Result<u64, PipeError>
where
    W: AsyncWrite + Unpin,
{
    let mut chunks: [Bytes; CHUNKS] = array::from_fn(|_| Bytes::new());
    // An output may take any single write to another thread: it gets many packets in one.
    let mut gathered = Vec::with_capacity(crate::BUFFER);
    let mut moved = 0;
    while let Some(count) = from.read_chunks(&mut chunks).await? {
        gathered.clear();
        for chunk in &mut chunks[..count] {
            gathered.extend_from_slice(&mem::take(chunk));
        }
        moved += gathered.len() as u64;
        let writing = async {
            to.write_all(&gathered).await?;
            // A terminal or a program that waits for an answer wants what there is, now.
            to.flush().await
        };
        writing.await.map_err(PipeError::Output)?;
    }
    to.shutdown().await.map_err(PipeError::Output)?;
    Ok(moved)
}
