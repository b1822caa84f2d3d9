//! Copies between a socket and a stream, both ways, each to an end of its own.
//!
//! The end of a direction is passed on as an end, and an error as a reset: of the stream with a code,
//! of a TCP socket with RST. Neither direction reads more than the other side takes. What comes from
//! the peer goes out as the packets brought it, many in one call; what goes to the peer is read into
//! memory that QUIC then holds until it is acknowledged, so that nothing is copied on the way.

use std::array;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use gimlet::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::event::Traffic;
use super::failure::FlowError;
use super::request::READY;
use super::socket::Socket;
use crate::wide::{self, Claim, Lanes, Source};

/// Memory that is read into, a piece after the other: as much as a socket's buffer gives at once.
const BUFFER: usize = 128 * 1024;

/// Where less of it is left, a new one is taken: smaller reads would cost more than the memory.
const MIN_READ: usize = 16 * 1024;

/// Packets written to a socket in one call.
const CHUNKS: usize = 64;

/// How long the peer may take to say that the service is there. It gives its own dialling 10 s.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A bidirectional stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

/// A connection's stream, and what its directions may go on over.
#[derive(Debug)]
pub(crate) struct WideStream {
    send: wide::Sender,
    recv: wide::Receiver,
}

/// Whether the peer's word that the service is there is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is the first byte that comes.
    Awaited,
    /// It has come, or is not for this side to hear.
    Had,
}

impl Stream {
    /// Waits for the peer's word.
    pub(super) async fn ready(&mut self) -> Result<(), FlowError> {
        ready(&mut self.recv).await
    }

    /// Gives up both directions and says why.
    pub(super) fn abort(&mut self, failure: &FlowError) {
        // Both fail only where the stream has ended already.
        let _ = self.send.reset(failure.code().into());
        let _ = self.recv.stop(failure.code().into());
    }

    /// The same, each direction of which may go on over several streams.
    pub(super) fn widen(self, lanes: Arc<Lanes>, claim: Claim) -> WideStream {
        WideStream {
            send: wide::Sender::new(self.send, lanes),
            recv: wide::Receiver::new(self.recv, Source::Claim(claim)),
        }
    }
}

/// Waits for the byte that says the service is there.
pub(super) async fn ready(recv: &mut RecvStream) -> Result<(), FlowError> {
    let mut byte = [0];
    match timeout(ANSWER_TIMEOUT, recv.read_exact(&mut byte)).await {
        Ok(Ok(())) if byte == [READY] => Ok(()),
        Ok(Ok(())) => Err(FlowError::BadRequest),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(FlowError::TimedOut),
    }
}

/// Both ends of a flow. Unless it ended well, also where it is given up half-way, both are reset.
struct Pair {
    socket: Socket,
    stream: WideStream,
    ended: Result<(), FlowError>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Err(failure) = &self.ended {
            self.stream.send.reset(failure.code());
            self.stream.recv.stop(failure.code());
            self.socket.reset_on_close();
        }
    }
}

/// Copies until both directions have ended, or until one fails; then both are reset.
pub(crate) async fn splice(
    socket: Socket,
    stream: WideStream,
    answer: Answer,
) -> (Traffic, Result<(), FlowError>) {
    let mut traffic = Traffic::default();
    let mut pair = Pair {
        socket,
        stream,
        ended: Err(FlowError::ResetHere(io::ErrorKind::Interrupted)),
    };
    let stream = &mut pair.stream;
    pair.ended = match &mut pair.socket {
        Socket::Tcp(tcp) => {
            let (read, write) = tcp.split();
            both(read, write, stream, answer, &mut traffic).await
        }
        #[cfg(unix)]
        Socket::Unix(unix) => {
            let (read, write) = unix.split();
            both(read, write, stream, answer, &mut traffic).await
        }
    };
    (traffic, pair.ended.clone())
}

