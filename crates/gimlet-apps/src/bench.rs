//! `gimlet/bench/1`: bytes at full speed, one way.
//!
//! The dialer opens a bidirectional stream and sends a request of nine bytes: the direction (0 the
//! dialer sends, 1 the peer sends), then the number of bytes in big-endian order. The data goes as a
//! bulk ([`gimlet::bulk`]) that whoever sends opens. The dialer sending, the peer answers on the first
//! stream with the number received, eight bytes in big-endian order. What the bytes hold means nothing.
//! One measurement at a time on a connection; the next waits for it.

use std::io;

use gimlet::bulk::{self, Acceptor};
use gimlet::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// ALPN of the throughput measurement.
pub const ALPN: &[u8] = b"gimlet/bench/1";

/// Most bytes one request may ask for: 64 GiB. A peer that asks for more wants our line, not a number.
pub const MAX_BYTES: u64 = 64 << 30;

/// Number of the bulk that carries the data; there is one at a time.
const BULK: u64 = 0;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the dialer.
    Send,
    /// To the dialer.
    Receive,
}

/// What is to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    direction: Direction,
    bytes: u64,
}

impl Request {
    async fn write<W: AsyncWrite + Unpin>(self, send: &mut W) -> io::Result<()> {
        let mut request = [0; 9];
        request[0] = match self.direction {
            Direction::Send => 0,
            Direction::Receive => 1,
        };
        request[1..].copy_from_slice(&self.bytes.to_be_bytes());
        send.write_all(&request).await
    }

    async fn read<R: AsyncRead + Unpin>(recv: &mut R) -> io::Result<Self> {
        let direction = match recv.read_u8().await? {
            0 => Direction::Send,
            1 => Direction::Receive,
            _ => return Err(invalid("an unknown direction was asked for")),
        };
        let bytes = recv.read_u64().await?;
        if bytes > MAX_BYTES {
            return Err(invalid("a measurement of more than 64 GiB was asked for"));
        }
        Ok(Self { direction, bytes })
    }
}

/// Asks for a measurement and runs the dialer's side of it. Done when every byte has arrived.
pub async fn run(connection: &Connection, direction: Direction, bytes: u64) -> io::Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    Request { direction, bytes }.write(&mut send).await?;
    let arrived = match direction {
        Direction::Send => {
            let answer = async { recv.read_u64().await };
            let ((), arrived) = tokio::try_join!(send_bulk(connection, bytes), answer)?;
            arrived
        }
        Direction::Receive => {
            let mut acceptor = Acceptor::new(connection.clone());
            let mut bulk = tokio::select! {
                bulk = acceptor.accept() => bulk.map_err(io::Error::other)?,
                error = refused(&mut recv) => return Err(error),
            };
            drain(&mut bulk, bytes).await?
        }
    };
    match arrived == bytes {
        true => Ok(()),
        false => Err(invalid("not every byte arrived")),
    }
}

/// Serves one request; the number of bytes moved.
pub async fn serve(
    connection: &Connection,
    acceptor: &mut Acceptor,
    mut send: SendStream,
    mut recv: RecvStream,
) -> io::Result<u64> {
    let request = Request::read(&mut recv).await?;
    let moved = match request.direction {
        Direction::Send => {
            let mut bulk = acceptor.accept().await.map_err(io::Error::other)?;
            let arrived = drain(&mut bulk, request.bytes).await?;
            send.write_u64(arrived).await?;
            arrived
        }
        Direction::Receive => {
            send_bulk(connection, request.bytes).await?;
            request.bytes
        }
    };
    send.shutdown().await?;
    Ok(moved)
}

/// Why a peer gave up a request; forever, where it did not.
async fn refused(recv: &mut RecvStream) -> io::Error {
    match recv.read_u8().await {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => error,
        Ok(_) | Err(_) => std::future::pending().await,
    }
}

/// Sends so many bytes and waits until they are acknowledged.
async fn send_bulk(connection: &Connection, bytes: u64) -> io::Result<()> {
    let mut bulk = bulk::open(connection, BULK, bulk::DEFAULT_STRIPES).await?;
    fill(&mut bulk, bytes).await?;
    bulk.finish()?;
    bulk.acknowledged().await.map_err(io::Error::other)
}

async fn fill<W: AsyncWrite + Unpin>(send: &mut W, bytes: u64) -> io::Result<()> {
    let buffer = vec![0x5a; crate::BUFFER];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(buffer.len() as u64) as usize;
        send.write_all(&buffer[..now]).await?;
        left -= now as u64;
    }
    Ok(())
}

/// Reads to the end, or to one byte more than announced.
async fn drain<R: AsyncRead + Unpin>(recv: &mut R, bytes: u64) -> io::Result<u64> {
    let mut buffer = vec![0; crate::BUFFER];
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

    async fn read(bytes: &[u8]) -> io::Result<Request> {
        Request::read(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn a_request_is_read_as_it_was_written() {
        for direction in [Direction::Send, Direction::Receive] {
            let request = Request {
                direction,
                bytes: 0x0102_0304,
            };
            let mut wire = Vec::new();
            request.write(&mut wire).await.unwrap();
            assert_eq!(&wire[1..], [0, 0, 0, 0, 1, 2, 3, 4]);
            assert_eq!(read(&wire).await.unwrap(), request);
        }
    }

    #[tokio::test]
    async fn a_request_without_measure_is_refused() {
        let mut wire = vec![1];
        wire.extend((MAX_BYTES + 1).to_be_bytes());
        assert!(read(&wire).await.is_err());
    }

    #[tokio::test]
    async fn an_unknown_direction_is_refused() {
        assert!(read(&[9; 9]).await.is_err());
    }

    #[tokio::test]
    async fn as_many_bytes_arrive_as_were_sent_and_one_too_many_is_noticed() {
        for (sent, wanted) in [(0, 0), (1, 1), (200_001, 200_001), (300_000, 100)] {
            let (mut from, mut to) = tokio::io::duplex(3000);
            let fill = async move {
                // The reader goes away where there is too much.
                let _ = fill(&mut from, sent).await;
            };
            let drain = async move { drain(&mut to, wanted).await.unwrap() };
            let ((), arrived) = tokio::join!(fill, drain);
            assert_eq!(arrived == wanted, sent == wanted);
        }
    }
}
