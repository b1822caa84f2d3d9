//! Peer connectivity over QUIC: direct where NATs allow it, relayed where they don't.
//!
//! An [`Endpoint`] signs in to a Gimlet server and is reachable by its key. [`Endpoint::connect`]
//! gives a [`Connection`], an end-to-end encrypted QUIC session that is usable within one round trip
//! over the server's relay and moves to a direct path, and back, without its streams noticing.
//!
//! # Examples
//!
//! Two endpoints and a server, all in one program:
//!
//! ```
//! use gimlet::{Endpoint, Identity};
//! use gimlet_server::{Config, Server};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
//! let server = Server::bind(Config::on_loopback())?;
//! let address = server.address(); // the line that `gimlet serve` prints
//! tokio::spawn(server.run(std::future::pending()));
//!
//! let alice = Endpoint::builder()
//!     .identity(Identity::generate()) // or Identity::load_or_create(path)
//!     .server(address.clone())
//!     .alpns(vec![b"greeting/1".to_vec()])
//!     .bind()
//!     .await?;
//! let bob = Endpoint::builder().server(address).bind().await?;
//! alice.online().await?;
//!
//! let dial = bob.connect(alice.peer_id(), b"greeting/1");
//! let (to_alice, from_bob) = tokio::join!(dial, alice.accept());
//! let (to_alice, from_bob) = (to_alice?, from_bob.expect("the endpoint is open"));
//! assert_eq!(from_bob.peer(), bob.peer_id());
//!
//! let mut send = to_alice.open_uni().await?;
//! send.write_all(b"hello").await?;
//! send.finish()?;
//! let mut recv = from_bob.accept_uni().await?;
//! assert_eq!(recv.read_to_end(64).await?, b"hello");
//!
//! let path = to_alice.settled().await; // a direct path carries data, or there is none
//! println!("{path}, {:?} after the call", to_alice.timings().direct);
//! bob.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Followed on the way: where packets go.
//!
//! ```no_run
//! # async fn example(connection: gimlet::Connection) -> anyhow::Result<()> {
//! let mut path = connection.path_changes();
//! while path.changed().await.is_ok() {
//!     println!("now over {}", *path.borrow_and_update());
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
pub mod bulk;
mod candidates;
mod connection;
mod control;
pub mod doctor;
mod endpoint;
mod engine;
mod error;
mod event;
mod incoming;
mod lan;
mod large;
mod network;
mod peer;
mod policy;
mod presence;

pub use builder::Builder;
pub use connection::{Connection, Timings};
pub use control::{ServerRole, ServerStatus};
pub use endpoint::{Endpoint, HeldNumber, Listing, NetReport};
pub use error::{BindError, CloseReason, ConnectError, RequestError, ResolveError, SignInError};
pub use event::{EndpointEvent, SignedIn, Transport};
pub use lan::{ConnectAtError, is_local};
pub use network::Network;
pub use peer::{Path, PathKind};
pub use policy::{AcceptPolicy, Request};
pub use presence::{Presence, Watching};

pub use gimlet_net::identity::{Identity, IdentityError};
pub use gimlet_net::path::CountersSnapshot;
pub use gimlet_net::port_map::PortMapping;
pub use gimlet_net::proxy::{ParseProxyError, Proxy, ProxyError};
pub use gimlet_net::tls::CertificateDer;
pub use gimlet_net::watch::Changes;
pub use gimlet_proto::address::{ParseAddressError, ServerAddress};
pub use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
pub use gimlet_proto::id::{ParseIdError, PeerId};
pub use gimlet_proto::message::{
    PeerInfo, RefuseReason, Resolved, SessionInfo, Stats, ThrottleReason,
};
pub use gimlet_proto::name::{Name, ParseNameError};
pub use gimlet_proto::nat;
pub use gimlet_proto::stats;
pub use gimlet_proto::traversal::{Failure, Outcome, Reason, Stage, Strategy};
pub use quinn::{
    ClosedStream, ConnectionError, ReadDatagram, ReadError, ReadExactError, RecvStream,
    SendDatagramError, SendStream, StoppedError, VarInt, WriteError,
};

/// The readme's example is a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
