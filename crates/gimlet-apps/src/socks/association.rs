//! UDP ASSOCIATE: datagrams of one program, as long as its TCP connection lasts.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};

use super::handshake::{self, Reply};
use crate::forward::{Carrier, Destination, FlowError, Link, Request, Traffic};

/// Largest UDP packet there is.
const MAX_PACKET: usize = 65_535;

/// In front of each packet: two bytes reserved, and the number of a fragment, which has to be 0.
const HEADER: [u8; 3] = [0; 3];

/// Serves an association to its end.
pub(super) async fn run(
    mut control: TcpStream,
    hint: Destination,
    link: &Link,
    traffic: &mut Traffic,
) -> Result<(), FlowError> {
    let begun = async {
        let bound = bind(&control).await;
        let (socket, users) = bound.map_err(|error| FlowError::ResetHere(error.kind()))?;
        let session = link.session().await?;
        let carrier = Carrier::open_ready(session, |flow| Request::DatagramsTo { flow }).await?;
        Ok((socket, users, carrier))
    };
    let (socket, users, carrier) = match begun.await {
        Ok(begun) => begun,
        Err(failure) => {
            // Who does not wait for the answer does not get it.
            let _ = handshake::answer(&mut control, Reply::from(&failure), None).await;
            return Err(failure);
        }
    };
    let here = |error: io::Error| FlowError::ResetHere(error.kind());
    let bound = socket.local_addr().map_err(here)?;
    let told = handshake::answer(&mut control, Reply::Done, Some(bound)).await;
    told.map_err(here)?;
    let user = User::new(users, &hint);
    tokio::select! {
        ended = exchange(&socket, user, carrier, traffic) => ended,
        // Whatever comes there, the association ends with it.
        _ = control.read_u8() => Ok(()),
    }
}

/// A socket where the program reaches it, and the address that the program has.
async fn bind(control: &TcpStream) -> io::Result<(UdpSocket, IpAddr)> {
    let socket = UdpSocket::bind((control.local_addr()?.ip(), 0)).await?;
    Ok((socket, control.peer_addr()?.ip()))
}

/// Who may send: the host of the TCP connection, from one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    ip: IpAddr,
    /// Told at the beginning, or that of the first packet.
    port: Option<u16>,
}

impl User {
    fn new(ip: IpAddr, hint: &Destination) -> Self {
        let port = (hint.port != 0).then_some(hint.port);
        Self { ip, port }
    }

    /// Whether a packet is from it.
    fn is(&mut self, from: SocketAddr) -> bool {
        let is = from.ip() == self.ip && self.port.is_none_or(|port| port == from.port());
        if is {
            self.port = Some(from.port());
        }
        is
    }

    fn addr(self) -> Option<SocketAddr> {
        self.port.map(|port| SocketAddr::new(self.ip, port))
    }
}

async fn exchange(
    socket: &UdpSocket,
    mut user: User,
    mut carrier: Carrier,
    traffic: &mut Traffic,
) -> Result<(), FlowError> {
    let mut buffer = vec![0; MAX_PACKET];
    let mut packet_in = Vec::new();
    let mut refused = 0;
    loop {
        tokio::select! {
            // Errors are about what was sent before.
            Ok((length, from)) = socket.recv_from(&mut buffer) => {
                match addressed(&buffer[..length]) {
                    Some(packet) if user.is(from) => {
                        carrier.send(packet);
                        traffic.sent += packet.len() as u64;
                    }
                    Some(_) | None => refused += 1,
                }
                traffic.dropped = refused + carrier.dropped();
            }
            packet = carrier.recv() => {
                let Some(packet) = packet? else { return Ok(()) };
                traffic.received += packet.len() as u64;
                if let (Some(user), true) = (user.addr(), is_addressed(&packet)) {
                    packet_in.clear();
                    packet_in.extend_from_slice(&HEADER);
                    packet_in.extend_from_slice(&packet);
                    // What the program's socket does not take is lost.
                    let _ = socket.send_to(&packet_in, user).await;
                }
            }
        }
    }
}

/// What is behind the header of a program's packet: an address and data. Fragments are not served.
fn addressed(packet: &[u8]) -> Option<&[u8]> {
    let rest = packet.strip_prefix(&HEADER)?;
    Destination::decode(rest).map(|_| rest)
}

/// Whether a packet of the peer's has an address in front: a program may rely on that.
fn is_addressed(packet: &Bytes) -> bool {
    Destination::decode(packet).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_settles_the_port_and_strangers_are_not_heard() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let hint = Destination::from(addr("0.0.0.0:0"));
        let mut user = User::new([127, 0, 0, 1].into(), &hint);
        assert_eq!(user.addr(), None);
        assert!(!user.is(addr("10.0.0.1:5")));
        assert!(user.is(addr("127.0.0.1:7")));
        assert!(!user.is(addr("127.0.0.1:8")));
        assert_eq!(user.addr(), Some(addr("127.0.0.1:7")));
        let hint = Destination::from(addr("0.0.0.0:9"));
        assert!(!User::new([127, 0, 0, 1].into(), &hint).is(addr("127.0.0.1:7")));
    }

    #[test]
    fn fragments_and_packets_without_an_address_are_not_served() {
        let whole = b"\0\0\0\x01\x01\x02\x03\x04\x00\x35data";
        assert_eq!(addressed(whole), Some(&whole[3..]));
        assert_eq!(addressed(b"\0\0\x01\x01\x01\x02\x03\x04\x00\x35data"), None);
        assert_eq!(addressed(b"\0\0\0\x01\x01"), None);
        assert_eq!(addressed(b"\0"), None);
    }
}
