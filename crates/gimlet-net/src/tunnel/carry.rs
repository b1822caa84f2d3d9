//! Carries packets between a WebSocket and the queues at this end, until either side is done.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use gimlet_proto::tunnel::{self, MessageError};
use tokio::sync::mpsc;
use tokio::time;

use super::inbox::Received;
use super::outbox::Outbox;

/// What a WebSocket brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message of packets.
    Packets(Bytes),
    /// A sign of life.
    Nothing,
    /// Something else than packets.
    Foreign,
    /// The other side is done.
    Close,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// One side closed it.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing came for too long.
    Idle,
    /// What was sent was not taken for too long.
    Stuck,
    /// A message was not made of packets.
    Malformed(MessageError),
    /// A message was not even binary.
    Foreign,
}

/// Sends what is put into `outbox`, and delivers what comes as said to come from `from`. Ends when
/// nothing comes, or nothing is taken, for `patience`.
pub async fn carry<E>(
    stream: impl Stream<Item = Result<Incoming, E>>,
    sink: impl Sink<Bytes, Error = E>,
    outbox: &Outbox,
    deliver: &mpsc::Sender<Received>,
    from: SocketAddr,
    patience: Duration,
) -> End {
    // Both at once: two ends that each wait to send before they read would wait for ever.
    tokio::select! {
        end = receive(stream, deliver, from, patience) => end,
        end = send(sink, outbox, patience) => end,
    }
}

async fn receive<E>(
    stream: impl Stream<Item = Result<Incoming, E>>,
    deliver: &mpsc::Sender<Received>,
    from: SocketAddr,
    patience: Duration,
) -> End {
    let mut stream = pin!(stream);
    loop {
        let message = match time::timeout(patience, stream.next()).await {
            Ok(Some(Ok(Incoming::Packets(message)))) => message,
            Ok(Some(Ok(Incoming::Nothing))) => continue,
            Ok(Some(Ok(Incoming::Foreign))) => return End::Foreign,
            Ok(Some(Ok(Incoming::Close)) | None) => return End::Closed,
            Ok(Some(Err(_))) => return End::Broken,
            Err(_) => return End::Idle,
        };
        if let Err(error) = tunnel::check(&message) {
            return End::Malformed(error);
        }
        if message.is_empty() {
            continue;
        }
        if deliver.send(Received { from, message }).await.is_err() {
            return End::Closed;
        }
    }
}

async fn send<E>(sink: impl Sink<Bytes, Error = E>, outbox: &Outbox, patience: Duration) -> End {
    let mut sink = pin!(sink);
    loop {
        let message = outbox.next().await;
        match time::timeout(patience, sink.send(message)).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Stuck,
        }
    }
}
