//! The addresses of this host's network interfaces, as host candidates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use if_addrs::IfAddr;

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

/// The longest datagram, without headers, that leaves for a host of our own networks in one piece, or for
/// this host itself. `None` for all others: what lies behind a router nobody here knows.
///
/// Linux tells it; on other systems it is always `None`.
pub fn datagram_towards(remote: IpAddr) -> Option<u16> {
    let remote = remote.to_canonical();
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let is_own = interfaces.iter().any(|interface| interface.ip() == remote);
    let name = match is_own || remote.is_loopback() {
        true => "lo",
        false => {
            let mut around = interfaces.iter();
            &around
                .find(|interface| is_around(&interface.addr, remote))?
                .name
        }
    };
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?;
    Some(datagram_in(mtu.trim().parse().ok()?))
}

/// What a packet of `mtu` bytes carries, with headers of IPv6 and UDP.
fn datagram_in(mtu: u32) -> u16 {
    let datagram = mtu.saturating_sub(48);
    u16::try_from(datagram).unwrap_or(u16::MAX).min(65_507)
}

/// Whether `remote` is in that interface's network, of more than one address.
fn is_around(interface: &IfAddr, remote: IpAddr) -> bool {
    let (ours, theirs, prefix) = match (interface, remote) {
        (IfAddr::V4(ours), IpAddr::V4(theirs)) => (
            u128::from(u32::from(ours.ip)) << 96,
            u128::from(u32::from(theirs)) << 96,
            ours.prefixlen,
        ),
        (IfAddr::V6(ours), IpAddr::V6(theirs)) => (ours.ip.into(), theirs.into(), ours.prefixlen),
        (IfAddr::V4(_), IpAddr::V6(_)) | (IfAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let differing: u128 = ours ^ theirs;
    prefix > 0 && differing.leading_zeros() >= u32::from(prefix)
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
    fn hosts_of_our_own_networks_are_told_by_the_prefix() {
        let interface = |ip: &str, prefixlen| match ip.parse().unwrap() {
            IpAddr::V4(ip) => IfAddr::V4(if_addrs::Ifv4Addr {
                ip,
                netmask: Ipv4Addr::UNSPECIFIED,
                prefixlen,
                broadcast: None,
            }),
            IpAddr::V6(ip) => IfAddr::V6(if_addrs::Ifv6Addr {
                ip,
                netmask: Ipv6Addr::UNSPECIFIED,
                prefixlen,
                broadcast: None,
            }),
        };
        for (ours, prefix, theirs, around) in [
            ("192.168.1.2", 24, "192.168.1.200", true),
            ("192.168.1.2", 24, "192.168.2.2", false),
            ("192.168.1.2", 25, "192.168.1.200", false),
            ("192.168.1.2", 0, "192.168.1.3", false),
            ("2001:db8::1", 64, "2001:db8::2", true),
            ("2001:db8::1", 64, "2001:db8:0:1::2", false),
            ("192.168.1.2", 24, "2001:db8::2", false),
        ] {
            let is = is_around(&interface(ours, prefix), theirs.parse().unwrap());
            assert_eq!(is, around, "{theirs} from {ours}/{prefix}");
        }
    }

    #[test]
    fn a_datagram_is_what_headers_leave_of_a_packet() {
        for (mtu, datagram) in [
            (1500, 1452),
            (9000, 8952),
            (65_536, 65_488),
            (1 << 20, 65_507),
        ] {
            assert_eq!(datagram_in(mtu), datagram);
        }
        assert_eq!(datagram_in(0), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_takes_long_datagrams_from_itself_and_of_others_nothing_is_known() {
        let own = datagram_towards([127, 0, 0, 1].into()).unwrap();
        assert!(own > 1452, "{own}");
        assert_eq!(datagram_towards([203, 0, 113, 77].into()), None);
    }

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
