//! The way out: destinations that the users choose, within rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::destination::{Destination, Host};
use super::exposed::Allow;
use super::failure::FlowError;
use super::rules::Rules;

/// Addresses of a name that are looked at.
const MAX_ADDRS: usize = 16;

/// Lets peers reach destinations of their own choice from here.
#[derive(Debug, Clone, Default)]
pub struct Exit {
    /// Who may. Default: everyone whom the endpoint's own policy lets in.
    pub allow: Allow,
    /// Where to. Default: the internet, and nothing private.
    pub rules: Rules,
}

impl Exit {
    /// The addresses of a destination that may be dialled, of which there is at least one.
    pub(super) async fn find(
        &self,
        destination: &Destination,
    ) -> Result<Vec<SocketAddr>, FlowError> {
        let (name, addrs) = match &destination.host {
            Host::Ip(ip) => (None, vec![SocketAddr::new(*ip, destination.port)]),
            Host::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), destination.port)).await;
                let addrs = found.map_err(|_| FlowError::Unresolved)?;
                (Some(name.as_str()), addrs.take(MAX_ADDRS).collect())
            }
        };
        if addrs.is_empty() {
            return Err(FlowError::Unresolved);
        }
        let mut allowed = addrs;
        allowed.retain(|addr| self.rules.allow(name, *addr, is_own(addr.ip())));
        match allowed.is_empty() {
            true => Err(FlowError::NotAllowed),
            false => Ok(allowed),
        }
    }
}

/// Whether an address is one of this host. To oneself one speaks from the same address; asking the
/// system for the way sends nothing.
fn is_own(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let from: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let route = || {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect((ip, 9))?;
        socket.local_addr()
    };
    // No way there: then nothing is reached by dialling it either.
    route().is_ok_and(|local| local.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_own_addresses_are_known() {
        assert!(is_own([127, 0, 0, 1].into()));
        assert!(is_own("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!is_own([192, 0, 2, 1].into()));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_like_the_address() {
        let exit = Exit::default();
        for host in [
            Host::Name("localhost".to_owned()),
            Host::Ip([127, 0, 0, 1].into()),
        ] {
            let found = exit.find(&Destination { host, port: 80 }).await;
            assert_eq!(found, Err(FlowError::NotAllowed));
        }
    }
}
