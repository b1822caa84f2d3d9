//! The four corners of a server of RFC 5780: two addresses with the same two ports each.
//!
//! With one address there are two corners, with one port as well there is one, and then nothing is
//! offered. Answers that leave from another corner than was asked are sent here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gimlet_proto::stun::{Change, Vantage};
use quinn::AsyncUdpSocket;
use quinn::udp::Transmit;

use crate::sockets::{Sockets, first_ip};

/// A socket's place among the four: address and port, each the first or the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corner {
    pub(crate) address: usize,
    pub(crate) port: usize,
}

impl Corner {
    pub(crate) const MAIN: Self = Self {
        address: 0,
        port: 0,
    };
    pub(crate) const ALT: Self = Self {
        address: 0,
        port: 1,
    };
}

/// Which sockets there are, and which addresses they have.
#[derive(Debug)]
pub(crate) struct Corners {
    /// By address, then port. Where one socket is bound to every address, it is in both rows.
    sockets: [[Option<Arc<dyn AsyncUdpSocket>>; 2]; 2],
    /// `None` where a first address is not known, or there is no second.
    ips: [Option<IpAddr>; 2],
    ports: [Option<u16>; 2],
}

impl Corners {
    pub(crate) fn new(sockets: &Sockets) -> io::Result<Self> {
        let main = sockets.main.local_addr()?;
        let alt = sockets
            .alt
            .as_ref()
            .map(|alt| alt.local_addr())
            .transpose()?;
        let first = [Some(sockets.main.clone()), sockets.alt.clone()];
        let (second, second_ip) = match &sockets.second {
            Some(second) => {
                let own = second.sockets.clone().map(|own| own.map(Some));
                (own.unwrap_or_else(|| first.clone()), Some(second.ip))
            }
            None => ([None, None], None),
        };
        Ok(Self {
            sockets: [first, second],
            ips: [first_ip(main, second_ip), second_ip],
            ports: [Some(main.port()), alt.map(|alt| alt.port())],
        })
    }

    /// The corner that a datagram to `ip` has reached on a socket at `bound`.
    pub(crate) fn reached(&self, bound: Corner, ip: Option<IpAddr>) -> Corner {
        let is_second = self.ips[1].is_some() && ip.map(|ip| ip.to_canonical()) == self.ips[1];
        Corner {
            address: if is_second { 1 } else { bound.address },
            ..bound
        }
    }

    /// What the server is seen from a corner; `None` where it has no other.
    pub(crate) fn vantage(&self, at: Corner, to: Option<IpAddr>) -> Option<Vantage> {
        let ip = to.map(|ip| ip.to_canonical()).or(self.ips[at.address]);
        let same_family = |other: &IpAddr| ip.is_some_and(|ip| ip.is_ipv4() == other.is_ipv4());
        let other_ip = self.ips[1 - at.address].filter(same_family);
        let vantage = Vantage {
            here: ip.zip(self.ports[at.port]).map(SocketAddr::from),
            other_ip,
            other_port: self.ports[1 - at.port],
        };
        (vantage.other_ip.is_some() || vantage.other_port.is_some()).then_some(vantage)
    }

    /// Sends an answer from another corner than was asked, once: it is lost where the socket is full.
    pub(crate) fn send(
        &self,
        at: Corner,
        asked: Option<IpAddr>,
        change: Change,
        to: SocketAddr,
        datagram: &[u8],
    ) -> io::Result<()> {
        let address = at.address ^ usize::from(change.ip);
        let port = at.port ^ usize::from(change.port);
        let socket = self.sockets[address][port].as_ref();
        let socket = socket.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let src_ip = match change.ip {
            true => self.ips[address],
            false => asked,
        };
        socket.try_send(&Transmit {
            destination: to,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip,
        })
    }
}
