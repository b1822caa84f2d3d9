//! Numbers of short codes: how two meet who do not know each other's id.

use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::message::{DropNumber, HoldNumber, Resolved, ToPeer};
use gimlet_proto::rendezvous::numbers::MARK;

use super::{Endpoint, request_failure};
use crate::control::{Control, ServerId};
use crate::error::{RequestError, ResolveError};

/// A number that leads to this endpoint at its first server; [`Endpoint::drop_number`] gives it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldNumber {
    number: u32,
    ttl: Duration,
    server: ServerId,
}

impl HeldNumber {
    /// The number, from 1 on; small where few are held.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// For how long the server keeps it, from when it was asked.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }
}

impl Endpoint {
    /// Asks the first server for a number that leads to this endpoint's key, for `ttl` or an hour,
    /// whichever is shorter. The number proves nothing: prove who it is that comes, by a secret of
    /// your own.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: not signed in, or the server cannot answer now. Busy, if this key has 32.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a number that runs out by itself.
    pub async fn hold_number(&self, ttl: Duration) -> Result<HeldNumber, RequestError> {
        let control = &self.inner.control;
        let deadline = Control::request_deadline();
        let ttl_s = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).max(1);
        loop {
            let server = control.first_server(deadline).await?;
            let ask = Arc::new(move |id| HoldNumber { id, ttl_s }.into());
            return match control.ask(server, ask, deadline).await? {
                Some(ToPeer::NumberHeld(held)) => Ok(HeldNumber {
                    number: held.number,
                    ttl: Duration::from_secs(held.ttl_s.into()),
                    server,
                }),
                Some(ToPeer::Failed(failed)) => Err(request_failure(failed.reason)),
                Some(_) => Err(RequestError::Rejected),
                None => continue,
            };
        }
    }

    /// Gives a number back: it leads nowhere from now on.
    pub fn drop_number(&self, held: HeldNumber) {
        let number = held.number;
        self.inner.control.send(held.server, DropNumber { number });
    }

    /// Finds out to whom a number leads. Servers are asked from the nearest on.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn resolve_number(&self, number: u32) -> Result<Resolved, ResolveError> {
        self.resolve(&format!("{MARK}{number}")).await
    }
}
