//! Who is there, and how attempts go, as the servers tell it.

use std::collections::HashSet;
use std::sync::Arc;

use gimlet_proto::message::{AskStats, List, PeerInfo, SessionInfo, Stats, ToPeer};

use super::{Endpoint, request_failure};
use crate::control::{Control, ServerId};
use crate::error::RequestError;

/// Pages of the peer list asked for at most: 64 × 1,024 peers.
const MAX_PAGES: usize = 1024;

/// What [`Endpoint::list`] returns.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Peers online, in the order of their ids.
    pub peers: Vec<PeerInfo>,
    /// Sessions between them.
    pub sessions: Vec<SessionInfo>,
}

impl Listing {
    /// Adds what another server lists; who is at both is listed once, as the first one knows them.
    fn merged(mut self, also: Self) -> Self {
        let known: HashSet<_> = self.peers.iter().map(|peer| peer.peer).collect();
        let new = also.peers.into_iter();
        self.peers
            .extend(new.filter(|peer| !known.contains(&peer.peer)));
        self.peers.sort_by_key(|peer| peer.peer);
        self.sessions.extend(also.sessions);
        self
    }
}

impl Endpoint {
    /// Lists peers online and the sessions between them, at every server we are signed in to.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list(&self) -> Result<Listing, RequestError> {
        let control = &self.inner.control;
        let first = control.first_server(Control::request_deadline()).await?;
        let mut order = control.standing().borrow().order.clone();
        order.retain(|&server| server != first);
        order.insert(0, first);
        let mut found: Result<Listing, RequestError> = Err(RequestError::TimedOut);
        for server in order {
            found = match (found, self.list_at(server).await) {
                (Ok(listing), Ok(also)) => Ok(listing.merged(also)),
                // What one says stands without the others.
                (Ok(listing), Err(_)) | (Err(_), Ok(listing)) => Ok(listing),
                (Err(_), Err(error)) => Err(error),
            };
        }
        found
    }

    async fn list_at(&self, server: ServerId) -> Result<Listing, RequestError> {
        let mut listing = Listing::default();
        let deadline = Control::request_deadline();
        for _ in 0..MAX_PAGES {
            let after = listing.peers.last().map(|last| last.peer);
            let ask = Arc::new(move |id| List { id, after }.into());
            let answer = self.inner.control.ask(server, ask, deadline).await?;
            match answer.ok_or(RequestError::TimedOut)? {
                ToPeer::Page(page) => {
                    let more = page.more && !page.peers.is_empty();
                    listing.peers.extend(page.peers);
                    listing.sessions.extend(page.sessions);
                    if !more {
                        break;
                    }
                }
                ToPeer::Failed(failed) => return Err(request_failure(failed.reason)),
                _ => return Err(RequestError::Rejected),
            }
        }
        Ok(listing)
    }

    /// The server's statistics of attempts, of everybody, since it was started.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stats(&self) -> Result<Stats, RequestError> {
        let ask = |id| AskStats { id }.into();
        match self.inner.control.request(ask).await? {
            ToPeer::Stats(stats) => Ok(stats),
            ToPeer::Failed(failed) => Err(request_failure(failed.reason)),
            _ => Err(RequestError::Rejected),
        }
    }
}
