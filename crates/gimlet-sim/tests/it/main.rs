//! The network as a whole, through its public interface.

mod class_table;
mod early_probe;
mod faults;
mod network;
mod prober;
mod shared_router;
