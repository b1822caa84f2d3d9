//! Which path to try first, which to prefer, and what to call it: pure functions.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Strategy;
use super::config::DWELL;
use crate::candidate::{Behaviour, Candidate, CandidateKind, NatClass};

/// Order in which paths are tried. Earlier variants are both likelier to work and better to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rank {
    /// The same machine or the same network: no router on the way.
    SameNetwork,
    /// IPv6: at most a firewall on the way.
    Ipv6,
    /// A public address of the host itself.
    Public,
    /// What a STUN server saw.
    Reflexive,
    /// What a router mapped.
    Mapped,
    /// Where a check came from.
    PeerReflexive,
    /// A private address in a network that is not ours: a VPN, or another branch of one site.
    Private,
    /// Through the server.
    Relay,
}

impl Rank {
    /// Of a remote address, given what this side announced.
    pub(super) fn of(kind: CandidateKind, remote: SocketAddr, local: &[Candidate]) -> Self {
        let ip = remote.ip();
        let near = local
            .iter()
            .filter(|l| l.kind == CandidateKind::Host)
            .any(|l| same_network(l.addr.ip(), ip));
        match kind {
            CandidateKind::Host | CandidateKind::PeerReflexive if near || ip.is_loopback() => {
                Self::SameNetwork
            }
            _ if ip.is_ipv6() => Self::Ipv6,
            CandidateKind::Host if is_private(ip) => Self::Private,
            CandidateKind::Host => Self::Public,
            CandidateKind::ServerReflexive => Self::Reflexive,
            CandidateKind::Mapped => Self::Mapped,
            CandidateKind::PeerReflexive => Self::PeerReflexive,
        }
    }

    /// What a path of this rank must be faster by, to be worth as much as one in the same network:
    /// a NAT on the way may forget, and a hairpin loads the router.
    fn handicap(self) -> Duration {
        Duration::from_millis(match self {
            Self::SameNetwork => 0,
            Self::Private => 5,
            Self::Ipv6 | Self::Public => 10,
            Self::Reflexive | Self::Mapped | Self::PeerReflexive => 15,
            Self::Relay => 1000,
        })
    }
}

fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.segments()[..4] == b.segments()[..4],
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        // 100.64.0.0/10 is what carriers number their customers with (RFC 6598).
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_link_local()
                || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(_) => false,
    }
}

/// A path's worth: lower is better. An unknown round-trip time counts as a bad one.
pub(super) fn score(rank: Rank, rtt: Option<Duration>) -> Duration {
    rank.handicap() + rtt.unwrap_or(Duration::from_secs(1))
}

/// Whether a working direct path should give way to another working one.
///
/// The margin makes the relation one-way: no two paths are each better than the other, and every
/// change lowers the score by a tenth of it and more, so paths cannot take turns. Round-trip times
/// drift, so for them alone the current path is kept for [`DWELL`] first.
pub(super) fn is_better(
    current: (Rank, Option<Duration>),
    challenger: (Rank, Option<Duration>),
    held_for: Duration,
) -> bool {
    let (old, new) = (
        score(current.0, current.1),
        score(challenger.0, challenger.1),
    );
    let margin = MIN_GAIN.max(old / 5);
    new + margin < old && (challenger.0.handicap() < current.0.handicap() || held_for >= DWELL)
}

/// Smallest gain worth a congestion restart.
const MIN_GAIN: Duration = Duration::from_millis(10);

/// What to call the way a path was found: the harder of how either end was found.
pub(super) fn strategy(
    kind: CandidateKind,
    rank: Rank,
    mapped: Option<SocketAddr>,
    local: &[Candidate],
) -> Option<Strategy> {
    let remote = match rank {
        Rank::Relay => return None,
        Rank::SameNetwork => return Some(Strategy::Host),
        Rank::Ipv6 => return Some(Strategy::Ipv6),
        Rank::Public | Rank::Private | Rank::Reflexive | Rank::Mapped | Rank::PeerReflexive => {
            named(kind)
        }
    };
    let announced = mapped.map(|mapped| {
        local
            .iter()
            .filter(|l| l.addr == mapped)
            .map(|l| named(l.kind))
            .min()
            .unwrap_or(Strategy::PeerReflexive)
    });
    // Without knowing what was announced, nothing can be said about our own end.
    let own = announced.filter(|_| !local.is_empty());
    Some(own.map_or(remote, |own| own.max(remote)))
}

fn named(kind: CandidateKind) -> Strategy {
    match kind {
        CandidateKind::Host => Strategy::Host,
        CandidateKind::PeerReflexive => Strategy::PeerReflexive,
        CandidateKind::ServerReflexive => Strategy::Reflexive,
        CandidateKind::Mapped => Strategy::Mapped,
    }
}

/// Whether a NAT of the pair is known to map by destination, which explains unanswered checks.
pub(super) fn maps_by_destination(local: NatClass, remote: NatClass) -> bool {
    [local, remote].iter().any(|nat| match nat.mapping {
        Some(Behaviour::AddressDependent | Behaviour::AddressAndPortDependent) => true,
        Some(Behaviour::EndpointIndependent) | None => false,
    })
}

#[cfg(test)]
mod tests;
