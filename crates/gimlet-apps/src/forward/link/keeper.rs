//! The task that keeps a session up: dials at once, and again after every end, with growing pauses
//! ([`Retry`]) while the peer is away.
//!
//! The server tells when the peer comes. One that comes anew while its session stands is asked over
//! that session: where it does not answer it was restarted, and is dialled at once. What still runs
//! over the old session may go on for as long as anything comes over it.

use std::sync::Arc;
use std::time::Instant;

use gimlet::{ConnectError, Connection, Endpoint, PeerId, Watching};
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

use super::{LinkError, LinkState, Session};
use crate::forward::ALPN;
use crate::forward::retry::Retry;
use crate::waits::{arrives, comes};

/// See the [module docs](self).
pub(super) struct Keeper {
    endpoint: Endpoint,
    peer: PeerId,
    states: watch::Sender<LinkState>,
    wanted: Arc<Notify>,
    /// `None` where too many peers are watched; then pauses have to do.
    watching: Option<Watching>,
    retry: Retry,
}

impl Keeper {
    pub(super) fn new(
        endpoint: Endpoint,
        peer: PeerId,
        states: watch::Sender<LinkState>,
        wanted: Arc<Notify>,
    ) -> Self {
        Self {
            endpoint,
            peer,
            states,
            wanted,
            watching: None,
            retry: Retry::new(),
        }
    }

    /// Keeps the session up, for ever.
    pub(super) async fn run(mut self) {
        self.watching = self.endpoint.watch(self.peer).await.ok();
        loop {
            let error = match self.dial().await {
                Ok(connection) => self.hold(connection).await,
                Err(error) => {
                    self.retry.handle_failed(now(), rand::random());
                    LinkError::Connect(error)
                }
            };
            tracing::debug!(peer = %self.peer.short(), %error, "peer is away");
            self.states.send_replace(LinkState::Away(error));
            self.pause().await;
        }
    }

    /// Dials, and once more when the peer comes meanwhile: it may have been its former self that was
    /// dialled, over a session that it knows nothing of.
    async fn dial(&mut self) -> Result<Connection, ConnectError> {
        let dialled = tokio::select! {
            biased;
            dialled = self.endpoint.connect(self.peer, ALPN) => Some(dialled),
            () = arrives(&mut self.watching) => None,
        };
        let connection = match dialled {
            Some(dialled) => dialled?,
            None => self.endpoint.connect(self.peer, ALPN).await?,
        };
        Ok(self.enlarged(connection).await)
    }

    /// The same with longer datagrams, where the path carries them. Later on there is no changing over,
    /// since flows stay with their session: on a path that carries less, QUIC falls back by itself.
    async fn enlarged(&self, connection: Connection) -> Connection {
        match self.endpoint.enlarged(&connection).await {
            Some(larger) => {
                connection.close(0, b"superseded");
                larger
            }
            None => connection,
        }
    }

    /// Until the session is over, or is to be left.
    async fn hold(&mut self, connection: Connection) -> LinkError {
        let began_at = now();
        let session = Session::new(connection.clone());
        self.states
            .send_replace(LinkState::Connected(session.clone()));
        let error = loop {
            tokio::select! {
                reason = connection.closed() => break LinkError::Closed(reason),
                () = comes(&mut self.watching) => (),
            }
            if session.is_open() && !session.answers().await {
                tokio::spawn(session.retire());
                break LinkError::Restarted;
            }
        };
        let lasted = now() - began_at;
        self.retry.handle_lost(now(), lasted, rand::random());
        error
    }

    async fn pause(&mut self) {
        let until = async |at: Option<Instant>| {
            if let Some(at) = at {
                sleep_until(at.into()).await;
            }
        };
        tokio::select! {
            () = until(self.retry.next_at(false)) => (),
            () = self.wanted.notified() => until(self.retry.next_at(true)).await,
            () = comes(&mut self.watching) => (),
        }
    }
}

/// Tokio's time, which tests may stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
