//! Wire formats and state machines of Gimlet, peer side and server side, without I/O.
//!
//! Nothing here opens a socket, reads a clock or draws randomness: time and seeds are parameters.
//! The shells that do are `gimlet-net`, `gimlet` and `gimlet-server`; `gimlet-sim` drives the same
//! machines in virtual time. Byte layouts are specified in `docs/protocol.md`.

pub mod address;
pub mod candidate;
pub mod demux;
pub mod frame;
pub mod hint;
pub mod id;
pub mod limit;
pub mod message;
pub mod name;
pub mod nat;
pub mod relay;
pub mod rendezvous;
pub mod secret;
pub mod stats;
pub mod stun;
pub mod traversal;
pub mod tunnel;
pub mod wire;
