//! What a program says before its data, and what it is told.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::forward::{Destination, FlowError, LinkError};

const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;

/// What a program wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A connection.
    Connect(Destination),
    /// Datagrams; from there, if it knows already.
    Associate(Destination),
}

/// Answers of RFC 1928 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Done = 0,
    Failed = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    Refused = 5,
    TimedOut = 6,
    UnknownCommand = 7,
}

impl From<&FlowError> for Reply {
    fn from(failure: &FlowError) -> Self {
        match failure {
            FlowError::NotServed | FlowError::NotAllowed => Self::NotAllowed,
            FlowError::Unreachable | FlowError::Unresolved => Self::HostUnreachable,
            FlowError::Refused => Self::Refused,
            FlowError::TimedOut => Self::TimedOut,
            FlowError::Away(
                LinkError::Connect(_)
                | LinkError::Closed(_)
                | LinkError::TimedOut
                | LinkError::Restarted,
            )
            | FlowError::Busy
            | FlowError::BadRequest
            | FlowError::ResetThere
            | FlowError::ResetHere(_)
            | FlowError::Lost(_) => Self::Failed,
        }
    }
}

/// Reads what a program wants, and tells it where that is nothing of ours. Not cancel safe.
pub(super) async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<Ask> {
    let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    if stream.read_u8().await? != VERSION {
        return Err(wrong("another version than 5"));
    }
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&NO_PASSWORD) {
        stream.write_all(&[VERSION, NO_METHOD]).await?;
        return Err(wrong("a password is wanted, and there is none"));
    }
    stream.write_all(&[VERSION, NO_PASSWORD]).await?;
    if stream.read_u8().await? != VERSION {
        return Err(wrong("another version than 5"));
    }
    let command = stream.read_u8().await?;
    stream.read_u8().await?;
    let destination = Destination::read(stream).await?;
    match command {
        CONNECT => Ok(Ask::Connect(destination)),
        ASSOCIATE => Ok(Ask::Associate(destination)),
        _ => {
            answer(stream, Reply::UnknownCommand, None).await?;
            Err(wrong("a command that is not served"))
        }
    }
}

/// Answers, with the address to send datagrams to if there is one.
pub(super) async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    reply: Reply,
    bound: Option<SocketAddr>,
) -> io::Result<()> {
    let bound = bound.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
    let mut bytes = vec![VERSION, reply as u8, 0];
    Destination::from(bound).encode(&mut bytes);
    stream.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Host;

    /// What comes of these bytes, and what the program is told.
    async fn told(bytes: &[u8]) -> (io::Result<Ask>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let ask = read(&mut ours).await;
        drop(ours);
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).await.unwrap();
        (ask, told)
    }

    #[tokio::test]
    async fn a_program_is_asked_no_password_and_understood() {
        let (ask, answered) = told(b"\x05\x02\x02\x00\x05\x01\x00\x03\x03a.b\x00\x50").await;
        let host = Host::Name("a.b".to_owned());
        assert_eq!(ask.unwrap(), Ask::Connect(Destination { host, port: 80 }));
        assert_eq!(answered, b"\x05\x00");
        let (ask, _) = told(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0").await;
        assert!(matches!(ask, Ok(Ask::Associate(_))));
    }

    #[tokio::test]
    async fn what_is_not_served_is_told_so() {
        let (ask, answered) = told(b"\x05\x01\x02").await;
        assert!(ask.is_err());
        assert_eq!(answered, b"\x05\xff");
        let (ask, answered) = told(b"\x05\x01\x00\x05\x02\x00\x01\x01\x02\x03\x04\x00\x50").await;
        assert!(ask.is_err());
        assert_eq!(answered, b"\x05\x00\x05\x07\x00\x01\0\0\0\0\0\0");
    }

    #[tokio::test]
    async fn other_protocols_and_halves_are_errors() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x04\x01",
            b"",
            b"\x05\x01\x00\x05\x01",
        ] {
            assert!(told(bytes).await.0.is_err());
        }
    }
}
