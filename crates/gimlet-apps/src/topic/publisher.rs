//! The publishing side: one task owns the log and every subscriber's place in it.

mod desk;
mod serve;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use gimlet::{Connection, PeerId};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::Topic;
use super::keep::{Keep, Limits};
use super::store::{Store, StoreError};
use desk::{Command, Desk};

/// Commands that may wait for the task.
const MAX_COMMANDS: usize = 64;

/// Events that a listener may fall behind.
const MAX_EVENTS: usize = 256;

/// What a publisher works with. Default: nothing on disk, and the [`Limits`]' own.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// For how long and how much is kept.
    pub limits: Limits,
    /// Where messages are kept over restarts; this publisher's alone.
    pub state: Option<PathBuf>,
}

/// Why a message is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It has more than [`MAX_MESSAGE`](super::MAX_MESSAGE) bytes.
    #[error("a message has at most 1 MiB; send larger things as files")]
    TooLong,
    /// There are 4,096 topics.
    #[error("a publisher has at most 4096 topics")]
    TooManyTopics,
    /// It could not be written to disk, and nobody gets it.
    #[error("the message cannot be written to disk; is it full?")]
    Disk,
    /// The publisher's runtime is gone.
    #[error("the publisher has ended")]
    Ended,
}

/// What happens at a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody follows a topic.
    Subscribed {
        /// Who.
        peer: PeerId,
        /// Which.
        topic: Topic,
    },
    /// Somebody follows it no more, or is gone.
    Unsubscribed {
        /// Who.
        peer: PeerId,
        /// Which.
        topic: Topic,
    },
}

/// How it stands with the subscribers that are connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Subscriptions.
    pub subscribers: usize,
    /// Those of them that have not everything yet.
    pub behind: usize,
}

/// Publishes. Cheap to clone; all clones are one publisher, which ends with the last.
#[derive(Debug, Clone)]
pub struct Publisher {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    events: broadcast::Sender<Event>,
    places: Arc<Semaphore>,
}

impl Publisher {
    /// Starts the task, with what the state folder has kept.
    ///
    /// # Errors
    ///
    /// - [`StoreError::InUse`]: another publisher has that folder.
    /// - [`StoreError::Io`]: it cannot be read or written.
    pub async fn start(config: Config) -> Result<Self, StoreError> {
        let limits = config.limits;
        let mut keep = Keep::new(limits, rand::random());
        let mut store = None;
        if let Some(folder) = config.state {
            let path = folder.clone();
            let opened = tokio::task::spawn_blocking(move || Store::open(&folder, limits)).await;
            let source = io_other;
            let opened = opened.map_err(|error| StoreError::Io {
                path,
                source: source(error),
            })?;
            let (opened, messages) = opened?;
            for kept in messages {
                keep.add(kept);
            }
            store = Some(opened);
        }
        let (commands, ordered) = mpsc::channel(MAX_COMMANDS);
        let (status_by, status) = watch::channel(Status::default());
        let events = broadcast::Sender::new(MAX_EVENTS);
        let desk = Desk::new(keep, store, status_by, events.clone());
        tokio::spawn(desk.run(ordered));
        Ok(Self {
            commands,
            status,
            events,
            places: Arc::new(Semaphore::new(serve::MAX_SUBSCRIPTIONS)),
        })
    }

    /// Publishes a message; its number within the topic. Returns when it is on its way to whoever is
    /// connected, and on disk where there is one.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nobody gets it.
    ///
    /// # Cancel safety
    ///
    /// A message whose future is dropped may be published or not.
    pub async fn publish(
        &self,
        topic: &Topic,
        payload: impl Into<Bytes>,
    ) -> Result<u64, PublishError> {
        let (reply, done) = oneshot::channel();
        let command = Command::Publish {
            topic: topic.clone(),
            payload: payload.into(),
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| PublishError::Ended)?;
        done.await.unwrap_or(Err(PublishError::Ended))
    }

    /// Serves a connection of [`ALPN`](super::ALPN) until it is over.
    pub async fn serve(&self, connection: Connection) {
        serve::serve(self, connection).await;
    }

    /// The same as a [`Router`](crate::Router) wants it.
    pub fn handler(
        &self,
    ) -> impl Fn(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static
    {
        let publisher = self.clone();
        move |connection| {
            let publisher = publisher.clone();
            Box::pin(async move { publisher.serve(connection).await })
        }
    }

    /// How it stands with the subscribers that are connected.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Waits until every subscriber that is connected has said to have everything.
    pub async fn delivered(&self) {
        let mut status = self.status.clone();
        // An error means that the task is gone, and with it whoever might be waited for.
        let _ = status.wait_for(|status| status.behind == 0).await;
    }

    /// What happens from now on. A receiver that falls behind by 256 events misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

fn io_other(error: tokio::task::JoinError) -> std::io::Error {
    std::io::Error::other(error)
}
