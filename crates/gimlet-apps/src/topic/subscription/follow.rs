//! The subscription's task: one connection after the other, for as long as it is wanted.

use std::time::Duration;

use gimlet::{Connection, Endpoint, PeerId, SignInError, Watching};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::session::{End, Session};
use super::{Lost, Update};
use crate::retry::Retry;
use crate::topic::{ALPN, Start, Topic};
use crate::waits::comes;

/// How long a publisher may take to hear that we leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// See the [module docs](self).
pub(super) struct Follower {
    pub(super) endpoint: Endpoint,
    pub(super) publisher: PeerId,
    pub(super) topic: Topic,
    pub(super) start: Start,
    pub(super) updates: mpsc::Sender<Update>,
}

impl Follower {
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<bool>) {
        let mut watching = self.endpoint.watch(self.publisher).await.ok();
        let mut retry = Retry::new();
        // A reason is told once, not at every attempt.
        let mut told = None;
        while *wanted.borrow() {
            let dial = self.endpoint.connect(self.publisher, ALPN);
            let dialled = tokio::select! {
                dialled = dial => dialled,
                _ = wanted.changed() => return,
            };
            let reason = match dialled {
                Ok(connection) => {
                    told = None;
                    let End { reason, greeted } =
                        match self.follow(connection, &mut watching, &mut wanted).await {
                            Some(end) => end,
                            None => return,
                        };
                    if greeted {
                        retry.reset();
                    }
                    reason
                }
                Err(gimlet::ConnectError::NotSignedIn(SignInError::SignedOut)) => return,
                Err(error) => Lost::Unreachable(error),
            };
            if told.as_ref() != Some(&reason) {
                told = Some(reason.clone());
                if self
                    .updates
                    .send(Update::Disconnected { reason })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            tokio::select! {
                () = sleep(retry.pause(rand::random())) => (),
                () = comes(&mut watching) => (),
                _ = wanted.changed() => return,
            }
        }
    }

    /// Follows on one connection until it is over; `None` when nobody wants it any more.
    async fn follow(
        &mut self,
        connection: Connection,
        watching: &mut Option<Watching>,
        wanted: &mut watch::Receiver<bool>,
    ) -> Option<End> {
        let mut paths = connection.path_changes();
        let path = *paths.borrow_and_update();
        self.updates.send(Update::Connected { path }).await.ok()?;
        let topic = self.topic.clone();
        let updates = self.updates.clone();
        let opened = Session::open(&connection, topic, self.start, paths, updates).await;
        let mut session = match opened {
            Ok(session) => session,
            Err(reason) => {
                let greeted = false;
                return Some(End { reason, greeted });
            }
        };
        let ended = tokio::select! {
            end = session.run(watching) => Some(end),
            _ = wanted.changed() => None,
        };
        self.start = session.place();
        if ended.is_none() {
            // Who is gone hears nothing; nobody waits for it longer than this.
            let _ = timeout(LEAVE_TIMEOUT, session.leave()).await;
        }
        connection.close(0, b"");
        ended
    }
}
