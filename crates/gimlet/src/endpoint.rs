//! The endpoint: one identity, one set of sockets, one control session, any number of peers.

mod connect;
mod lan;
mod leaving;
mod listing;
mod net_report;
mod numbers;
mod resolve;
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;

use gimlet_net::path::CountersSnapshot;
use gimlet_proto::id::PeerId;
use gimlet_proto::message::FailReason;
use tokio::sync::{Mutex, broadcast, mpsc};

use crate::builder::Builder;
use crate::connection::Connection;
use crate::control::{Control, ControlState};
use crate::engine::Command;
use crate::error::{RequestError, SignInError};
use crate::event::{EndpointEvent, SignedIn};
pub(crate) use leaving::{Farewells, farewell_time};
pub use listing::Listing;
pub use net_report::NetReport;
pub use numbers::HeldNumber;
pub(crate) use shared::Shared;

/// Signs in to a server, dials peers and is dialled by them.
///
/// Cheap to clone; all clones are one endpoint. It lives until [`close`](Self::close), or until the
/// last clone and the last [`Connection`] are dropped.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    control: Control,
    commands: mpsc::Sender<Command>,
    incoming: Mutex<mpsc::Receiver<Connection>>,
}

impl Endpoint {
    /// Starts configuring an endpoint.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        control: Control,
        commands: mpsc::Sender<Command>,
        incoming: mpsc::Receiver<Connection>,
    ) -> Self {
        let incoming = Mutex::new(incoming);
        Self {
            inner: Arc::new(Inner {
                shared,
                control,
                commands,
                incoming,
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Asks the engine for something; an error means that it is gone.
    pub(crate) async fn send_command(&self, command: Command) -> Result<(), ()> {
        let sent = self.inner.commands.send(command).await;
        sent.map_err(|_| ())
    }

    /// This endpoint's id.
    pub fn peer_id(&self) -> PeerId {
        self.inner.shared.id
    }

    /// The local addresses of the UDP sockets, IPv4 first.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner
            .shared
            .sockets
            .iter()
            .map(|&(_, _, addr)| addr)
            .collect()
    }

    /// Waits until the first sign-in has succeeded or failed, and says how it stands since.
    ///
    /// # Errors
    ///
    /// [`SignInError`]: why this endpoint is not signed in. Unless
    /// [definite](SignInError::is_definite), it keeps trying, and calling again later may succeed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn online(&self) -> Result<SignedIn, SignInError> {
        self.inner.control.online().await
    }

    /// The next connection that a peer has made to us, authenticated and let in by the policy.
    /// `None` once the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.incoming.lock().await.recv().await
    }

    /// What happens from now on. A receiver that falls behind by 256 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<EndpointEvent> {
        self.inner.shared.events.subscribe()
    }

    /// What the sockets sent, received and dropped.
    pub fn counters(&self) -> CountersSnapshot {
        self.inner.shared.socket.counters()
    }

    /// Whether it is signed in right now.
    pub fn is_online(&self) -> bool {
        matches!(self.inner.control.state(), ControlState::Online(_))
    }

    /// Gives the lease back: others see this peer leave at once. Connections stay.
    pub async fn sign_out(&self) {
        self.inner.control.sign_out().await;
    }
}

fn request_failure(reason: FailReason) -> RequestError {
    match reason {
        FailReason::Busy | FailReason::ShuttingDown => RequestError::Busy,
        FailReason::BadToken => SignInError::BadToken.into(),
        FailReason::NotAllowed => SignInError::NotAllowed.into(),
        FailReason::NameTaken
        | FailReason::UnknownPeer
        | FailReason::Ambiguous
        | FailReason::BadRequest => RequestError::Rejected,
    }
}
