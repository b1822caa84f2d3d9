//! The network as a whole, through its public interface.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

mod class_table;
mod early_probe;
mod faults;
mod network;
mod prober;
mod shared_router;
mod units;
