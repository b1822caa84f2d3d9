//! What came of an attempt: by which strategy and when, or at which stage it failed and why.

use std::fmt;
use std::time::Duration;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::search::SearchOutcome;

/// How a direct path was found.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// An interface address: same machine, same network, or no NAT.
    Host,
    /// A global IPv6 address.
    Ipv6,
    /// The address a STUN server saw.
    Reflexive,
    /// An address a router was asked to map.
    Mapped,
    /// An address that only a check itself showed.
    PeerReflexive,
    /// A predicted port.
    Predicted,
    /// A search over many ports.
    Birthday,
}

impl Strategy {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Ipv6 => "ipv6",
            Self::Reflexive => "reflexive",
            Self::Mapped => "mapped",
            Self::PeerReflexive => "peer-reflexive",
            Self::Predicted => "predicted",
            Self::Birthday => "birthday",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The part of an attempt that failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Collecting addresses to try.
    Candidates,
    /// Getting a check through and answered.
    Checks,
    /// Agreeing on a path that works.
    Nomination,
}

impl Stage {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidates => "candidates",
            Self::Checks => "checks",
            Self::Nomination => "nomination",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why there is no direct path.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// This side offers no socket for direct paths.
    RelayOnly,
    /// The other side announced no address.
    NoRemoteCandidates,
    /// No announced address can be sent to from any of our sockets.
    NoUsablePair,
    /// Every send was refused by the operating system.
    SendFailed,
    /// No check came in and none was answered.
    NothingArrived,
    /// No check was answered, and a NAT on the way is known to map by destination.
    IncompatibleNats,
    /// Checks of the other side came in, but ours were not answered.
    Unanswered,
    /// Small checks pass, full-size ones do not.
    TooLarge,
    /// Paths were found, but the dialing side chose none.
    NotNominated,
}

impl Reason {
    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::RelayOnly => "relay-only",
            Self::NoRemoteCandidates => "no-remote-candidates",
            Self::NoUsablePair => "no-usable-pair",
            Self::SendFailed => "send-failed",
            Self::NothingArrived => "nothing-arrived",
            Self::IncompatibleNats => "incompatible-nats",
            Self::Unanswered => "unanswered",
            Self::TooLarge => "too-large",
            Self::NotNominated => "not-nominated",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RelayOnly => "this side is set to use the relay only",
            Self::NoRemoteCandidates => "the peer announced no address of its own",
            Self::NoUsablePair => {
                "no address of the peer can be reached from here, for example IPv6 only against IPv4 only"
            }
            Self::SendFailed => "the operating system refused every packet to the peer",
            Self::NothingArrived => {
                "no packet got through either way; a firewall may block UDP, or both NATs are too strict"
            }
            Self::IncompatibleNats => {
                "a NAT gives every destination another port and the other side lets in only what it asked for"
            }
            Self::Unanswered => "the peer's packets arrive here, but ours do not reach it",
            Self::TooLarge => "small packets pass, full-size ones are lost on the way",
            Self::NotNominated => "a path was found, but the dialing side did not take it",
        })
    }
}

/// Where and why an attempt failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.stage)
    }
}

/// When each stage was reached, since the agent was made. `None`: not yet, or never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// The other side's credentials and candidates were known.
    pub remote_known: Option<Duration>,
    /// Our first check on a direct pair left.
    pub first_check_sent: Option<Duration>,
    /// A valid check came in on a direct pair.
    pub first_check_received: Option<Duration>,
    /// A check of ours on a direct pair was answered.
    pub first_answer: Option<Duration>,
    /// A direct path was selected.
    pub direct: Option<Duration>,
    /// QUIC was heard on the selected direct path.
    pub quic_confirmed: Option<Duration>,
}

/// How much was sent and received on direct pairs and the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Checks sent.
    pub checks_sent: u32,
    /// Valid checks received.
    pub checks_received: u32,
    /// Valid answers received.
    pub answers_received: u32,
    /// Pairs that answered small checks only.
    pub small_only: u32,
    /// Announced candidates that were ignored: unsendable, doubled or too many.
    pub candidates_ignored: u32,
    /// Times the selected path was given up for silence.
    pub paths_lost: u32,
}

/// What came of the attempt so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How the direct path in use, or last in use, was found.
    pub strategy: Option<Strategy>,
    /// When.
    pub times: Times,
    /// How much.
    pub counts: Counts,
    /// Why there is none, once the attempt is over.
    pub failure: Option<Failure>,
    /// What a search for a port came to, if there was one.
    pub search: SearchOutcome,
}
