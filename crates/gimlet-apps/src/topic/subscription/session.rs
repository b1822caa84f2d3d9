//! One connection's worth of a subscription.

use std::time::Duration;

use bytes::Bytes;
use gimlet::{Connection, Path, SendStream, Watching};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::{Lost, Message, Update};
use crate::records::{ReadError, Records};
use crate::topic::Topic;
use crate::topic::wire::{Position, Start, ToPublisher, ToSubscriber};
use crate::waits::{stirred, until};

/// How long a publisher whose presence changed may take to say that it is still the same: two of the
/// longest round trips, and a repeat.
const PONG_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a publisher may refuse to take a few bytes.
const SAY_TIMEOUT: Duration = Duration::from_secs(10);

/// Messages taken before the publisher is told, while more are here already. A quarter of its window.
const TELL_AFTER: u64 = 256;

/// And bytes.
const TELL_AFTER_BYTES: usize = 1 << 20;

/// How a connection ended.
pub(super) struct End {
    pub(super) reason: Lost,
    /// Whether the publisher had served it.
    pub(super) greeted: bool,
}

/// See the [module docs](self).
pub(super) struct Session {
    send: SendStream,
    records: Records,
    updates: mpsc::Sender<Update>,
    path: watch::Receiver<Path>,
    start: Start,
    /// Once the publisher has told.
    at: Option<Position>,
    /// Messages and bytes taken of which the publisher has not been told.
    untold: (u64, usize),
    pong_by: Option<Instant>,
}

impl Session {
    pub(super) async fn open(
        connection: &Connection,
        topic: Topic,
        start: Start,
        path: watch::Receiver<Path>,
        updates: mpsc::Sender<Update>,
    ) -> Result<Self, Lost> {
        let opened = connection.open_bi().await;
        let (send, recv) = opened.map_err(|_| Lost::Closed)?;
        let mut session = Self {
            send,
            records: Records::new(recv, ToSubscriber::MAX_BODY),
            updates,
            path,
            start,
            at: None,
            untold: (0, 0),
            pong_by: None,
        };
        session
            .say(&ToPublisher::Subscribe { topic, start })
            .await?;
        Ok(session)
    }

    /// Follows until the connection is over.
    pub(super) async fn run(&mut self, watching: &mut Option<Watching>) -> End {
        let reason = match self.follow(watching).await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        End {
            reason,
            greeted: self.at.is_some(),
        }
    }

    async fn follow(
        &mut self,
        watching: &mut Option<Watching>,
    ) -> Result<std::convert::Infallible, Lost> {
        loop {
            tokio::select! {
                record = self.records.next() => {
                    let (kind, body) = record.map_err(lost)?.ok_or(Lost::Ended)?;
                    self.take(kind, body).await?;
                    // What is here already is taken before the publisher is told.
                    while let Some((kind, body)) = self.records.take().map_err(lost)? {
                        self.take(kind, body).await?;
                        if self.untold.0 >= TELL_AFTER || self.untold.1 >= TELL_AFTER_BYTES {
                            self.tell().await?;
                        }
                    }
                    self.tell().await?;
                }
                () = stirred(watching) => {
                    // It went, or came anew: then this connection leads nowhere, and would be missed
                    // only when it has been silent for two minutes.
                    self.say(&ToPublisher::Ping).await?;
                    self.pong_by.get_or_insert(Instant::now() + PONG_TIMEOUT);
                }
                Ok(()) = self.path.changed() => {
                    let path = *self.path.borrow_and_update();
                    self.tell_program(Update::Path(path)).await?;
                }
                () = until(self.pong_by) => return Err(Lost::Silent),
            }
        }
    }

    async fn take(&mut self, kind: u8, body: Bytes) -> Result<(), Lost> {
        let size = body.len();
        let said = ToSubscriber::decode(kind, body).map_err(|_| Lost::Violation)?;
        // Whatever it says, it is there.
        self.pong_by = None;
        let update = match (said, self.at) {
            (None | Some(ToSubscriber::Pong), _) => return Ok(()),
            (Some(ToSubscriber::Line { epoch, next }), _) => {
                let seq = next.checked_sub(1).ok_or(Lost::Violation)?;
                let position = Position { epoch, seq };
                self.at = Some(position);
                Update::Placed(position)
            }
            (Some(ToSubscriber::Missed { count }), Some(at)) => {
                self.pass(at, at.seq.checked_add(count))?;
                Update::Missed { count }
            }
            (
                Some(ToSubscriber::Message {
                    seq,
                    published_at,
                    payload,
                }),
                Some(at),
            ) if at.seq.checked_add(1) == Some(seq) => {
                let position = self.pass(at, Some(seq))?;
                self.untold.0 += 1;
                self.untold.1 += size;
                Update::Message(Message {
                    position,
                    published_at,
                    payload,
                })
            }
            (Some(ToSubscriber::Message { .. } | ToSubscriber::Missed { .. }), _) => {
                return Err(Lost::Violation);
            }
        };
        self.tell_program(update).await
    }

    async fn tell_program(&mut self, update: Update) -> Result<(), Lost> {
        // Nobody takes it only when nobody wants the subscription; the task notices.
        let handed = self.updates.send(update).await;
        handed.map_err(|_| Lost::Closed)
    }

    /// Moves on within the numbering.
    fn pass(&mut self, at: Position, seq: Option<u64>) -> Result<Position, Lost> {
        let seq = seq.ok_or(Lost::Violation)?;
        let position = Position { seq, ..at };
        self.at = Some(position);
        Ok(position)
    }

    /// Tells the publisher what we have.
    async fn tell(&mut self) -> Result<(), Lost> {
        if let (1.., Some(at)) = (self.untold.0, self.at) {
            self.untold = (0, 0);
            self.say(&ToPublisher::Taken { seq: at.seq }).await?;
        }
        Ok(())
    }

    async fn say(&mut self, what: &ToPublisher) -> Result<(), Lost> {
        let said = timeout(SAY_TIMEOUT, self.send.write_chunk(what.encode())).await;
        match said {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Lost::Closed),
            Err(_) => Err(Lost::Silent),
        }
    }

    /// Where the next connection begins.
    pub(super) fn place(&self) -> Start {
        self.at.map_or(self.start, Start::After)
    }

    /// Says goodbye, and waits until it was heard.
    pub(super) async fn leave(&mut self) {
        // Both fail where the publisher is gone.
        let _ = self.send.finish();
        while let Ok(Some(_)) = self.records.next().await {}
    }
}

fn lost(error: ReadError) -> Lost {
    match error {
        ReadError::Lost(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
            Lost::Ended
        }
        ReadError::Lost(_) => Lost::Closed,
        ReadError::Malformed => Lost::Violation,
    }
}
