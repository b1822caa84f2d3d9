//! The subscribing side: connects, follows, and comes back to where it was after every interruption.

mod follow;
mod session;

use std::time::SystemTime;

use bytes::Bytes;
use gimlet::{ConnectError, Endpoint, Path, PeerId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{Position, Start, Topic};

/// Updates that wait for the program. Messages have a MiB at most, so this is what a publisher can
/// make us hold.
const MAX_UPDATES: usize = 16;

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place. A later subscription that starts [`After`](Start::After) it misses nothing.
    pub position: Position,
    /// When it was published, by the publisher's clock.
    pub published_at: SystemTime,
    /// What it says.
    pub payload: Bytes,
}

/// What a subscription tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// Connected to the publisher, over this path; messages follow.
    Connected {
        /// Which one.
        path: Path,
    },
    /// The path changed.
    Path(Path),
    /// The publisher has told where we are: before its first message, or behind the last of ours.
    Placed(Position),
    /// The next message.
    Message(Message),
    /// So many messages were dropped before they could be sent: we were away or slow for longer than
    /// the publisher keeps them.
    Missed {
        /// How many.
        count: u64,
    },
    /// Not connected, and not for lack of trying.
    Disconnected {
        /// Why.
        reason: Lost,
    },
}

/// Why a subscription has no connection; it keeps trying.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// None could be made.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
    /// It is over.
    #[error("the connection is over")]
    Closed,
    /// The publisher is silent.
    #[error("the publisher does not answer any more")]
    Silent,
    /// The publisher has as many subscribers as it takes, or has ended this subscription.
    #[error("the publisher has ended the subscription")]
    Ended,
    /// It does not keep to the protocol.
    #[error("the publisher does not keep to the protocol")]
    Violation,
}

/// One topic of one peer. Lives until it is dropped or its endpoint is closed.
#[derive(Debug)]
pub struct Subscription {
    updates: mpsc::Receiver<Update>,
    wanted: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Subscription {
    /// Begins in the background.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(endpoint: &Endpoint, publisher: PeerId, topic: Topic, start: Start) -> Self {
        let (updates_by, updates) = mpsc::channel(MAX_UPDATES);
        let (wanted, is_wanted) = watch::channel(true);
        let follower = follow::Follower {
            endpoint: endpoint.clone(),
            publisher,
            topic,
            start,
            updates: updates_by,
        };
        let task = tokio::spawn(follower.run(is_wanted));
        Self {
            updates,
            wanted,
            task,
        }
    }

    /// The next update. `None` once the endpoint is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no update is lost.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }

    /// Takes leave of the publisher, which hears of it before this returns if it can.
    pub async fn unsubscribe(mut self) {
        // An error means that the task is gone.
        let _ = self.wanted.send(false);
        self.updates.close();
        while self.updates.recv().await.is_some() {}
        let _ = (&mut self.task).await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The task hears that nobody wants it any more, and takes its leave by itself.
        let _ = self.wanted.send(false);
    }
}
