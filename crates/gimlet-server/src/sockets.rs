//! The sockets a server listens on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use gimlet_net::socket::{self, Drops};
use quinn::AsyncUdpSocket;
use tokio::runtime::Handle;

use crate::config::AltPort;
use crate::tunnel::Tunnels;

/// The main socket, and perhaps the second one that only answers STUN.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// STUN, QUIC and relay frames.
    pub main: Arc<dyn AsyncUdpSocket>,
    /// Further sockets at the address of the main one, among which the system spreads senders.
    pub shards: Vec<Arc<dyn AsyncUdpSocket>>,
    /// What tells the losses of all these; nothing does where they are simulated.
    pub drops: Vec<Drops>,
    /// STUN from another port, so that mapping behaviour can be told.
    pub alt: Option<Arc<dyn AsyncUdpSocket>>,
    /// The second address, so that all of a NAT's behaviour can be told. It needs `alt`.
    pub second: Option<SecondAddress>,
}

/// A second address of a server, with the same two ports.
#[derive(Debug, Clone)]
pub struct SecondAddress {
    /// The address.
    pub ip: IpAddr,
    /// Its sockets, that of the main port first. `None` where `main` and `alt` are bound to every
    /// address, and so to this one.
    pub sockets: Option<[Arc<dyn AsyncUdpSocket>; 2]>,
}

impl Sockets {
    /// Binds real sockets. `[::]` takes both families, or IPv4 alone on a system without IPv6. The port
    /// of `second`, unless 0, is that of the alternative port. A socket for each of the runtimes in `shards`, at least one,
    /// shares the main port.
    ///
    /// # Errors
    ///
    /// What the system says about the main port, about an alternative port asked for by number, or
    /// about the second address.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn bind(
        listen: SocketAddr,
        alt: AltPort,
        second: Option<SocketAddr>,
        shards: &[Handle],
    ) -> io::Result<Self> {
        let bound = match socket::bind_shards(listen, true, shards) {
            Err(error) if listen.ip().is_unspecified() && no_such_family(&error) => {
                let v4 = (Ipv4Addr::UNSPECIFIED, listen.port()).into();
                socket::bind_shards(v4, true, shards)?
            }
            bound => bound?,
        };
        let (mut shards, drops): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
        let main = shards.remove(0);
        let here = main.local_addr()?;
        let beside = |port| socket::bind(SocketAddr::new(here.ip(), port), true);
        let alt = match (alt, second.map(|second| second.port())) {
            (AltPort::Off | AltPort::Next, Some(port @ 1..)) => AltPort::Port(port),
            (AltPort::Off, Some(0)) => AltPort::Next,
            (alt, _) => alt,
        };
        let alt = match alt {
            AltPort::Off => None,
            AltPort::Port(port) => Some(beside(port)?),
            AltPort::Next => {
                let next = here.port().checked_add(1).unwrap_or(0);
                Some(beside(next).or_else(|_| beside(0))?)
            }
        };
        let mut sockets = Self {
            main,
            shards,
            drops,
            alt,
            second: None,
        };
        if let Some(second) = second {
            sockets.second = Some(sockets.second_address(here, second.ip())?);
        }
        Ok(sockets)
    }

    /// The same, with tunnels beside UDP. The main socket receives what comes out of them.
    pub(crate) fn with_tunnels(mut self, tunnels: &Arc<Tunnels>) -> Self {
        self.main = tunnels.wrap(self.main, true);
        let shards = self.shards.into_iter();
        self.shards = shards.map(|shard| tunnels.wrap(shard, false)).collect();
        self.alt = self.alt.map(|alt| tunnels.wrap(alt, false));
        if let Some(second) = &mut self.second {
            let own = second.sockets.take();
            second.sockets = own.map(|own| own.map(|socket| tunnels.wrap(socket, false)));
        }
        self
    }

    fn second_address(&self, here: SocketAddr, ip: IpAddr) -> io::Result<SecondAddress> {
        let Some(alt) = &self.alt else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let sockets = match here.ip().is_unspecified() {
            true => None,
            false => {
                let at = |port| socket::bind(SocketAddr::new(ip, port), true);
                Some([at(here.port())?, at(alt.local_addr()?.port())?])
            }
        };
        Ok(SecondAddress { ip, sockets })
    }
}

fn no_such_family(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(AFNOSUPPORT)
}

/// `EAFNOSUPPORT` on Linux; the standard library has no name for it.
const AFNOSUPPORT: i32 = 97;

/// The address by which others most likely reach a socket bound to `local`.
pub(crate) fn reachable_ip(local: SocketAddr) -> IpAddr {
    let ip = local.ip().to_canonical();
    match ip.is_unspecified() {
        true => default_route_ip().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        false => ip,
    }
}

/// The first address of a server bound to `local`, if it can be told; `second` is the other.
pub(crate) fn first_ip(local: SocketAddr, second: Option<IpAddr>) -> Option<IpAddr> {
    let ip = local.ip().to_canonical();
    match (ip.is_unspecified(), second) {
        (false, _) => Some(ip),
        (true, Some(IpAddr::V4(_))) => default_route_ip(),
        (true, _) => None,
    }
}

/// The source address of the default route: connecting a UDP socket looks it up and sends nothing.
fn default_route_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // RFC 5737: an address in no network but reached by the default route.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_port_is_another_one_even_if_the_next_is_taken() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let here = [Handle::current(), Handle::current()];
        let first = Sockets::bind(listen, AltPort::Next, None, &here[..1]).unwrap();
        let main = first.main.local_addr().unwrap();
        let alt = first.alt.unwrap().local_addr().unwrap();
        assert_ne!(main.port(), alt.port());
        let taken = Sockets::bind(listen, AltPort::Port(main.port()), None, &here);
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_mapped_address_is_advertised_as_ipv4() {
        let local = "[::ffff:192.0.2.9]:1".parse().unwrap();
        assert_eq!(reachable_ip(local), IpAddr::from([192, 0, 2, 9]));
        assert!(!reachable_ip("[::]:1".parse().unwrap()).is_unspecified());
    }
}
