//! What the two sides of a search for a port tell each other through the server.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};

use crate::candidate::NatClass;

/// How the sender can be found in one round of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Hint {
    /// The round, from 1. The controlling side begins each; the other answers with the same number.
    pub round: u32,
    /// The sender's NAT as it knows it now.
    pub nat: NatClass,
    /// Where its packets will come from.
    pub ports: Ports,
}

/// Where a side's packets to the other will come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Ports {
    /// From here, whoever they are for.
    Fixed(SocketAddr),
    /// From `next`, then `step` further with every new mapping.
    Sequence {
        /// The outside address.
        ip: IpAddr,
        /// The port that the next mapping gets if nobody else comes before.
        next: u16,
        /// From one mapping to the next; not 0.
        step: i16,
        /// How many ports others took between two of the samples, at most.
        drift: u16,
    },
    /// From anywhere between two ports, both included.
    Range {
        /// The outside address.
        ip: IpAddr,
        /// The lowest.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// From nowhere that can be told, or this side does not search.
    Unknown,
    /// This side searches for another peer; ask again later.
    Busy,
}
