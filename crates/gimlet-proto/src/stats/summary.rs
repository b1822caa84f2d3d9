//! What a table says: rows of counts, each with what it is a share of.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::kind::NatKind;
use crate::message::RefuseReason;
use crate::traversal::{Failure, Strategy};

/// What half and nineteen in twenty of the values did not exceed; at most a quarter too high.
/// `None` where there are no values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Spread {
    /// Half.
    pub p50: Option<u32>,
    /// Nineteen in twenty.
    pub p95: Option<u32>,
}

/// One stage of the attempts of a [`Row`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct StageRow {
    /// Attempts that reached it.
    pub count: u64,
    /// After how many milliseconds.
    pub ms: Spread,
}

/// Attempts of one sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Row {
    /// How many: what every count in this row is a share of.
    pub attempts: u64,
    /// How many reached each stage, in the order of [`Reached::ALL`](super::Reached::ALL).
    pub stages: [StageRow; 5],
    /// Attempts that the application left before they were settled.
    pub left: u64,
    /// Checks sent in one attempt.
    pub packets: Spread,
}

impl Row {
    /// One stage.
    pub fn stage(&self, stage: super::Reached) -> &StageRow {
        &self.stages[stage as usize]
    }
}

/// Attempts between two kinds of NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PairRow {
    /// The dialer's.
    pub local: NatKind,
    /// The accepting side's.
    pub remote: NatKind,
    /// The attempts.
    pub row: Row,
}

/// Direct paths found in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct StrategyRow {
    /// How.
    pub strategy: Strategy,
    /// Direct paths, a share of those of all attempts.
    pub count: u64,
    /// After how many milliseconds.
    pub ms: Spread,
    /// With how many checks.
    pub packets: Spread,
}

/// Attempts that ended without a direct path for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct FailureRow {
    /// Where and why.
    pub failure: Failure,
    /// How many, a share of all attempts.
    pub count: u64,
}

/// Introductions that did not come about for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RefusalRow {
    /// Why.
    pub reason: RefuseReason,
    /// How many, a share of the introductions asked for.
    pub count: u64,
}

/// Introductions as the server saw them itself, renewed ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Introductions {
    /// Asked for: what the others are a share of.
    pub asked: u64,
    /// Accepted by the other side.
    pub accepted: u64,
    /// Refused, a row a reason.
    pub refused: Vec<RefusalRow>,
}

/// Everything a table knows. A row for each sort that has occurred; there are not many sorts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Summary {
    /// What the server saw itself.
    pub introductions: Introductions,
    /// Reports that were not counted: of unknown sessions, or too many.
    pub ignored: u64,
    /// All attempts reported.
    pub all: Row,
    /// The same by pair of NATs.
    pub pairs: Vec<PairRow>,
    /// Direct paths by how they were found.
    pub strategies: Vec<StrategyRow>,
    /// Attempts without one by reason.
    pub failures: Vec<FailureRow>,
}
