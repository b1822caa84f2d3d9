//! Who a text means, at which server whatsoever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::message::{FailReason, Resolve, Resolved, ToPeer};
use tokio::time::Instant;

use super::{Endpoint, request_failure};
use crate::control::{Control, ServerId};
use crate::error::{RequestError, ResolveError};

/// How long a server that we are not signed in to may take to let us in.
pub(super) const SIGN_IN: Duration = Duration::from_secs(3);

impl Endpoint {
    /// Finds out who a text means: a name, an id, a unique prefix of an id, or `IP:PORT` where the
    /// server tells addresses. Servers are asked from the nearest on; the first that knows decides.
    /// Called before sign-in, it rides right behind it and costs no extra round trip.
    ///
    /// # Errors
    ///
    /// - [`ResolveError::Unknown`], [`ResolveError::Ambiguous`]: give another text.
    /// - [`ResolveError::Request`]: not signed in, or the server cannot answer now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn resolve(&self, text: &str) -> Result<Resolved, ResolveError> {
        let text = text.trim().to_owned();
        if text.is_empty() || text.len() > Resolve::MAX_TEXT {
            return Err(ResolveError::Unknown { text });
        }
        let control = &self.inner.control;
        let deadline = Control::request_deadline();
        let mut asked = BTreeSet::new();
        let mut found: Option<Resolved> = None;
        let mut next = Some(control.first_server(deadline).await?);
        while let Some(server) = next {
            asked.insert(server);
            // Where it is known who, but not that it is there, others may know it to be.
            let known = found.as_ref().map(|found| found.peer.to_string());
            let answer = self.resolve_at(server, known.unwrap_or(text.clone()), deadline);
            match answer.await {
                Ok(Some(resolved)) if resolved.online || found.is_none() => found = Some(resolved),
                Ok(Some(_) | None) => (),
                Err(_) if found.is_some() => (),
                Err(error) => return Err(error),
            }
            if found.as_ref().is_some_and(|found| found.online) {
                break;
            }
            next = self.next_server(&asked).await;
        }
        found.ok_or(ResolveError::Unknown { text })
    }

    /// What one server says; `None` where it knows nobody like that, or went away.
    pub(super) async fn resolve_at(
        &self,
        server: ServerId,
        text: String,
        deadline: Instant,
    ) -> Result<Option<Resolved>, ResolveError> {
        let request = text.clone();
        let ask = Arc::new(move |id| {
            let text = request.clone();
            Resolve { id, text }.into()
        });
        match self.inner.control.ask(server, ask, deadline).await? {
            Some(ToPeer::Resolved(resolved)) => Ok(Some(resolved)),
            Some(ToPeer::Failed(failed)) => match failed.reason {
                FailReason::UnknownPeer => Ok(None),
                FailReason::Ambiguous => Err(ResolveError::Ambiguous { text }),
                reason => Err(ResolveError::Request(request_failure(reason))),
            },
            Some(_) => Err(RequestError::Rejected.into()),
            None => Ok(None),
        }
    }

    /// The best server that was not asked yet and lets us in.
    async fn next_server(&self, asked: &BTreeSet<ServerId>) -> Option<ServerId> {
        let standing = self.inner.control.standing();
        let order = standing.borrow().order.clone();
        if let Some(id) = order.into_iter().find(|id| !asked.contains(id)) {
            return Some(id);
        }
        let servers = standing.borrow().servers.len() as u8;
        for id in (0..servers).map(ServerId).filter(|id| !asked.contains(id)) {
            if self.is_signed_in_at(id).await {
                return Some(id);
            }
        }
        None
    }
}
