//! One attempt, as the dialing side saw it.

use std::fmt;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::candidate::NatClass;
use crate::traversal::{Failure, Strategy};

/// How far an attempt got. Later stages usually follow earlier ones, but need not: with a slow relay
/// the direct path may carry the handshake.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// Both sides agreed to talk.
    Introduced,
    /// The handshake was done, usually over the relay.
    Connected,
    /// A check on a direct path was answered.
    Answered,
    /// A direct path was chosen.
    Direct,
    /// QUIC was heard over it.
    Confirmed,
}

impl Reached {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [
        Self::Introduced,
        Self::Connected,
        Self::Answered,
        Self::Direct,
        Self::Confirmed,
    ];

    /// The name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Introduced => "introduced",
            Self::Connected => "connected",
            Self::Answered => "answered",
            Self::Direct => "direct",
            Self::Confirmed => "confirmed",
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Introduced => "introduced",
            Self::Connected => "connected (relay)",
            Self::Answered => "first check answered",
            Self::Direct => "direct path chosen",
            Self::Confirmed => "QUIC confirmed on it",
        })
    }
}

/// When each stage was reached, in milliseconds since the dial; `None` where it was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct StageTimes {
    /// See [`Reached::Introduced`].
    pub introduced_ms: Option<u32>,
    /// See [`Reached::Connected`].
    pub connected_ms: Option<u32>,
    /// See [`Reached::Answered`].
    pub answered_ms: Option<u32>,
    /// See [`Reached::Direct`].
    pub direct_ms: Option<u32>,
    /// See [`Reached::Confirmed`].
    pub confirmed_ms: Option<u32>,
}

impl StageTimes {
    /// When a stage was reached.
    pub fn at(&self, stage: Reached) -> Option<u32> {
        match stage {
            Reached::Introduced => self.introduced_ms,
            Reached::Connected => self.connected_ms,
            Reached::Answered => self.answered_ms,
            Reached::Direct => self.direct_ms,
            Reached::Confirmed => self.confirmed_ms,
        }
    }
}

/// What came of one attempt. Where neither a direct path nor a failure is named, the application
/// left before it was settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Attempt {
    /// The dialer's NAT, as far as it knows it.
    pub nat_local: NatClass,
    /// The accepting side's, as that said.
    pub nat_remote: NatClass,
    /// How the direct path was found, where there is one.
    pub strategy: Option<Strategy>,
    /// At which stage it failed and why, where there is none.
    pub failure: Option<Failure>,
    /// How far it got, and when.
    pub times: StageTimes,
    /// Checks the dialer sent, a search's included.
    pub packets: u32,
}

impl Attempt {
    /// Whether a direct path was chosen.
    pub fn is_direct(&self) -> bool {
        self.times.direct_ms.is_some()
    }
}
