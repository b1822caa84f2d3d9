//! The sending end of a bulk.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{ConnectionError, SendStream, StoppedError, VarInt, WriteError};
use tokio::io::AsyncWrite;

use super::header::Header;
use super::{MAX_STRIPES, Turn};
use crate::connection::Connection;

/// Opens a bulk of `stripes` streams, 1 to [`MAX_STRIPES`] (others are brought into that range).
/// `id` tells it from other bulks that this side has open on the connection.
///
/// # Errors
///
/// [`WriteError::ConnectionLost`]: the connection is over; [`WriteError::Stopped`]: the peer does not
/// want it.
///
/// # Cancel safety
///
/// What was opened until then is given up.
pub async fn open(connection: &Connection, id: u64, stripes: u8) -> Result<Sender, WriteError> {
    let stripes = stripes.clamp(1, MAX_STRIPES);
    let mut opening = Opening(Vec::with_capacity(usize::from(stripes)));
    for stripe in 0..stripes {
        opening.0.push(connection.open_uni().await?);
        let header = Header {
            bulk: id,
            stripe,
            stripes,
        };
        let stream = &mut opening.0[usize::from(stripe)];
        stream.write_all(&header.encode()).await?;
    }
    Ok(Sender {
        streams: std::mem::take(&mut opening.0),
        turn: Turn::first(),
    })
}

/// Stripes of a bulk that is not open yet: one without a header would be an error, one that is reset is none.
struct Opening(Vec<SendStream>);

impl Drop for Opening {
    fn drop(&mut self) {
        for stream in &mut self.0 {
            // Fails where the peer has stopped it, which is as good.
            let _ = stream.reset(0u8.into());
        }
    }
}

/// Writes bulk data. Finish it, and wait until it is acknowledged; dropped before, it is finished
/// where it is, and the receiver takes that for the end.
#[derive(Debug)]
pub struct Sender {
    streams: Vec<SendStream>,
    turn: Turn,
}

impl Sender {
    /// Writes all of `bytes` without copying them: they are shared until the peer has them.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: the connection is over, or the peer stopped reading. Some may have been written.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: nobody knows then how much was written. Reset the bulk.
    pub async fn write_bytes(&mut self, mut bytes: Bytes) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(self.turn.left as usize));
            let len = part.len();
            self.streams[self.turn.stripe].write_chunk(part).await?;
            self.turn.advance(len, self.streams.len());
        }
        Ok(())
    }

    /// Says that nothing follows.
    ///
    /// # Errors
    ///
    /// It was finished or given up before.
    pub fn finish(&mut self) -> Result<(), quinn::ClosedStream> {
        self.streams.iter_mut().try_for_each(SendStream::finish)
    }

    /// Gives up: the receiver gets an error with `code`.
    pub fn reset(&mut self, code: u32) {
        for stream in &mut self.streams {
            // Fails where it is over already, which is what is wanted.
            let _ = stream.reset(code.into());
        }
    }

    /// Waits, after [`finish`](Self::finish), until the peer's side has everything.
    ///
    /// # Errors
    ///
    /// The connection is over, or the peer stopped reading (the code is in the error).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn acknowledged(&mut self) -> Result<(), NotAcknowledged> {
        for stream in &mut self.streams {
            match stream.stopped().await {
                Ok(None) => (),
                Ok(Some(code)) => return Err(NotAcknowledged::Stopped(code)),
                Err(StoppedError::ConnectionLost(error)) => return Err(error.into()),
                Err(StoppedError::ZeroRttRejected) => {
                    return Err(NotAcknowledged::Connection(ConnectionError::Reset));
                }
            }
        }
        Ok(())
    }
}

/// Why a bulk did not arrive.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotAcknowledged {
    /// The peer stopped reading.
    #[error("the peer stopped reading (code {0})")]
    Stopped(VarInt),
    /// The connection is over.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl AsyncWrite for Sender {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { streams, turn } = self.get_mut();
        let bytes = &bytes[..bytes.len().min(turn.left as usize)];
        let stream = Pin::new(&mut streams[turn.stripe]);
        let written = ready!(AsyncWrite::poll_write(stream, cx, bytes))?;
        turn.advance(written, streams.len());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The same as [`finish`](Sender::finish).
    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish().map_err(Into::into))
    }
}
