//! Numbers of short codes: how two meet who do not know each other's id.
//!
//! A number is of one server. Of several, the first of the list counts that can be had, not the nearest:
//! two who are given the same list then mean the same number, wherever they are.

use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::message::{DropNumber, HoldNumber, Resolved, ToPeer};
use gimlet_proto::rendezvous::numbers::MARK;
use tokio::time::timeout;

use super::resolve::SIGN_IN;
use super::{Endpoint, request_failure};
use crate::control::{Control, ServerId, Standing};
use crate::engine::Command;
use crate::error::{RequestError, ResolveError};

/// A number that leads to this endpoint at one server; [`Endpoint::drop_number`] gives it back.
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
    /// Asks for a number that leads to this endpoint's key, for `ttl` or an hour, whichever is shorter.
    /// The number proves nothing: prove who it is that comes, by a secret of your own.
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
        control.first_server(deadline).await?;
        for server in self.listed_servers() {
            if !self.is_signed_in_at(server).await {
                continue;
            }
            let ask = Arc::new(move |id| HoldNumber { id, ttl_s }.into());
            match control.ask(server, ask, deadline).await? {
                Some(ToPeer::NumberHeld(held)) => {
                    return Ok(HeldNumber {
                        number: held.number,
                        ttl: Duration::from_secs(held.ttl_s.into()),
                        server,
                    });
                }
                Some(ToPeer::Failed(failed)) => return Err(request_failure(failed.reason)),
                Some(_) => return Err(RequestError::Rejected),
                // It went away.
                None => (),
            }
        }
        Err(RequestError::TimedOut)
    }

    /// Gives a number back: it leads nowhere from now on.
    pub fn drop_number(&self, held: HeldNumber) {
        let number = held.number;
        self.inner.control.send(held.server, DropNumber { number });
    }

    /// Stays signed in where the number leads for another minute, if that server is not one of those
    /// kept anyway; to be called again within it for as long as somebody may come.
    pub async fn keep_number(&self, held: HeldNumber) {
        // An error means that the endpoint is gone.
        let _ = self.send_command(Command::Need(held.server)).await;
    }

    /// Finds out to whom a number leads, at the first server of the list that knows it.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn resolve_number(&self, number: u32) -> Result<Resolved, ResolveError> {
        let text = format!("{MARK}{number}");
        let deadline = Control::request_deadline();
        self.inner.control.first_server(deadline).await?;
        for server in self.listed_servers() {
            if !self.is_signed_in_at(server).await {
                continue;
            }
            let answer = self.resolve_at(server, text.clone(), deadline);
            if let Some(found) = answer.await? {
                return Ok(found);
            }
        }
        Err(ResolveError::Unknown { text })
    }

    /// All servers, in the order given.
    fn listed_servers(&self) -> impl Iterator<Item = ServerId> + use<> {
        let count = self.inner.control.standing().borrow().servers.len() as u8;
        (0..count).map(ServerId)
    }

    /// Whether a server lets us in, now or within a moment.
    pub(super) async fn is_signed_in_at(&self, server: ServerId) -> bool {
        let mut standing = self.inner.control.standing();
        if standing.borrow_and_update().order.contains(&server) {
            return true;
        }
        let settled = |standing: &Standing| {
            let at = standing.servers.get(server.index());
            at.is_none_or(|at| at.online || at.error.is_some())
        };
        if self.send_command(Command::Need(server)).await.is_err() {
            // Gone with the endpoint.
            return false;
        }
        let settled = timeout(SIGN_IN, standing.wait_for(settled)).await;
        let online = |standing: &Standing| {
            let at = standing.servers.get(server.index());
            at.is_some_and(|at| at.online)
        };
        matches!(settled, Ok(Ok(standing)) if online(&standing))
    }
}
