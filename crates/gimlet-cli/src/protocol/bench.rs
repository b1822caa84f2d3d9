//! `gimlet/bench/1`: bytes at full speed over one stream, one way.
//!
//! The dialer opens a bidirectional stream and sends a request of nine bytes: the direction (0 the
//! dialer sends, 1 the peer sends), then the number of bytes in big-endian order. Sending, it goes
//! on with that many bytes, finishes, and gets back the number received, eight bytes in big-endian
//! order. Receiving, it finishes at once and gets that many bytes. What they hold means nothing.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// ALPN of the throughput measurement.
pub(crate) const ALPN: &[u8] = b"gimlet/bench/1";

/// Most bytes one request may ask for: 64 GiB. A peer that asks for more wants our line, not a number.
pub(crate) const MAX_BYTES: u64 = 64 << 30;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the dialer.
    Send,
    /// To the dialer.
    Receive,
}

/// Asks for a measurement and runs the dialer's side of it. Done when every byte has arrived.
pub(crate) async fn run<R, W>(
    recv: &mut R,
    send: &mut W,
    direction: Direction,
    bytes: u64,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut request = [0; 9];
    request[0] = match direction {
        Direction::Send => 0,
        Direction::Receive => 1,
    };
    request[1..].copy_from_slice(&bytes.to_be_bytes());
    send.write_all(&request).await?;
    let arrived = match direction {
        Direction::Send => {
            fill(send, bytes).await?;
            send.shutdown().await?;
            recv.read_u64().await?
        }
        Direction::Receive => {
            send.shutdown().await?;
            drain(recv, bytes).await?
        }
    };
    match arrived == bytes {
        true => Ok(()),
        false => Err(invalid("not every byte arrived")),
    }
}

/// Serves one request; the number of bytes moved.
pub(crate) async fn serve<R, W>(mut recv: R, mut send: W) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let direction = recv.read_u8().await?;
    let bytes = recv.read_u64().await?;
    if bytes > MAX_BYTES {
        return Err(invalid("a measurement of more than 64 GiB was asked for"));
    }
    let moved = match direction {
        0 => {
            let arrived = drain(&mut recv, bytes).await?;
            send.write_u64(arrived).await?;
            arrived
        }
        1 => {
            fill(&mut send, bytes).await?;
            bytes
        }
        _ => return Err(invalid("an unknown direction was asked for")),
    };
    send.shutdown().await?;
    Ok(moved)
}

async fn fill<W: AsyncWrite + Unpin>(send: &mut W, bytes: u64) -> io::Result<()> {
    let buffer = vec![0x5a; super::BUFFER];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(buffer.len() as u64) as usize;
        send.write_all(&buffer[..now]).await?;
        left -= now as u64;
    }
    Ok(())
}

/// Reads to the end of the stream, or to one byte more than announced.
async fn drain<R: AsyncRead + Unpin>(recv: &mut R, bytes: u64) -> io::Result<u64> {
    let mut buffer = vec![0; super::BUFFER];
    let mut arrived = 0;
    while arrived <= bytes {
        match recv.read(&mut buffer).await? {
            0 => break,
            read => arrived += read as u64,
        }
    }
    Ok(arrived)
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn measure(direction: Direction, bytes: u64) -> (io::Result<()>, io::Result<u64>) {
        let (ours, theirs) = tokio::io::duplex(3000);
        let (recv, send) = tokio::io::split(theirs);
        let server = tokio::spawn(serve(recv, send));
        let (mut recv, mut send) = tokio::io::split(ours);
        let run = run(&mut recv, &mut send, direction, bytes).await;
        drop((recv, send));
        (run, server.await.unwrap())
    }

    #[tokio::test]
    async fn both_directions_move_exactly_what_was_asked() {
        for direction in [Direction::Send, Direction::Receive] {
            for bytes in [0, 1, 200_001] {
                let (run, served) = measure(direction, bytes).await;
                run.unwrap();
                assert_eq!(served.unwrap(), bytes);
            }
        }
    }

    #[tokio::test]
    async fn a_request_without_measure_is_refused() {
        let (run, served) = measure(Direction::Receive, MAX_BYTES + 1).await;
        assert!(run.is_err() && served.is_err());
    }

    #[tokio::test]
    async fn an_unknown_direction_is_refused() {
        let (ours, theirs) = tokio::io::duplex(100);
        let (recv, send) = tokio::io::split(theirs);
        let (_, mut ours) = tokio::io::split(ours);
        ours.write_all(&[9; 9]).await.unwrap();
        assert!(serve(recv, send).await.is_err());
    }
}
