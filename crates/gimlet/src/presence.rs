//! Whether a peer is signed in, asked once or followed.

use tokio::sync::watch;

use gimlet_proto::id::PeerId;
use tokio::sync::oneshot;

use crate::endpoint::Endpoint;
use crate::engine::Command;
use crate::error::{RequestError, ResolveError, SignInError};

/// Whether a peer is signed in, as far as our servers have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// No server has told yet, or we are signed in nowhere ourselves.
    #[default]
    Unknown,
    /// It is signed in.
    Online,
    /// It is not.
    Offline,
}

/// What the engine knows of a watched peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tidings {
    pub(crate) presence: Presence,
    /// How often it was said to have come: a peer that was restarted comes without having gone.
    pub(crate) arrivals: u64,
}

/// Follows a peer's presence, over reconnects of our own. Ends when dropped.
///
/// Servers that we are signed in to are asked, which with several servers need not be all of them;
/// [`Endpoint::is_alive`] asks every one.
#[derive(Debug, Clone)]
pub struct Watching {
    tidings: watch::Receiver<Tidings>,
    /// Of which the caller has heard.
    arrivals: u64,
}

impl Watching {
    /// What is known now.
    pub fn presence(&self) -> Presence {
        self.tidings.borrow().presence
    }

    /// The next tidings. The same presence comes twice when a peer signs in anew without having been
    /// seen to leave. `None` once the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<Presence> {
        self.tidings.changed().await.ok()?;
        Some(self.tidings.borrow_and_update().presence)
    }

    /// Waits until the peer comes: after it was away, or as another process than before. That it is there
    /// when watching begins is no news here. `false` once the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn arrived(&mut self) -> bool {
        let heard_of = self.arrivals;
        let came = |tidings: &Tidings| tidings.arrivals > heard_of;
        let Ok(arrivals) = self.tidings.wait_for(came).await.map(|now| now.arrivals) else {
            return false;
        };
        self.arrivals = arrivals;
        true
    }

    /// Waits until the peer is known to be there; at once where it is. `false` once the endpoint is
    /// closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn online(&mut self) -> bool {
        let there = |tidings: &Tidings| tidings.presence == Presence::Online;
        self.tidings.wait_for(there).await.is_ok()
    }
}

impl Endpoint {
    /// Whether a peer is there now: signed in at any of our servers, or
    /// [found on this network](Self::set_nearby).
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn is_alive(&self, peer: PeerId) -> Result<bool, RequestError> {
        if self.is_nearby(peer) {
            return Ok(true);
        }
        if self.has_lan_alone() {
            return Ok(false);
        }
        match self.resolve(&peer.to_string()).await {
            Ok(resolved) => Ok(resolved.online),
            Err(ResolveError::Unknown { .. } | ResolveError::Ambiguous { .. }) => Ok(false),
            Err(ResolveError::Request(error)) => Err(error),
        }
    }

    /// Follows a peer's presence.
    ///
    /// # Errors
    ///
    /// - [`RequestError::Busy`]: 200 peers are watched already.
    /// - [`RequestError::NotSignedIn`]: the endpoint is closed. One that is not signed in *yet* is fine.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn watch(&self, peer: PeerId) -> Result<Watching, RequestError> {
        let (reply, tidings) = oneshot::channel();
        let gone = || RequestError::NotSignedIn(SignInError::SignedOut);
        let asked = self.send_command(Command::Watch { peer, reply }).await;
        asked.map_err(|()| gone())?;
        let mut tidings = tidings
            .await
            .map_err(|_| gone())?
            .ok_or(RequestError::Busy)?;
        let arrivals = tidings.borrow().arrivals;
        // What is known already is news to the caller.
        tidings.mark_changed();
        Ok(Watching { tidings, arrivals })
    }
}
