//! Sockets, paths and TLS for Gimlet: what stands between the machines of `gimlet-proto` and quinn.
//!
//! The heart is [`path::PathSocket`], which hides the real paths to a peer behind one virtual
//! address, so that a QUIC connection never notices when its packets move from the relay to a
//! direct path and back.

pub mod congestion;
pub mod identity;
pub mod interfaces;
pub mod path;
pub mod port_map;
pub mod prompt;
pub mod proxy;
pub mod records;
pub mod socket;
pub mod tls;
pub mod transport;
pub mod tunnel;
pub mod virtual_addr;
pub mod watch;
pub mod window;
