//! The addresses of this host's network interfaces, as host candidates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses a peer might reach this host at: up, not loopback, not link-local. IPv6 first where
/// both exist, otherwise in the system's order. Loopback addresses are added on request, for peers on this same machine.
pub fn addresses(with_loopback: bool) -> Vec<IpAddr> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::debug!(%error, "interface addresses cannot be read");
            return Vec::new();
        }
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .iter()
        .map(|interface| interface.ip())
        .filter(|&ip| usable(ip, with_loopback))
        .collect();
    addresses.sort_by_key(|ip| ip.is_ipv4());
    addresses.dedup();
    addresses
}

/// The address from which this host would send to `remote`. Asks the routing table; sends nothing.
pub fn source_for(remote: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn usable(ip: IpAddr, with_loopback: bool) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        // A link-local address means nothing without the interface's index at the other end.
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !ip.is_unspecified() && !link_local && (with_loopback || !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_mean_something_elsewhere_are_used() {
        for (text, alone, with_loopback) in [
            ("192.0.2.1", true, true),
            ("127.0.0.1", false, true),
            ("169.254.1.1", false, false),
            ("fe80::1", false, false),
            ("2001:db8::1", true, true),
            ("0.0.0.0", false, false),
        ] {
            let ip = text.parse().unwrap();
            assert_eq!(
                (usable(ip, false), usable(ip, true)),
                (alone, with_loopback),
                "{text}"
            );
        }
    }
}
