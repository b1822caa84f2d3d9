//! The publisher's task: messages in, records out to every subscriber's stream.
//!
//! With a store, messages are written in batches: while one is on its way to the disk the next gathers,
//! so that a thousand small messages cost a few syncs and not a thousand.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use gimlet::PeerId;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Event, PublishError, Status};
use crate::records::Violation;
use crate::topic::Topic;
use crate::topic::keep::{Keep, Kept};
use crate::topic::reader::Reader;
use crate::topic::store::Store;
use crate::topic::wire::Start;

/// Messages that gather for one write: of the largest, half of what is kept by default.
const MAX_BATCH: usize = 32;

/// How often readers that take nothing are looked for, and the log for what is too old.
const SWEEP: Duration = Duration::from_secs(5);

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Command {
    /// A message.
    Publish {
        topic: Topic,
        payload: Bytes,
        reply: oneshot::Sender<Result<u64, PublishError>>,
    },
    /// A subscriber. It gets its records until it detaches, or its sender is dropped by us.
    Attach {
        id: u64,
        peer: PeerId,
        topic: Topic,
        start: Start,
        /// Not bounded itself: the reader's window bounds what is in it.
        records: mpsc::UnboundedSender<Bytes>,
    },
    /// It has everything up to here.
    Taken { id: u64, seq: u64 },
    /// It is gone.
    Detach { id: u64 },
}

struct Subscriber {
    peer: PeerId,
    reader: Reader,
    records: mpsc::UnboundedSender<Bytes>,
    up_to_date: bool,
}

struct Staged {
    kept: Kept,
    reply: oneshot::Sender<Result<u64, PublishError>>,
}

type Written = (Store, io::Result<()>, Vec<Staged>);

/// See the [module docs](self).
pub(super) struct Desk {
    keep: Keep,
    /// `None` without one, and while it is being written to.
    store: Option<Store>,
    writing: Option<JoinHandle<Written>>,
    batch: Vec<Staged>,
    subscribers: HashMap<u64, Subscriber>,
    by_topic: HashMap<Topic, Vec<u64>>,
    behind: usize,
    status: watch::Sender<Status>,
    events: broadcast::Sender<Event>,
}

impl Desk {
    pub(super) fn new(
        keep: Keep,
        store: Option<Store>,
        status: watch::Sender<Status>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        Self {
            keep,
            store,
            writing: None,
            batch: Vec::new(),
            subscribers: HashMap::new(),
            by_topic: HashMap::new(),
            behind: 0,
            status,
            events,
        }
    }

    /// Works until every publisher is dropped and what was staged is written.
    pub(super) async fn run(mut self, mut ordered: mpsc::Receiver<Command>) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                command = ordered.recv(), if self.batch.len() < MAX_BATCH => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                written = written(&mut self.writing) => self.written(written),
                _ = sweep.tick() => self.sweep(),
            }
            self.publish_status();
        }
        while self.writing.is_some() {
            let done = written(&mut self.writing).await;
            self.written(done);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish {
                topic,
                payload,
                reply,
            } => match self.keep.stage(&topic, payload, SystemTime::now()) {
                Ok(kept) => self.staged(Staged { kept, reply }),
                // Who asked may have stopped waiting, here and below.
                Err(error) => drop(reply.send(Err(error))),
            },
            Command::Attach {
                id,
                peer,
                topic,
                start,
                records,
            } => {
                self.by_topic.entry(topic.clone()).or_default().push(id);
                let event_topic = topic.clone();
                self.subscribers.insert(
                    id,
                    Subscriber {
                        peer,
                        reader: Reader::new(topic, start),
                        records,
                        up_to_date: true,
                    },
                );
                self.tell(Event::Subscribed {
                    peer,
                    topic: event_topic,
                });
                self.pump(id);
            }
            Command::Taken { id, seq } => {
                let taken = (self.subscribers.get_mut(&id))
                    .map(|subscriber| subscriber.reader.handle_taken(seq, Instant::now()));
                match taken {
                    Some(Ok(())) => self.pump(id),
                    Some(Err(Violation)) => self.detach(id),
                    None => (),
                }
            }
            Command::Detach { id } => self.detach(id),
        }
    }

    fn staged(&mut self, staged: Staged) {
        if self.store.is_none() && self.writing.is_none() {
            return self.publish(staged);
        }
        self.batch.push(staged);
        self.write();
    }

    /// Writes what has gathered, unless the last batch is still on its way.
    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Some(mut store) = self.store.take() else {
            return;
        };
        let batch = std::mem::take(&mut self.batch);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let kept: Vec<Kept> = batch.iter().map(|staged| staged.kept.clone()).collect();
            let result = store.append(&kept, SystemTime::now());
            (store, result, batch)
        }));
    }

    fn written(&mut self, (store, result, batch): Written) {
        self.store = Some(store);
        if let Err(error) = &result {
            tracing::warn!(%error, messages = batch.len(), "messages not written");
        }
        for staged in batch {
            match &result {
                Ok(()) => self.publish(staged),
                Err(_) => drop(staged.reply.send(Err(PublishError::Disk))),
            }
        }
        self.write();
    }

    fn publish(&mut self, staged: Staged) {
        let Staged { kept, reply } = staged;
        let (topic, seq) = (kept.topic.clone(), kept.seq);
        self.keep.add(kept);
        let readers = self.by_topic.get(&topic).cloned().unwrap_or_default();
        for id in readers {
            self.pump(id);
        }
        self.keep.handle_timeout(SystemTime::now());
        let _ = reply.send(Ok(seq));
    }

    /// Sends a subscriber what there is for it.
    fn pump(&mut self, id: u64) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else {
            return;
        };
        while let Some(record) = subscriber.reader.next(&self.keep, Instant::now()) {
            if subscriber.records.send(record).is_err() {
                return self.detach(id);
            }
        }
        let was = subscriber.up_to_date;
        let is = subscriber.reader.is_up_to_date(&self.keep);
        subscriber.up_to_date = is;
        self.behind = (self.behind + usize::from(was && !is)) - usize::from(!was && is);
    }

    fn detach(&mut self, id: u64) {
        let Some(gone) = self.subscribers.remove(&id) else {
            return;
        };
        self.behind -= usize::from(!gone.up_to_date);
        let topic = gone.reader.topic().clone();
        if let Some(readers) = self.by_topic.get_mut(&topic) {
            readers.retain(|&other| other != id);
            if readers.is_empty() {
                self.by_topic.remove(&topic);
            }
        }
        let peer = gone.peer;
        self.tell(Event::Unsubscribed { peer, topic });
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        let stalled = |(&id, subscriber): (&u64, &Subscriber)| {
            let gone = subscriber.records.is_closed();
            (gone || subscriber.reader.is_stalled(now)).then_some(id)
        };
        let stalled: Vec<u64> = self.subscribers.iter().filter_map(stalled).collect();
        for id in stalled {
            tracing::debug!(id, "subscriber takes nothing");
            self.detach(id);
        }
        self.keep.handle_timeout(SystemTime::now());
    }

    fn publish_status(&self) {
        let now = Status {
            subscribers: self.subscribers.len(),
            behind: self.behind,
        };
        self.status.send_if_modified(|status| {
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    fn tell(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }
}

/// The batch on its way to the disk, when it is there. Pending while there is none.
async fn written(writing: &mut Option<JoinHandle<Written>>) -> Written {
    match writing {
        None => std::future::pending().await,
        Some(task) => {
            let done = task.await.expect("writing does not panic");
            *writing = None;
            done
        }
    }
}
