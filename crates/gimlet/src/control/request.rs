//! Requests, and what becomes of them when the server that was asked goes away.

use std::sync::Arc;
use std::time::Duration;

use gimlet_proto::message::{RequestId, ToPeer, ToServer};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Control, ControlState, Outgoing, ServerId, Standing};
use crate::error::{RequestError, SignInError};

/// How long a caller waits for the answer to a request, a reconnect included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which the server that was asked is asked whether it is still there: the longest
/// round trip to plan for, doubled.
const DOUBT: Duration = Duration::from_secs(1);

/// Gap before a request that was not answered is made again.
const PAUSE: Duration = Duration::from_millis(50);

impl Control {
    /// Sends a request to the first server and waits for its answer; with the next one where that
    /// goes away. Before sign-in it waits with it, so that the request rides right behind the sign-in.
    pub(crate) async fn request(
        &self,
        make: impl Fn(RequestId) -> ToServer + Send + Sync + 'static,
    ) -> Result<ToPeer, RequestError> {
        let make = Arc::new(make);
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            let server = self.first_server(deadline).await?;
            if let Some(answer) = self.ask(server, make.clone(), deadline).await? {
                return Ok(answer);
            }
        }
    }

    /// The server to ask first, when there is one.
    pub(crate) async fn first_server(&self, deadline: Instant) -> Result<ServerId, RequestError> {
        let first = timeout_at(deadline, self.first()).await;
        Ok(first.map_err(|_| RequestError::TimedOut)??)
    }

    async fn first(&self) -> Result<ServerId, SignInError> {
        if self.is_stopped() {
            return Err(SignInError::SignedOut);
        }
        let mut standing = self.standing();
        let found = |standing: &Standing| standing.order.first().copied();
        let settled = standing.wait_for(|standing| {
            matches!(standing.state, ControlState::Failed(_)) || found(standing).is_some()
        });
        match settled.await.as_deref() {
            Ok(Standing {
                state: ControlState::Failed(error),
                ..
            }) => Err(error.clone()),
            Ok(standing) => found(standing).ok_or(SignInError::SignedOut),
            Err(_) => Err(SignInError::SignedOut),
        }
    }

    /// Asks one server; `None` when it goes away before it answers.
    pub(crate) async fn ask<F>(
        &self,
        server: ServerId,
        make: Arc<F>,
        deadline: Instant,
    ) -> Result<Option<ToPeer>, RequestError>
    where
        F: Fn(RequestId) -> ToServer + Send + Sync + 'static,
    {
        let Some(link) = self.links.get(server.index()) else {
            return Ok(None);
        };
        let (reply, answer) = oneshot::channel();
        let request = Outgoing::Request {
            make: Box::new(move |id| make(id)),
            reply,
        };
        let mut standing = self.standing();
        let exchange = async {
            link.outgoing.send(request).await.ok()?;
            answer.await.ok()
        };
        let gone = standing.wait_for(|standing| !standing.order.contains(&server));
        let doubt = async {
            sleep(DOUBT).await;
            self.doubt(server);
            std::future::pending::<()>().await
        };
        let asked = async {
            tokio::select! {
                biased;
                answer = exchange => answer,
                // An error means that the engine is gone, and all servers with it.
                _ = gone => None,
                () = doubt => None,
            }
        };
        let answer = timeout_at(deadline, asked).await;
        let answer = answer.map_err(|_| RequestError::TimedOut)?;
        if answer.is_none() {
            // Whoever was asked is about to be known as gone; if not, there is no hurry.
            let mut standing = self.standing();
            standing.mark_unchanged();
            let _ = timeout(PAUSE, standing.changed()).await;
        }
        Ok(answer)
    }

    /// How long a caller waits in all for requests that begin now.
    pub(crate) fn request_deadline() -> Instant {
        Instant::now() + REQUEST_TIMEOUT
    }
}
