//! Peer connectivity over QUIC: direct where NATs allow it, relayed where they don't.
//!
//! An [`Endpoint`] signs in to a Gimlet server and is reachable by its key. [`Endpoint::connect`]
//! gives a [`Connection`], an end-to-end encrypted QUIC session that is usable within one round trip
//! over the server's relay and moves to a direct path, and back, without its streams noticing.
//!
//! # Examples
//!
//! ```no_run
//! use gimlet::{Endpoint, Identity, PeerId};
//!
//! # async fn example(alice: PeerId) -> anyhow::Result<()> {
//! let endpoint = Endpoint::builder()
//!     .identity(Identity::load_or_create("identity.key".as_ref())?)
//!     .server("gimlet://relay.example.org:13000?token=secret".parse()?)
//!     .bind()
//!     .await?;
//!
//! let connection = endpoint.connect(alice, b"greeting/1").await?;
//! let (mut send, mut recv) = connection.open_bi().await?;
//! send.write_all(b"hello").await?;
//! send.finish()?;
//! println!("{:?}, over {}", recv.read_to_end(64).await?, connection.path());
//! # Ok(())
//! # }
//! ```

mod builder;
mod candidates;
mod connection;
mod control;
mod endpoint;
mod engine;
mod error;
mod event;
mod incoming;
mod network;
mod peer;
mod policy;
mod reflexive;

pub use builder::Builder;
pub use connection::{Connection, Timings};
pub use endpoint::{Endpoint, Listing, NetReport};
pub use error::{BindError, CloseReason, ConnectError, RequestError, ResolveError, SignInError};
pub use event::{EndpointEvent, SignedIn};
pub use network::Network;
pub use peer::{Path, PathKind};
pub use policy::{AcceptPolicy, Request};

pub use gimlet_net::identity::{Identity, IdentityError};
pub use gimlet_net::path::CountersSnapshot;
pub use gimlet_proto::address::{ParseAddressError, ServerAddress};
pub use gimlet_proto::candidate::{Allocation, Behaviour, NatClass};
pub use gimlet_proto::id::{ParseIdError, PeerId};
pub use gimlet_proto::message::{PeerInfo, Resolved, SessionInfo};
pub use gimlet_proto::name::{Name, ParseNameError};
pub use gimlet_proto::traversal::{Failure, Outcome, Reason, Stage, Strategy};
pub use quinn::{ConnectionError, ReadDatagram, RecvStream, SendDatagramError, SendStream, VarInt};

/// The readme's example is a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
