//! Where the connections of a conversation come from: one side dials them, the other is dialled.

use std::future::pending;

use gimlet::{ConnectError, Endpoint, PeerId, SignInError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::chat::ALPN;
use crate::chat::link::Link;
use crate::chat::wire::Hello;
use crate::retry::Retry;
use crate::waits::comes;

/// Where the next connection comes from.
#[derive(Debug)]
pub(in crate::chat) enum Role {
    /// We make it.
    Asks {
        endpoint: Endpoint,
        peer: PeerId,
        dialling: Option<JoinHandle<Option<Link>>>,
    },
    /// They make it, and the reception hands it on.
    Accepts(mpsc::Receiver<(Link, Hello)>),
}

impl Role {
    pub(in crate::chat) fn asks(endpoint: Endpoint, peer: PeerId) -> Self {
        Self::Asks {
            endpoint,
            peer,
            dialling: None,
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if let Self::Asks {
            dialling: Some(dialling),
            ..
        } = self
        {
            dialling.abort();
        }
    }
}

/// The next connection; `None` when there will be none.
pub(super) async fn next_link(role: &mut Role, has_link: bool) -> Option<(Link, Option<Hello>)> {
    match role {
        Role::Accepts(links) => {
            let (link, hello) = links.recv().await?;
            Some((link, Some(hello)))
        }
        Role::Asks { .. } if has_link => pending().await,
        Role::Asks {
            endpoint,
            peer,
            dialling,
        } => {
            let task = dialling.get_or_insert_with(|| tokio::spawn(dial(endpoint.clone(), *peer)));
            let link = task.await.ok().flatten();
            *dialling = None;
            Some((link?, None))
        }
    }
}

/// Dials until somebody answers; `None` once the endpoint is closed.
async fn dial(endpoint: Endpoint, peer: PeerId) -> Option<Link> {
    let mut watching = endpoint.watch(peer).await.ok();
    let mut retry = Retry::new();
    loop {
        match endpoint.connect(peer, ALPN).await {
            Ok(connection) => {
                if let Ok(link) = Link::open(connection).await {
                    return Some(link);
                }
            }
            Err(ConnectError::NotSignedIn(SignInError::SignedOut)) => return None,
            Err(error) => tracing::debug!(peer = %peer.short(), %error, "not back yet"),
        }
        tokio::select! {
            () = sleep(retry.pause(rand::random())) => (),
            () = comes(&mut watching) => (),
        }
    }
}
