//! Which addresses to announce to a peer: a pure function of what is known.

use std::net::{IpAddr, SocketAddr};

use gimlet_proto::candidate::{Candidate, CandidateKind, MAX_CANDIDATES};
use gimlet_proto::traversal::{Family, SocketId};
use gimlet_proto::tunnel::is_tunnel;

/// Our own addresses, a socket each: every interface address with the port of the socket of its
/// family. A socket bound to one address has that one only.
pub(crate) fn local(
    sockets: &[(SocketId, Family, SocketAddr)],
    interfaces: &[IpAddr],
) -> Vec<(SocketId, SocketAddr)> {
    let mut local = Vec::new();
    for &(socket, family, bound) in sockets {
        if bound.ip().is_unspecified() {
            let own = interfaces
                .iter()
                .map(|&ip| SocketAddr::new(ip, bound.port()));
            local.extend(
                own.filter(|&addr| family.reaches(addr))
                    .map(|addr| (socket, addr)),
            );
        } else {
            local.push((socket, bound));
        }
    }
    local
}

/// What to announce: host addresses, then what the router gave and what servers see, without doubles,
/// within the bound. Host addresses come last into the bound, for most pairs meet outside.
pub(crate) fn announced(
    local: &[(SocketId, SocketAddr)],
    seen: &[(SocketId, SocketAddr)],
    mapped: Option<SocketAddr>,
) -> Vec<Candidate> {
    let mapped = mapped.map(|addr| Candidate {
        kind: CandidateKind::Mapped,
        addr,
    });
    let reflexive = seen
        .iter()
        .filter(|seen| !local.iter().any(|(_, own)| *own == seen.1))
        .filter(|seen| !is_tunnel(seen.1))
        .map(|&(_, addr)| Candidate {
            kind: CandidateKind::ServerReflexive,
            addr,
        });
    let host = local.iter().map(|&(_, addr)| Candidate {
        kind: CandidateKind::Host,
        addr,
    });
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in mapped.into_iter().chain(reflexive).chain(host) {
        if candidates.len() < MAX_CANDIDATES && candidates.iter().all(|c| c.addr != candidate.addr)
        {
            candidates.push(candidate);
        }
    }
    candidates.sort();
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_interface_address_gets_the_port_of_its_familys_socket() {
        let sockets = [
            (SocketId(0), Family::V4, addr("0.0.0.0:7000")),
            (SocketId(1), Family::V6, addr("[::]:7001")),
        ];
        let interfaces = ["10.0.0.2", "2001:db8::2"].map(|ip| ip.parse().unwrap());
        assert_eq!(
            local(&sockets, &interfaces),
            [
                (SocketId(0), addr("10.0.0.2:7000")),
                (SocketId(1), addr("[2001:db8::2]:7001"))
            ]
        );
    }

    #[test]
    fn what_the_server_sees_is_announced_once_and_not_as_reflexive_when_it_is_our_own() {
        let own = [
            (SocketId(0), addr("10.0.0.2:7000")),
            (SocketId(0), addr("192.0.2.5:7000")),
        ];
        let seen = [
            (SocketId(0), addr("192.0.2.5:7000")),
            (SocketId(0), addr("198.51.100.1:9")),
        ];
        let kinds: Vec<_> = announced(&own, &seen, None)
            .iter()
            .map(|c| (c.kind, c.addr))
            .collect();
        assert_eq!(
            kinds,
            [
                (CandidateKind::Host, addr("10.0.0.2:7000")),
                (CandidateKind::Host, addr("192.0.2.5:7000")),
                (CandidateKind::ServerReflexive, addr("198.51.100.1:9")),
            ]
        );
    }

    #[test]
    fn a_mapped_port_is_announced_as_such_also_where_servers_see_the_same() {
        let outside = addr("198.51.100.1:7000");
        let seen = [(SocketId(0), outside)];
        let candidates = announced(&[], &seen, Some(outside));
        let kinds: Vec<_> = candidates.iter().map(|c| (c.kind, c.addr)).collect();
        assert_eq!(kinds, [(CandidateKind::Mapped, outside)]);
    }

    #[test]
    fn where_a_server_sees_a_tunnel_is_not_announced() {
        let seen = [(SocketId(0), gimlet_proto::tunnel::address([1; 3], [2; 9]))];
        assert_eq!(announced(&[], &seen, None), []);
    }

    #[test]
    fn a_host_of_many_addresses_still_announces_its_reflexive_one() {
        let own: Vec<_> = (0..40)
            .map(|n| (SocketId(0), SocketAddr::from(([10, 0, 0, n], 7000))))
            .collect();
        let candidates = announced(&own, &[(SocketId(0), addr("198.51.100.1:9"))], None);
        assert_eq!(candidates.len(), MAX_CANDIDATES);
        assert!(
            candidates
                .iter()
                .any(|c| c.kind == CandidateKind::ServerReflexive)
        );
    }
}
