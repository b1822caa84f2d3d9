//! The first bytes of a stream: what the dialer wants behind it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::destination::Destination;
use super::service::ServiceName;

const STREAM_TO_SERVICE: u8 = 1;
const STREAM_TO_DESTINATION: u8 = 2;
const DATAGRAMS_TO_SERVICE: u8 = 3;
const DATAGRAMS_TO_DESTINATIONS: u8 = 4;

/// First byte back when it is there. What can't be had is a stream reset with a code.
pub(super) const READY: u8 = 0;

/// Number of a flow of datagrams, chosen by the dialer: each once on a connection.
pub(super) type FlowId = u32;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// A connection to a service.
    Stream { service: ServiceName },
    /// A connection to wherever.
    StreamTo { destination: Destination },
    /// Datagrams to and from a service.
    Datagrams { service: ServiceName, flow: FlowId },
    /// Datagrams to wherever, each with its address.
    DatagramsTo { flow: FlowId },
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Stream { service } => {
                bytes.push(STREAM_TO_SERVICE);
                put_service(&mut bytes, service);
            }
            Self::StreamTo { destination } => {
                bytes.push(STREAM_TO_DESTINATION);
                destination.encode(&mut bytes);
            }
            Self::Datagrams { service, flow } => {
                bytes.push(DATAGRAMS_TO_SERVICE);
                bytes.extend(flow.to_be_bytes());
                put_service(&mut bytes, service);
            }
            Self::DatagramsTo { flow } => {
                bytes.push(DATAGRAMS_TO_DESTINATIONS);
                bytes.extend(flow.to_be_bytes());
            }
        }
        bytes
    }

    /// Reads one, and not a byte more. Not cancel safe.
    pub(super) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Self> {
        Ok(match from.read_u8().await? {
            STREAM_TO_SERVICE => Self::Stream {
                service: read_service(from).await?,
            },
            STREAM_TO_DESTINATION => Self::StreamTo {
                destination: Destination::read(from).await?,
            },
            DATAGRAMS_TO_SERVICE => Self::Datagrams {
                flow: from.read_u32().await?,
                service: read_service(from).await?,
            },
            DATAGRAMS_TO_DESTINATIONS => Self::DatagramsTo {
                flow: from.read_u32().await?,
            },
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "unknown request",
                ));
            }
        })
    }
}

fn put_service(bytes: &mut Vec<u8>, service: &ServiceName) {
    bytes.push(service.as_str().len() as u8);
    bytes.extend(service.as_str().bytes());
}

async fn read_service<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<ServiceName> {
    let mut bytes = vec![0; from.read_u8().await?.into()];
    from.read_exact(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    text.parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Host;

    #[tokio::test]
    async fn requests_are_these_bytes() {
        let service: ServiceName = "web".parse().unwrap();
        let host = Host::Ip([10, 0, 0, 1].into());
        let destination = Destination { host, port: 80 };
        let flow = 0x0102_0304;
        for (request, wire) in [
            (
                Request::Stream {
                    service: service.clone(),
                },
                &b"\x01\x03web"[..],
            ),
            (
                Request::StreamTo { destination },
                b"\x02\x01\x0a\0\0\x01\0\x50",
            ),
            (
                Request::Datagrams { service, flow },
                b"\x03\x01\x02\x03\x04\x03web",
            ),
            (Request::DatagramsTo { flow }, b"\x04\x01\x02\x03\x04"),
        ] {
            assert_eq!(request.encode(), wire);
            let longer = [wire, b"data"].concat();
            let mut from = &longer[..];
            assert_eq!(Request::read(&mut from).await.unwrap(), request);
            assert_eq!(from, b"data");
            for length in 0..wire.len() {
                assert!(Request::read(&mut &wire[..length]).await.is_err());
            }
        }
    }

    #[tokio::test]
    async fn an_unknown_kind_and_a_bad_name_are_refused() {
        for wire in [
            &b"\x00\x03web"[..],
            b"\x05\0\0\0\0",
            b"\x01\x00",
            b"\x01\x03a/b",
        ] {
            assert!(Request::read(&mut &wire[..]).await.is_err());
        }
    }
}
