//! Finds out how the NAT in front of this host behaves (RFC 5780), in the words of RFC 4787.
//!
//! Plan, run, report: a [`Plan`] names servers and our own addresses, a [`Prober`] asks them through
//! whatever sends datagrams for it, and what they said makes a [`Report`], which is complete enough
//! to connect with after the first round trip and better with each answer after it.
//!
//! | found | how |
//! | --- | --- |
//! | mapping | one socket asks two ports of a server, and a second address where there is one |
//! | allocation | fresh sockets ask one after the other; where their ports lie, and in which order |
//! | filtering | a socket that knows one endpoint of a server only is answered from another, or not |
//! | hairpin | two fresh sockets send to each other's outside endpoints |
//! | lifetime | [`Lifetime`]: silent sockets are called after longer and longer times |
//!
//! [`allocation::classify`] and [`mapping`] are pure; so is all that a report says.

pub mod allocation;
mod lifetime;
mod mapping;
mod prober;
mod query;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::candidate::{Allocation, NatClass};
use crate::traversal::SocketId;
use allocation::Pattern;
pub use lifetime::Lifetime;
pub use mapping::{Seen, mapping};
pub use prober::{MAX_TARGETS, Plan, Prober};

/// A socket as the prober names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// One that the endpoint lives on.
    Own(SocketId),
    /// One opened for the prober alone, and closed when it says so.
    Fresh(u8),
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// From which socket.
    pub slot: Slot,
    /// Where to.
    pub remote: SocketAddr,
    /// The datagram.
    pub payload: Vec<u8>,
}

/// Something for whoever runs a prober.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Open a socket on a free port; then say that it is open, or that it can't be.
    Open {
        /// Its number.
        slot: u8,
        /// For IPv6 instead of IPv4.
        v6: bool,
    },
    /// That socket is not needed any more.
    Close {
        /// Its number.
        slot: u8,
    },
    /// The report says something else than before.
    Changed,
    /// The report says what it will about mapping, filtering and hairpinning. It may still change.
    Settled,
    /// Nothing more is to come.
    Finished,
}

/// What is known of the NAT. `None` is "not known" throughout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Mapping, filtering, allocation, hairpinning. With one server address, endpoint-independent
    /// *mapping* may be address-dependent in truth, and address-dependent *filtering*
    /// endpoint-independent: see [`two_addresses`](Self::two_addresses).
    pub class: NatClass,
    /// Whether two addresses have answered, which makes mapping and filtering exact.
    pub two_addresses: bool,
    /// From one new mapping to the next, where ports are sequential; not 0.
    pub step: Option<i16>,
    /// Ports that others took between two samples a tenth of a second apart, at most.
    pub drift: Option<u16>,
    /// The port that the next new mapping would have had, when the last sample was taken.
    pub next: Option<u16>,
    /// First and last port of our block, as far as it can be told from samples.
    pub block: Option<(u16, u16)>,
    /// How long a silent mapping was seen to live. Zero is less than ten seconds; the longest that is
    /// looked for is "at least".
    pub lifetime: Option<Duration>,
    /// Nobody has answered over UDP.
    pub blocked: bool,
    /// Whether there is a NAT at all, over IPv4.
    pub translated: Option<bool>,
    /// Signs of a second NAT behind the first: see [`double_nat`].
    pub double_nat: Option<bool>,
    /// Whether IPv6 packets from elsewhere are kept out.
    pub firewall_v6: Option<bool>,
    /// Where servers see the IPv4 socket.
    pub reflexive_v4: Option<SocketAddr>,
    /// The same for IPv6.
    pub reflexive_v6: Option<SocketAddr>,
}

impl Report {
    fn set_pattern(&mut self, pattern: Option<Pattern>) {
        self.class.allocation = pattern.map(|pattern| match pattern {
            Pattern::Preserving => Allocation::Preserving,
            Pattern::Sequential { step, drift, next } => {
                (self.step, self.drift, self.next) = (Some(step), Some(drift), Some(next));
                Allocation::Sequential
            }
            Pattern::Random => Allocation::Random,
            Pattern::Block { first, last } => {
                self.block = Some((first, last));
                Allocation::RandomBlock
            }
        });
    }
}

/// Whether two NATs are in the way, as far as addresses tell. `local` is our own, `outside` where a
/// server sees us, `router` what the router says its outside is, if it was asked (UPnP, NAT-PMP, PCP).
///
/// A router whose outside is not where we are seen has another NAT behind it, and so does a private
/// network whose ports come from a block, which carriers give and home routers don't. An address of
/// the carriers' range (RFC 6598) on this very host means one NAT: theirs.
pub fn double_nat(
    local: IpAddr,
    outside: IpAddr,
    router: Option<IpAddr>,
    allocation: Option<Allocation>,
) -> Option<bool> {
    if local == outside {
        return Some(false);
    }
    match (router, allocation) {
        (Some(router), _) => Some(router != outside),
        (None, Some(Allocation::RandomBlock)) => Some(!is_carriers(local)),
        (None, _) => None,
    }
}

/// RFC 6598: 100.64.0.0/10.
fn is_carriers(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nats_show_by_the_routers_outside_or_a_carriers_block() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (home, carrier, seen) = (ip("192.168.1.2"), ip("100.64.0.9"), ip("203.0.113.9"));
        let block = Some(Allocation::RandomBlock);
        assert_eq!(double_nat(seen, seen, None, block), Some(false));
        assert_eq!(double_nat(home, seen, Some(seen), None), Some(false));
        assert_eq!(double_nat(home, seen, Some(carrier), None), Some(true));
        assert_eq!(double_nat(home, seen, None, block), Some(true));
        assert_eq!(double_nat(carrier, seen, None, block), Some(false));
        assert_eq!(double_nat(home, seen, None, None), None);
    }
}
