//! The virtual IPv6 addresses under which quinn knows its remotes.
//!
//! quinn has one remote address per connection. Ours stand for a *peer* or a *server*, not for a
//! place: the path socket decides where a packet really goes. The prefix is a unique local one
//! (RFC 4193) that is never sent on a wire.

use std::net::{Ipv6Addr, SocketAddr};

/// `fd67:696d:6c74::/48`: "gimlt" in a locally assigned prefix.
const PREFIX: [u16; 3] = [0xfd67, 0x696d, 0x6c74];

/// One port for all: virtual addresses differ in the IP, never only in the port, so that quinn
/// cannot take two of them for a NAT rebinding.
const PORT: u16 = 1;

/// What a virtual address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VirtualAddr(u64);

impl VirtualAddr {
    /// The address with this number. Numbers are never used twice by one endpoint.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// As quinn sees it.
    pub fn to_socket_addr(self) -> SocketAddr {
        let [a, b, c] = PREFIX;
        let n = self.0;
        let ip = Ipv6Addr::new(
            a,
            b,
            c,
            0,
            (n >> 48) as u16,
            (n >> 32) as u16,
            (n >> 16) as u16,
            n as u16,
        );
        SocketAddr::new(ip.into(), PORT)
    }

    /// The virtual address in a socket address, if it is one.
    pub fn from_socket_addr(addr: SocketAddr) -> Option<Self> {
        let SocketAddr::V6(v6) = addr else {
            return None;
        };
        match v6.ip().segments() {
            [a, b, c, 0, w, x, y, z] if [a, b, c] == PREFIX => Some(Self(
                u64::from(w) << 48 | u64::from(x) << 32 | u64::from(y) << 16 | u64::from(z),
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_addresses_round_trip_and_real_ones_are_none() {
        for number in [0, 1, 0xffff, 0x1_0000, u64::MAX] {
            let addr = VirtualAddr::new(number);
            assert_eq!(
                VirtualAddr::from_socket_addr(addr.to_socket_addr()),
                Some(addr)
            );
        }
        for real in ["[2001:db8::1]:1", "192.0.2.1:1", "[fd67:696d:6c74:1::1]:1"] {
            assert_eq!(VirtualAddr::from_socket_addr(real.parse().unwrap()), None);
        }
    }
}
