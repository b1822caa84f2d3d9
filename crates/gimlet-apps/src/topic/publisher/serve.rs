//! One subscriber's streams: requests in, records out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gimlet::{Connection, PeerId, RecvStream, SendStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Command, Publisher};
use crate::records::Records;
use crate::topic::wire::{ToPublisher, ToSubscriber};
use crate::{BUSY, NOT_SERVED};

/// Subscriptions of one publisher. Each holds a window of messages at most.
pub(super) const MAX_SUBSCRIPTIONS: usize = 4096;

/// Subscriptions of one connection; further streams wait.
const MAX_STREAMS: usize = 32;

/// How long a stream may take to say what it is about.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Records written at once.
const MAX_WRITE: usize = 64;

/// Numbers subscriptions, of all publishers of this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Serves every stream of a connection until it is over.
pub(super) async fn serve(publisher: &Publisher, connection: Connection) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi(), if streams.len() < MAX_STREAMS => {
                let Ok((send, recv)) = stream else { break };
                streams.spawn(subscription(publisher.clone(), connection.peer(), send, recv));
            }
            Some(_) = streams.join_next() => (),
        }
    }
    // Each notices by itself, and takes its leave.
    while streams.join_next().await.is_some() {}
}

/// One subscription, from its first record to its end.
async fn subscription(publisher: Publisher, peer: PeerId, mut send: SendStream, recv: RecvStream) {
    let mut requests = Records::new(recv, ToPublisher::MAX_BODY);
    let first = timeout(SUBSCRIBE_TIMEOUT, next(&mut requests)).await;
    let Ok(Some(ToPublisher::Subscribe { topic, start })) = first else {
        // Fails only where the peer was faster, as below.
        let _ = send.reset(NOT_SERVED.into());
        return;
    };
    let Ok(_place) = publisher.places.clone().try_acquire_owned() else {
        let _ = send.reset(BUSY.into());
        return;
    };
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let (records_by, mut records) = mpsc::unbounded_channel();
    let attach = Command::Attach {
        id,
        peer,
        topic,
        start,
        records: records_by,
    };
    if publisher.commands.send(attach).await.is_err() {
        return;
    }
    let pinged = Notify::new();
    tokio::select! {
        () = hear(&publisher, id, &mut requests, &pinged) => (),
        () = write(&mut send, &mut records, &pinged) => (),
    }
    // The publisher's end is the end of all of this.
    let _ = publisher.commands.send(Command::Detach { id }).await;
    let _ = send.finish();
}

/// Hears what the subscriber has taken until it unsubscribes or misbehaves.
async fn hear(publisher: &Publisher, id: u64, requests: &mut Records, pinged: &Notify) {
    while let Some(request) = next(requests).await {
        match request {
            ToPublisher::Taken { seq } => {
                let taken = Command::Taken { id, seq };
                if publisher.commands.send(taken).await.is_err() {
                    return;
                }
            }
            ToPublisher::Ping => pinged.notify_one(),
            ToPublisher::Subscribe { .. } => return,
        }
    }
}

/// Writes records until the desk has none any more.
async fn write(
    send: &mut SendStream,
    records: &mut mpsc::UnboundedReceiver<Bytes>,
    pinged: &Notify,
) {
    let mut batch = Vec::with_capacity(MAX_WRITE);
    loop {
        tokio::select! {
            count = records.recv_many(&mut batch, MAX_WRITE) => if count == 0 { return },
            () = pinged.notified() => batch.push(ToSubscriber::Pong.encode()),
        }
        if send.write_all_chunks(&mut batch).await.is_err() {
            return;
        }
        batch.clear();
    }
}

/// The next request that means something to us; `None` at the end, good or bad.
async fn next(requests: &mut Records) -> Option<ToPublisher> {
    loop {
        let (kind, body) = requests.next().await.ok()??;
        if let Some(request) = ToPublisher::decode(kind, body).ok()? {
            return Some(request);
        }
    }
}
