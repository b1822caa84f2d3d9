//! Transport addresses a peer may be reached at, and what is known of its NAT.

use std::net::SocketAddr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Most candidates one side may announce: several interfaces in two families and their mappings.
/// Each costs the other side a few datagrams, so more would be a lever for making it send.
pub const MAX_CANDIDATES: usize = 16;

/// How a candidate was found (RFC 8445 section 5.1.1). Earlier variants are preferred.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum CandidateKind {
    /// An address of one of the host's own interfaces.
    Host,
    /// Where a connectivity check really came from (peer-reflexive).
    PeerReflexive,
    /// What a STUN server saw (server-reflexive).
    ServerReflexive,
    /// What a router was asked to map (PCP, NAT-PMP, UPnP-IGD).
    Mapped,
}

/// A transport address that one side announces to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Candidate {
    /// How it was found.
    pub kind: CandidateKind,
    /// Where to send.
    pub addr: SocketAddr,
}

/// Whether an address may be sent to at all when a stranger names it: unicast, a real port, not
/// loopback unless `allow_loopback` (both peers on this machine), not unspecified or broadcast.
pub fn is_sendable(addr: SocketAddr, allow_loopback: bool) -> bool {
    let ip = addr.ip().to_canonical();
    let special = match ip {
        std::net::IpAddr::V4(v4) => {
            v4.is_broadcast() || v4.octets()[0] == 0 || v4.octets()[0] >= 240
        }
        std::net::IpAddr::V6(_) => false,
    };
    addr.port() != 0
        && !special
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && (allow_loopback || !ip.is_loopback())
}

/// How a NAT maps (RFC 4787 section 4.1) or filters (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// The same for every remote endpoint.
    EndpointIndependent,
    /// One per remote address.
    AddressDependent,
    /// One per remote address and port.
    AddressAndPortDependent,
}

/// How a NAT chooses outside ports (RFC 4787 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// The inside port is kept.
    Preserving,
    /// The next one up or down.
    Sequential,
    /// Anywhere.
    Random,
    /// Anywhere in a block given to this subscriber.
    RandomBlock,
}

/// What a peer found out about the NAT in front of it. `None` is "not known".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize,
)]
pub struct NatClass {
    /// Mapping behaviour. With no NAT at all this is endpoint-independent.
    pub mapping: Option<Behaviour>,
    /// Filtering behaviour.
    pub filtering: Option<Behaviour>,
    /// Port allocation.
    pub allocation: Option<Allocation>,
    /// Whether two inside hosts reach each other over their outside addresses.
    pub hairpin: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_peer_lives_at_are_not_sent_to() {
        for bad in [
            "0.0.0.0:1",
            "255.255.255.255:1",
            "224.0.0.1:1",
            "240.1.1.1:9",
            "0.1.2.3:9",
            "10.0.0.1:0",
            "127.0.0.1:5",
            "[::]:1",
            "[ff02::1]:1",
            "[::1]:5",
            "[::ffff:127.0.0.1]:5",
        ] {
            assert!(!is_sendable(bad.parse().unwrap(), false), "{bad}");
        }
        for good in [
            "10.0.0.1:1",
            "203.0.113.9:65535",
            "[2001:db8::1]:1",
            "[fe80::1]:1",
        ] {
            assert!(is_sendable(good.parse().unwrap(), false), "{good}");
        }
        assert!(is_sendable("127.0.0.1:5".parse().unwrap(), true));
    }
}
