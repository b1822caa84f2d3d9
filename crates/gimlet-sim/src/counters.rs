//! What happened to every packet, by reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a packet was not carried further.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// The host or router is dark.
    #[error("the host or router is dark")]
    Dark,
    /// The link lost it by chance.
    #[error("lost on the link")]
    Loss,
    /// The link's queue had no room.
    #[error("the link's queue is full")]
    QueueFull,
    /// It is longer than the link's MTU; no ICMP message says so.
    #[error("longer than the link's MTU")]
    TooBig,
    /// Nobody owns the destination address here.
    #[error("no route to the destination")]
    NoRoute,
    /// The source address is not the sending host's.
    #[error("the source address is not the host's")]
    WrongSource,
    /// Nothing is mapped to this outside endpoint.
    #[error("no mapping at this outside endpoint")]
    NoMapping,
    /// There is a mapping, but filtering keeps this sender out.
    #[error("kept out by filtering")]
    Filtered,
    /// Addressed to the NAT's own outside from the inside, and the NAT does not hairpin.
    #[error("the NAT does not hairpin")]
    NoHairpin,
    /// The NAT's or firewall's table is full.
    #[error("the table is full")]
    TableFull,
    /// No outside port is free.
    #[error("no port is free")]
    NoPort,
    /// A firewall forbids it.
    #[error("forbidden by a firewall")]
    Forbidden,
    /// More packets are under way than the simulator holds.
    #[error("too many packets under way")]
    Overloaded,
}

/// Totals since the network was made. Every packet sent ends in exactly one place: delivered,
/// dropped, or still under way. A duplicate made by a link counts as sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets handed to the network.
    pub sent: u64,
    /// Packets handed to a host.
    pub delivered: u64,
    /// Packets not carried to their end, by reason; reasons that never occurred are absent.
    pub dropped: BTreeMap<Dropped, u64>,
}

impl Counters {
    /// How many packets ended for this reason.
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.dropped.get(&why).copied().unwrap_or(0)
    }

    /// How many packets were dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    pub(crate) fn record(&mut self, why: Dropped) {
        *self.dropped.entry(why).or_insert(0) += 1;
    }
}
