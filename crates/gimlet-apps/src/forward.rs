//! `gimlet/forward/1`: a service of one host on a socket of another, over TCP, UDP and Unix sockets.
//!
//! The host with the service *exposes* it by name: [`Exposed`] says which services there are and who
//! may use each, and answers connections. The host with the users holds a [`Link`], a session that
//! comes back by itself, and [`listen`]s on a socket of its own. Every TCP or Unix connection there is
//! a bidirectional stream of the session; every sender of UDP datagrams is a *flow*, whose packets
//! travel as QUIC datagrams, or on a stream of the flow where they are too large for that.
//!
//! A half-closed connection stays half open on the other side, and one that was reset is reset there.
//!
//! # Examples
//!
//! ```no_run
//! use std::sync::Arc;
//! use gimlet::{Endpoint, PeerId, ServerAddress};
//! use gimlet_apps::{Router, forward};
//! use gimlet_apps::forward::{Allow, Exposed, Link, Place};
//!
//! # async fn service(server: ServerAddress) -> anyhow::Result<()> {
//! // Where the service is:
//! let place: Place = "127.0.0.1:50302".parse()?;
//! let exposed = Arc::new(Exposed::new().service("web".parse()?, place, Allow::Everyone));
//! let router = Router::new().on(forward::ALPN, move |connection| exposed.clone().serve(connection));
//! let endpoint = Endpoint::builder().server(server).alpns(router.alpns()).bind().await?;
//! router.serve(&endpoint).await;
//! # Ok(())
//! # }
//! # async fn user(endpoint: Endpoint, peer: PeerId) -> anyhow::Result<()> {
//! // Where its users are:
//! let link = Link::new(endpoint, peer);
//! let forward = forward::listen(&link, &"8080".parse()?, "web".parse()?).await?;
//! let path = link.connection().await?.path();
//! println!("{} leads there, {:?} to {:?}", forward.place(), path.local, path.remote);
//! # Ok(())
//! # }
//! ```

mod carrier;
mod census;
mod destination;
mod event;
mod exchange;
mod exit;
mod exposed;
mod failure;
mod far;
mod far_datagrams;
mod link;
mod listening;
mod near;
mod near_datagrams;
mod place;
mod request;
mod retry;
mod rules;
mod service;
mod socket;
mod splice;
mod table;

pub use destination::{Destination, Host};
pub use event::{Event, Flow, Goal, Traffic};
pub use exit::Exit;
pub use exposed::{Allow, Exposed};
pub use failure::FlowError;
pub use link::{Link, LinkError, LinkState, Session};
pub use listening::{Listening, listen};
pub use place::{ParsePlaceError, Place};
pub use rules::{ParseRuleError, Rule, Rules};
pub use service::{ParseServiceError, ServiceName};

pub(crate) use carrier::Carrier;
pub(crate) use near::Near;
pub(crate) use request::Request;
pub(crate) use socket::{Listener, Socket};
pub(crate) use splice::Answer;

/// ALPN of forwarding.
pub const ALPN: &[u8] = b"gimlet/forward/1";

/// Flows that one peer may have open at a time, all its connections together: a busy browser has a
/// hundred, a load test a thousand. Each costs a file descriptor and, where it moves data, buffers.
pub const MAX_FLOWS: usize = 1024;
