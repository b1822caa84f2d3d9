//! `gimlet/echo/1`: what is sent comes back.
//!
//! Every bidirectional stream the dialer opens is returned byte for byte, in order, and finished
//! when the dialer finishes. Every datagram is returned as it is. A ping is a datagram of eight
//! bytes, its number in big-endian order. A peer that does not serve echo resets the streams with
//! code 1 and ignores the datagrams; the session itself stays.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// ALPN of echo and ping.
pub const ALPN: &[u8] = b"gimlet/echo/1";

/// Returns everything until the dialer finishes.
pub async fn serve<R, W>(mut recv: R, mut send: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; crate::BUFFER];
    loop {
        let read = recv.read(&mut buffer).await?;
        if read == 0 {
            return send.shutdown().await;
        }
        send.write_all(&buffer[..read]).await?;
    }
}

/// Sends a number and waits for it to come back.
pub async fn round_trip<R, W>(recv: &mut R, send: &mut W, number: u64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    send.write_all(&ping(number)).await?;
    let mut back = [0; 8];
    recv.read_exact(&mut back).await?;
    match ping_number(&back) {
        Some(found) if found == number => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer returned other bytes than were sent",
        )),
    }
}

/// The bytes of a ping.
pub fn ping(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The number of a ping that came back.
pub fn ping_number(datagram: &[u8]) -> Option<u64> {
    datagram.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_comes_back_and_ends_with_the_dialer() {
        let (ours, theirs) = tokio::io::duplex(1000);
        let (recv, send) = tokio::io::split(theirs);
        let server = tokio::spawn(serve(recv, send));
        let (mut recv, mut send) = tokio::io::split(ours);
        for number in [0, 1, u64::MAX] {
            round_trip(&mut recv, &mut send, number).await.unwrap();
        }
        send.shutdown().await.unwrap();
        assert_eq!(recv.read(&mut [0; 1]).await.unwrap(), 0);
        server.await.unwrap().unwrap();
    }

    #[test]
    fn only_eight_bytes_are_a_ping() {
        assert_eq!(ping_number(&ping(7)), Some(7));
        assert_eq!(ping_number(&[1, 2, 3]), None);
        assert_eq!(ping_number(&[0; 9]), None);
    }
}
