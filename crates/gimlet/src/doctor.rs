//! Why is a session relayed, or not there at all? Goes through the stages of connecting in order and
//! says of each what was found and what a person can do.
//!
//! Finding facts and judging them are apart: [`examine`](crate::Endpoint::examine) asks sockets and
//! servers, and what it hears becomes a [`Fact`] by pure functions. The words are plain: nobody
//! should have to know what a symmetric NAT is.

mod checks;
mod clock;
mod configuration;
mod distance;
mod examine;
mod ipv6;
mod meeting;
mod nat;
mod network;
mod pair;
mod path;
mod port_mapping;
mod server;
mod sign_in;
mod stage;
mod verdict;

use std::time::Duration;

use serde::Serialize;

pub use checks::{ChecksFact, Searched};
pub use clock::ClockFact;
pub use configuration::ConfigurationFact;
pub use distance::ServerDistance;
pub use ipv6::Ipv6Fact;
pub use meeting::{HandshakeFact, IntroductionFact, PeerFact, RelayFact};
pub use nat::NatFact;
pub use network::NetworkFact;
pub use pair::{Joining, PairFact, joining};
pub use path::{AddressesFact, ConfirmedFact, DirectFact};
pub use port_mapping::PortMappingFact;
pub use server::{ServerFact, TcpAnswer};
pub use sign_in::SignInFact;
pub use stage::Stage;
pub use verdict::{Diagnosis, Verdict};

/// How a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing; things work without a change.
    Notice,
    /// Here it fails.
    Bad,
}

/// What was found at a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Fact {
    /// [`Stage::Configuration`].
    Configuration(ConfigurationFact),
    /// [`Stage::Network`].
    Network(NetworkFact),
    /// [`Stage::Server`].
    Server(ServerFact),
    /// [`Stage::SignIn`].
    SignIn(SignInFact),
    /// [`Stage::Clock`].
    Clock(ClockFact),
    /// [`Stage::Nat`].
    Nat(NatFact),
    /// [`Stage::PortMapping`].
    PortMapping(PortMappingFact),
    /// [`Stage::Ipv6`].
    Ipv6(Ipv6Fact),
    /// [`Stage::Peer`].
    Peer(PeerFact),
    /// [`Stage::Introduction`].
    Introduction(IntroductionFact),
    /// [`Stage::Relay`].
    Relay(RelayFact),
    /// [`Stage::Handshake`].
    Handshake(HandshakeFact),
    /// [`Stage::Addresses`].
    Addresses(AddressesFact),
    /// [`Stage::Pair`].
    Pair(PairFact),
    /// [`Stage::Checks`].
    Checks(ChecksFact),
    /// [`Stage::Direct`].
    Direct(DirectFact),
    /// [`Stage::Confirmed`].
    Confirmed(ConfirmedFact),
}

/// What a fact means to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// How the stage is.
    pub health: Health,
    /// What was found, in a sentence or two.
    pub found: String,
    /// What a person can do, where there is something to do.
    pub advice: Option<&'static str>,
}

impl Words {
    fn good(found: impl Into<String>) -> Self {
        let (health, found) = (Health::Good, found.into());
        Self {
            health,
            found,
            advice: None,
        }
    }

    fn notice(found: impl Into<String>, advice: &'static str) -> Self {
        let (health, found) = (Health::Notice, found.into());
        Self {
            health,
            found,
            advice: Some(advice),
        }
    }

    fn bad(found: impl Into<String>, advice: &'static str) -> Self {
        let (health, found) = (Health::Bad, found.into());
        Self {
            health,
            found,
            advice: Some(advice),
        }
    }

    fn without_advice(self) -> Self {
        Self {
            advice: None,
            ..self
        }
    }
}

impl Fact {
    /// At which stage this was found.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Configuration(_) => Stage::Configuration,
            Self::Network(_) => Stage::Network,
            Self::Server(_) => Stage::Server,
            Self::SignIn(_) => Stage::SignIn,
            Self::Clock(_) => Stage::Clock,
            Self::Nat(_) => Stage::Nat,
            Self::PortMapping(_) => Stage::PortMapping,
            Self::Ipv6(_) => Stage::Ipv6,
            Self::Peer(_) => Stage::Peer,
            Self::Introduction(_) => Stage::Introduction,
            Self::Relay(_) => Stage::Relay,
            Self::Handshake(_) => Stage::Handshake,
            Self::Addresses(_) => Stage::Addresses,
            Self::Pair(_) => Stage::Pair,
            Self::Checks(_) => Stage::Checks,
            Self::Direct(_) => Stage::Direct,
            Self::Confirmed(_) => Stage::Confirmed,
        }
    }

    /// What it means.
    pub fn words(&self) -> Words {
        match self {
            Self::Configuration(fact) => fact.words(),
            Self::Network(fact) => fact.words(),
            Self::Server(fact) => fact.words(),
            Self::SignIn(fact) => fact.words(),
            Self::Clock(fact) => fact.words(),
            Self::Nat(fact) => fact.words(),
            Self::PortMapping(fact) => fact.words(),
            Self::Ipv6(fact) => fact.words(),
            Self::Peer(fact) => fact.words(),
            Self::Introduction(fact) => fact.words(),
            Self::Relay(fact) => fact.words(),
            Self::Handshake(fact) => fact.words(),
            Self::Addresses(fact) => fact.words(),
            Self::Pair(fact) => fact.words(),
            Self::Checks(fact) => fact.words(),
            Self::Direct(fact) => fact.words(),
            Self::Confirmed(fact) => fact.words(),
        }
    }

    /// How the stage is.
    pub fn health(&self) -> Health {
        self.words().health
    }
}

/// What to examine, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The peer as a person calls it; `None` looks at this side alone.
    pub peer: Option<String>,
    /// The application protocol to connect to the peer for.
    pub alpn: Vec<u8>,
    /// How long to wait for a direct path at most.
    pub wait_direct: Duration,
    /// Whether a server that is silent over UDP may be tried over TCP, to tell a machine that is off
    /// from a network that lets no UDP through. Needs the operating system's sockets.
    pub try_tcp: bool,
}

fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests;
