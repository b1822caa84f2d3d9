//! What cross-crate scenarios share: the whole stack, client library and server, over the simulated
//! network in tokio's paused time.
//!
//! Nothing is mocked above the socket: the same quinn, TLS, engine and server run as in production,
//! only that packets cross [`gimlet_sim::Net`] and that time jumps from event to event. Cryptography
//! takes no virtual time, so times are exact.

mod line;
mod session;
mod socket;
mod world;

pub use line::{Controllers, Flow, Line, Seen, Sites};
pub use session::Session;
pub use socket::SimSocket;
pub use world::{Peer, Place, RunningServer, World, rtt_40ms};
