//! Statistics of attempts at a direct path: what a client reports of one, and the bounded table
//! that a server, or a client for itself, keeps of many.
//!
//! Counters only: no address, no key and no name ever gets here. Every share that is shown comes
//! with what it is a share of: see [`Row::attempts`].

mod attempt;
mod histogram;
mod kind;
mod summary;
mod table;

pub use attempt::{Attempt, Reached, StageTimes};
pub use kind::NatKind;
pub use summary::{
    FailureRow, Introductions, PairRow, RefusalRow, Row, Spread, StageRow, StrategyRow, Summary,
};
pub use table::Table;