async fn both(
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin,
    stream: &mut WideStream,
    answer: Answer,
    traffic: &mut Traffic,
) -> Result<(), FlowError> {
    // Once the peer has answered it has laid claim to what the stream may go on over.
    let answered = AtomicBool::new(answer == Answer::Had);
    let up = upward(read, &mut stream.send, &answered, &mut traffic.sent);
    let down = async {
        if answer == Answer::Awaited {
            ready(stream.recv.stream()).await?;
            answered.store(true, Ordering::Relaxed);
        }
        downward(&mut stream.recv, write, &mut traffic.received).await
    };
    tokio::try_join!(up, down).map(|((), ())| ())
}

/// Socket to peer.
async fn upward(
    mut from: impl AsyncRead + Unpin,
    to: &mut wide::Sender,
    answered: &AtomicBool,
    moved: &mut u64,
) -> Result<(), FlowError> {
    let mut buffer = BytesMut::new();
    let mut stopped = std::pin::pin!(to.stopped());
    loop {
        if buffer.capacity() < MIN_READ {
            buffer.reserve(BUFFER);
        }
        let read = tokio::select! {
            biased;
            code = &mut stopped => return Err(match code {
                Ok(Some(code)) => FlowError::from_code(code),
                Ok(None) => FlowError::ResetThere,
                Err(_) => FlowError::Lost(gimlet::CloseReason::TimedOut),
            }),
            read = from.read_buf(&mut buffer) => read.map_err(|error| FlowError::here(&error))?,
        };
        if read == 0 {
            // Fails only where the peer has stopped it, which the other direction hears of.
            let _ = to.finish();
            return Ok(());
        }
        let may_widen = answered.load(Ordering::Relaxed);
        to.write(buffer.split().freeze(), may_widen).await?;
        *moved += read as u64;
    }
}

/// Peer to socket.
async fn downward(
    from: &mut wide::Receiver,
    mut to: impl AsyncWrite + Unpin,
    moved: &mut u64,
) -> Result<(), FlowError> {
    let mut chunks: [Bytes; CHUNKS] = array::from_fn(|_| Bytes::new());
    let here = |error: io::Error| FlowError::here(&error);
    while let Some(count) = from.read_chunks(&mut chunks).await? {
        let chunks = &mut chunks[..count];
        let length: usize = chunks.iter().map(Bytes::len).sum();
        write_all(&mut to, chunks).await.map_err(here)?;
        *moved += length as u64;
    }
    to.shutdown().await.map_err(here)
}

/// Writes all chunks, as many in a call as the socket takes. They are empty afterwards.
async fn write_all(to: &mut (impl AsyncWrite + Unpin), mut chunks: &mut [Bytes]) -> io::Result<()> {
    while let Some(first) = chunks.first() {
        if first.is_empty() {
            chunks = &mut chunks[1..];
            continue;
        }
        let slices: [IoSlice<'_>; CHUNKS] =
            array::from_fn(|nth| IoSlice::new(chunks.get(nth).map_or(&[], |chunk| chunk.as_ref())));
        let mut written = to.write_vectored(&slices[..chunks.len()]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        for chunk in chunks.iter_mut() {
            let now = written.min(chunk.len());
            chunk.advance(now);
            written -= now;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_are_written_whole_and_in_order_however_little_the_socket_takes() {
        let pieces = ["", "ab", "c", "", "defgh", "i"];
        let (mut to, mut from) = tokio::io::duplex(3);
        let writing = async move {
            let mut chunks = pieces.map(|piece| Bytes::from_static(piece.as_bytes()));
            write_all(&mut to, &mut chunks).await.unwrap();
        };
        let reading = async move {
            let mut read = String::new();
            from.read_to_string(&mut read).await.unwrap();
            read
        };
        let ((), read) = tokio::join!(writing, reading);
        assert_eq!(read, "abcdefghi");
    }

    #[tokio::test]
    async fn a_socket_that_is_gone_is_an_error() {
        let (mut to, from) = tokio::io::duplex(3);
        drop(from);
        let written = write_all(&mut to, &mut [Bytes::from_static(b"abc")]).await;
        assert!(written.is_err());
    }
}
