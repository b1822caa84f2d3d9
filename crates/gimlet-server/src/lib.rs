//! The rendezvous and relay server of Gimlet, as a library.
//!
//! One UDP port carries STUN, QUIC control sessions and relay frames, told apart by their first
//! byte. What is decided is decided by the machines of `gimlet_proto::{rendezvous, relay}`; this
//! crate gives them sockets, TLS, a clock and a disk. There are no globals: a process may run any
//! number of servers, over real sockets or over any other [`quinn::AsyncUdpSocket`].
//!
//! # Tasks
//!
//! - a *pump* a core owns one of the sockets of the main port: it forwards frames, and hands QUIC on to
//!   quinn through a bounded queue. The first of them owns the relay and answers STUN. On a pool of threads each has one of
//!   its own besides;
//! - the *control* task owns the rendezvous, and looks at every connection now and then; the two machines speak through bounded channels, so
//!   neither is behind a lock;
//! - a task a control session reads and writes it;
//! - the *door* lets handshakes in, as many as there is room for;
//! - the *listener* does the same for TCP, and a task a tunnel carries what UDP could not.
//!
//! # Examples
//!
//! ```no_run
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gimlet_server::{Config, Server};
//!
//! let server = Server::bind(Config::default())?;
//! println!("{}", server.address());
//! server.run(async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
//! # Ok(()) }
//! ```

mod config;
mod connection;
mod control;
mod counters;
mod discovery;
mod door;
mod handle;
mod limits;
mod link;
mod log;
mod names;
mod pump;
mod quic_socket;
mod responder;
mod rounds;
mod secrets;
mod server;
mod sockets;
mod tunnel;

pub use config::{Access, AltPort, Config, ParseTlsPortError, TlsPort};
pub use counters::Snapshot;
pub use gimlet_proto::relay::limits as relay_limits;
pub use gimlet_proto::rendezvous::{CloseReason, Event};
pub use handle::ServerHandle;
pub use limits::Limits;
pub use names::StoreError;
pub use secrets::SecretError;
pub use server::{BindError, RunError, Server};
pub use sockets::{SecondAddress, Sockets};
