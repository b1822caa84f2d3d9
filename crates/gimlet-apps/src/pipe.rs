//! `gimlet/pipe/1`: bytes both ways, each direction with an end of its own.
//!
//! The dialer opens one bidirectional stream and sends one byte, the version 1, so that the
//! listener sees the stream even if no input ever comes. After it both sides send plain bytes and
//! finish at the end of their input.
//!
//! Neither side may close the session while the other still has bytes to read. So the dialer, once
//! it has everything of the listener's, says so by opening and finishing an empty unidirectional
//! stream; the listener, once it has that and everything of the dialer's, closes with code 0.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// ALPN of pipes.
pub const ALPN: &[u8] = b"gimlet/pipe/1";

/// First byte of the dialer.
const VERSION: u8 = 1;

/// Opens the dialer's direction.
pub async fn greet<W: AsyncWrite + Unpin>(send: &mut W) -> io::Result<()> {
    send.write_all(&[VERSION]).await
}

/// Reads what [`greet`] sent.
pub async fn expect_greeting<R: AsyncRead + Unpin>(recv: &mut R) -> io::Result<()> {
    match recv.read_u8().await? {
        VERSION => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer speaks another version of the pipe protocol",
        )),
    }
}

/// Copies until the reader ends, then finishes the writer; the number of bytes. Reads no faster
/// than the writer takes, which is all the back-pressure there is.
pub async fn pump<R, W>(mut from: R, to: &mut W) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; crate::BUFFER];
    let mut moved = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(moved);
        }
        to.write_all(&buffer[..read]).await?;
        // A terminal or a program that waits for an answer wants what there is, now.
        to.flush().await?;
        moved += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_direction_ends_by_itself() {
        let (ours, theirs) = tokio::io::duplex(64);
        let (ours_recv, mut ours_send) = tokio::io::split(ours);
        let (theirs_recv, mut theirs_send) = tokio::io::split(theirs);
        let (up, down): (Vec<u8>, Vec<u8>) = (vec![1; 100_000], vec![2; 50_000]);
        let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
        let all = tokio::join!(
            pump(&up[..], &mut ours_send),
            pump(ours_recv, &mut got_down),
            pump(&down[..], &mut theirs_send),
            pump(theirs_recv, &mut got_up),
        );
        assert_eq!(all.0.unwrap(), 100_000);
        assert_eq!(all.2.unwrap(), 50_000);
        assert!(all.1.is_ok() && all.3.is_ok());
        assert!(got_up == up && got_down == down);
    }

    #[tokio::test]
    async fn another_version_is_refused() {
        assert!(expect_greeting(&mut &[1u8][..]).await.is_ok());
        assert!(expect_greeting(&mut &[2u8][..]).await.is_err());
        assert!(expect_greeting(&mut &[][..]).await.is_err());
    }
}
