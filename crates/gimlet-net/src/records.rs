//! TLS 1.3 on a stream, encrypted and decrypted where the bytes lie.
//!
//! rustls shakes hands and derives every key; what follows are records, which are a length, a number and an AEAD
//! (RFC 8446 section 5). rustls' own record layer copies each byte twice on its way in and once on its way out, which over a
//! tunnel, with four encryptions for each packet relayed, is an eighth of all the time.
//!
//! ```text
//!  stream ─▶ Incoming ─ open in place ─▶ fill_buf          put ─ seal in place ─▶ Outgoing ─▶ stream
//!                 ╰── KeyUpdate, close_notify ───────────────────────▶╯
//! ```
//!
//! # Invariants
//!
//! - Nothing is handed on that was not authenticated, and after an error nothing more is.
//! - A number is used once with a key: what is sealed is sent, in this order, or the stream is given up.
//! - The end of the stream without close_notify is an error, so what is missing at the end is noticed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gimlet_proto::tunnel::Frame;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

mod error;
mod handshake;
mod incoming;
mod key;
mod keys;
mod outgoing;
#[cfg(test)]
mod tests;

pub use error::RecordError;
pub use handshake::{accept, connect};

use incoming::Incoming;
use key::Kind;
use keys::Keys;
use outgoing::Outgoing;

/// Most bytes of content in a record (RFC 8446 section 5.1).
const MAX_CONTENT: usize = gimlet_proto::tunnel::SECTION;

/// What of a close_notify is not its record: a warning, of code 0 (RFC 8446 section 6).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// A stream after its handshake. See the [module docs](self).
#[derive(Debug)]
pub struct Records<S> {
    stream: S,
    incoming: Incoming,
    outgoing: Outgoing,
    keys: Keys,
    state: State,
}

/// What comes from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It has said that nothing more comes.
    Closed,
    /// What came was wrong.
    Failed(RecordError),
}

impl<S> Records<S> {
    /// Encrypts a frame where it is, to be [sent](Self::poll_sent). What was put before has to be.
    ///
    /// # Errors
    ///
    /// [`RecordError`], when the keys are refused; the stream is to be given up.
    pub fn put(&mut self, frame: Frame) -> Result<(), RecordError> {
        self.outgoing.put(frame, &mut self.keys)
    }

    /// The same for these bytes, of which at most a record's are taken; how many that was.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub fn put_copy(&mut self, bytes: &[u8]) -> Result<usize, RecordError> {
        let taken = &bytes[..bytes.len().min(MAX_CONTENT)];
        self.outgoing
            .put_copy(Kind::Data, taken, &mut self.keys)
            .map(|()| taken.len())
    }

    /// Encrypted bytes that the stream has not taken yet.
    pub fn unsent(&self) -> usize {
        self.outgoing.unsent()
    }

    /// Memory of a frame that was sent, to be used again.
    pub fn spent(&mut self) -> Option<Vec<u8>> {
        self.outgoing.spent()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Records<S> {
    /// Sends what was put; ready when all of it is with the stream.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.outgoing.poll_send(Pin::new(&mut self.stream), cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ready with whether there is content: false once the other side has closed.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if !self.incoming.content().is_empty() {
                return Poll::Ready(Ok(true));
            }
            match self.state {
                State::Open => (),
                State::Closed => return Poll::Ready(Ok(false)),
                State::Failed(error) => return Poll::Ready(Err(error.into())),
            }
            match self.incoming.open(&mut self.keys) {
                Ok(Some(opened)) => {
                    self.outgoing.owes_update |= opened.asks_for_update;
                    if opened.closes {
                        self.state = State::Closed;
                    }
                }
                Ok(None) => ready!(self.poll_more(cx))?,
                Err(error) => self.fail(error, cx),
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(self.incoming.room());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        match room.filled().len() {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            count => {
                self.incoming.came(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Says why, if that can be said at once.
    fn fail(&mut self, error: RecordError, cx: &mut Context<'_>) {
        self.state = State::Failed(error);
        let Some(alert) = error.alert() else {
            return;
        };
        let alert = [2, alert];
        if self.unsent() == 0
            && (self.outgoing)
                .put_copy(Kind::Alert, &alert, &mut self.keys)
                .is_ok()
        {
            // The stream is over, whatever becomes of it.
            let _ = self.poll_sent(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for Records<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let own = self.get_mut();
        ready!(own.poll_content(cx))?;
        Poll::Ready(Ok(own.incoming.content()))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.incoming.consume(count);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Records<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        ready!(own.poll_content(cx))?;
        let content = own.incoming.content();
        let count = content.len().min(buf.remaining());
        buf.put_slice(&content[..count]);
        own.incoming.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        ready!(own.poll_sent(cx))?;
        let taken = own.put_copy(bytes)?;
        // What does not leave now does with the next write or flush.
        match own.poll_sent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_sent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        ready!(own.poll_sent(cx))?;
        if !own.outgoing.is_closed() {
            own.outgoing
                .put_copy(Kind::Alert, &CLOSE_NOTIFY, &mut own.keys)?;
            own.outgoing.close();
            ready!(own.poll_sent(cx))?;
        }
        Pin::new(&mut own.stream).poll_shutdown(cx)
    }
}
