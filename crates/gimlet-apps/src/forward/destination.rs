//! A host and a port that a user of SOCKS asks for, in SOCKS's own bytes (RFC 1928 section 5).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Which host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// By address.
    Ip(IpAddr),
    /// By name, which the side that dials looks up: 1 to 255 printable ASCII characters.
    Name(String),
}

/// Where a connection is to lead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Which host.
    pub host: Host,
    /// Which port.
    pub port: u16,
}

impl Destination {
    /// Appends its bytes.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => {
                bytes.push(IPV4);
                bytes.extend(ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                bytes.push(IPV6);
                bytes.extend(ip.octets());
            }
            Host::Name(name) => {
                bytes.push(NAME);
                bytes.push(name.len().min(255) as u8);
                bytes.extend(name.bytes().take(255));
            }
        }
        bytes.extend(self.port.to_be_bytes());
    }

    /// Its bytes at the beginning of others, and the others.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&kind, rest) = bytes.split_first()?;
        let (host, rest) = match kind {
            IPV4 => {
                let (ip, rest) = rest.split_first_chunk::<4>()?;
                (Host::Ip(Ipv4Addr::from(*ip).into()), rest)
            }
            IPV6 => {
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                (Host::Ip(Ipv6Addr::from(*ip).into()), rest)
            }
            NAME => {
                let (&length, rest) = rest.split_first()?;
                let (name, rest) = rest.split_at_checked(length.into())?;
                (Host::Name(printable(name)?), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        Some((Self { host, port }, rest))
    }

    /// Reads its bytes, and not one more. Not cancel safe.
    pub(crate) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Self> {
        let kind = from.read_u8().await?;
        let mut bytes = vec![kind];
        let length = match kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => {
                let length = from.read_u8().await?;
                bytes.push(length);
                length.into()
            }
            _ => return Err(unknown()),
        };
        let read = bytes.len();
        bytes.resize(read + length + 2, 0);
        from.read_exact(&mut bytes[read..]).await?;
        let (destination, _) = Self::decode(&bytes).ok_or_else(unknown)?;
        Ok(destination)
    }
}

fn printable(name: &[u8]) -> Option<String> {
    let sound = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    sound.then(|| String::from_utf8_lossy(name).into_owned())
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an address of no known kind")
}

impl From<SocketAddr> for Destination {
    fn from(addr: SocketAddr) -> Self {
        Self {
            host: Host::Ip(addr.ip()),
            port: addr.port(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> [(Destination, &'static [u8]); 3] {
        let ip = |text: &str| Destination::from(text.parse::<SocketAddr>().unwrap());
        let named = Destination {
            host: Host::Name("ab.c".to_owned()),
            port: 443,
        };
        [
            (ip("10.1.2.3:80"), b"\x01\x0a\x01\x02\x03\x00\x50"),
            (
                ip("[::1]:1"),
                b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x01",
            ),
            (named, b"\x03\x04ab.c\x01\xbb"),
        ]
    }

    #[tokio::test]
    async fn destinations_are_these_bytes() {
        for (destination, wire) in examples() {
            let mut bytes = Vec::new();
            destination.encode(&mut bytes);
            assert_eq!(bytes, wire, "{destination}");
            bytes.extend(b"rest");
            let decoded = Destination::decode(&bytes);
            assert_eq!(decoded, Some((destination.clone(), &b"rest"[..])));
            let mut from = &bytes[..];
            assert_eq!(Destination::read(&mut from).await.unwrap(), destination);
            assert_eq!(from, b"rest");
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_or_unprintable_is_refused() {
        for (_, wire) in examples() {
            for length in 0..wire.len() {
                assert_eq!(Destination::decode(&wire[..length]), None);
                assert!(Destination::read(&mut &wire[..length]).await.is_err());
            }
        }
        for bad in [
            &b"\x03\x00\0\x01"[..],
            b"\x03\x01\x1b\0\x01",
            b"\x02abcd\0\x01",
        ] {
            assert_eq!(Destination::decode(bad), None);
        }
    }
}
