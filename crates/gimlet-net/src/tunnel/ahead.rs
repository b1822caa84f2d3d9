//! Reads ahead of TLS where much comes: TLS asks for 4 KiB at a time, a quarter of a record.
//!
//! ```text
//!           a read filled all it was offered
//!  Asked ─────────────────────────────────────▶ Ahead
//!    ▲                                            │
//!    ╰──────────── a read brought little ─────────╯
//! ```
//!
//! # Invariants
//!
//! - A connection on which little comes holds no memory.
//! - What was read is handed on before more is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once: a message with its records. More would not stay in the processor's cache.
const AHEAD: usize = 64 * 1024;

/// A read that brings less shows that it is not worth it: one more call of TLS would have done.
const LITTLE: usize = 4 * 1024;

/// See the top of this file.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    /// What is asked for is read.
    Asked,
    /// More is.
    Ahead {
        memory: Vec<u8>,
        /// Of which so much has been read.
        len: usize,
        /// And so much of that handed on.
        at: usize,
    },
}

impl<S> ReadAhead<S> {
    /// Over this connection.
    pub fn new(stream: S) -> Self {
        let mode = Mode::Asked;
        Self { stream, mode }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, mode } = self.get_mut();
        let (memory, len, at) = match mode {
            Mode::Asked => {
                ready!(Pin::new(stream).poll_read(cx, buf))?;
                if buf.remaining() == 0 && buf.capacity() >= LITTLE {
                    *mode = Mode::Ahead {
                        memory: vec![0; AHEAD],
                        len: 0,
                        at: 0,
                    };
                }
                return Poll::Ready(Ok(()));
            }
            Mode::Ahead { memory, len, at } => (memory, len, at),
        };
        if *at == *len {
            let mut room = ReadBuf::new(memory);
            ready!(Pin::new(stream).poll_read(cx, &mut room))?;
            (*len, *at) = (room.filled().len(), 0);
        }
        let count = buf.remaining().min(*len - *at);
        buf.put_slice(&memory[*at..*at + count]);
        *at += count;
        if *at == *len && *len < LITTLE {
            *mode = Mode::Asked;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn every_byte_comes_in_order_whatever_is_asked_for() {
        let (mut far, near) = duplex(300_000);
        let sent: Vec<u8> = (0..250_000u32).map(|n| (n * 7 / 3) as u8).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut near = ReadAhead::new(near);
        let mut came = Vec::new();
        for asked in [1, LITTLE, 17, 5, 20_000, 3, AHEAD, 100_000, 1]
            .iter()
            .cycle()
        {
            let mut piece = vec![0; *asked];
            let count = near.read(&mut piece).await.unwrap();
            if count == 0 {
                break;
            }
            came.extend_from_slice(&piece[..count]);
        }
        assert!(came == sent);
    }

    #[tokio::test]
    async fn memory_is_taken_where_much_comes_and_given_back_after() {
        let (mut far, near) = duplex(300_000);
        let mut near = ReadAhead::new(near);
        let mut piece = vec![0; LITTLE];
        far.write_all(&[1; 100]).await.unwrap();
        assert_eq!(near.read(&mut piece).await.unwrap(), 100);
        assert!(matches!(near.mode, Mode::Asked));
        far.write_all(&[2; 2 * LITTLE]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(near.read(&mut piece).await.unwrap(), LITTLE);
            assert!(matches!(near.mode, Mode::Ahead { .. }));
        }
        far.write_all(&[3; 100]).await.unwrap();
        assert_eq!(near.read(&mut piece).await.unwrap(), 100);
        assert!(matches!(near.mode, Mode::Asked));
    }
}
