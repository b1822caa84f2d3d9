//! One control session: from handshake to close, reading and writing its one stream.

use std::net::SocketAddr;
use std::time::Duration;

use gimlet_net::tls;
use gimlet_proto::message::ToServer;
use gimlet_proto::rendezvous::{CloseReason, ConnId};
use gimlet_proto::wire::Reader;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{self, MissedTickBehavior};

use crate::control::Input;
use crate::counters::Counters;
use crate::link::{Link, Outgoing, Queue, close};

/// Time for a handshake, and then for the stream to open: several losses on a slow link.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a record may take to be written: a peer that takes nothing for so long is not there.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the last words to arrive before the connection is closed over them.
const LINGER: Duration = Duration::from_secs(1);

/// How often a connection is looked at for signs of life and for a new address.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Most bytes taken from the stream at once; the rest waits under flow control.
const CHUNK: usize = 16 * 1024;

/// Sees one connection through.
pub(crate) async fn serve(
    connecting: quinn::Connecting,
    half_open: OwnedSemaphorePermit,
    conn: ConnId,
    control: mpsc::Sender<Input>,
    counters: &Counters,
) {
    let Ok(Ok(connection)) = time::timeout(HANDSHAKE_TIMEOUT, connecting).await else {
        return counters.handshakes_failed.one();
    };
    drop(half_open);
    let Some(peer) = tls::peer_id_of(&connection) else {
        return close(&connection, CloseReason::Malformed);
    };
    let Ok(Ok((sender, receiver))) = time::timeout(HANDSHAKE_TIMEOUT, connection.accept_bi()).await
    else {
        return close(&connection, CloseReason::SignInTimedOut);
    };
    let (link, queue) = Link::new(connection.clone());
    let observed = connection.remote_address();
    let connected = Input::Connected {
        conn,
        peer,
        observed,
        link,
    };
    if control.send(connected).await.is_err() {
        return close(&connection, CloseReason::ShuttingDown);
    }
    let mut session = Session {
        conn,
        control,
        sender,
        receiver,
        reader: Reader::default(),
        queue,
        watch: Watch::new(&connection),
        connection,
    };
    let reason = session.run().await;
    counters.unknown_records.add(session.reader.unknown);
    close(&session.connection, reason);
    let _ = session
        .control
        .send(Input::Disconnected { conn, reason })
        .await;
}

struct Session {
    conn: ConnId,
    connection: quinn::Connection,
    control: mpsc::Sender<Input>,
    sender: quinn::SendStream,
    receiver: quinn::RecvStream,
    reader: Reader,
    queue: Queue,
    watch: Watch,
}

impl Session {
    async fn run(&mut self) -> CloseReason {
        let mut look = time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                chunk = self.receiver.read_chunk(CHUNK, true) => match chunk {
                    Ok(Some(chunk)) => self.take(&chunk.bytes).await,
                    Ok(None) | Err(_) => Err(CloseReason::Lost),
                },
                outgoing = self.queue.next() => match outgoing {
                    Some(outgoing) => self.put(outgoing).await,
                    None => Err(CloseReason::ShuttingDown),
                },
                _ = look.tick() => self.look().await,
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        self.reader.extend(bytes);
        while let Some(message) = self
            .reader
            .poll::<ToServer>()
            .map_err(|_| CloseReason::Malformed)?
        {
            let conn = self.conn;
            self.tell(Input::Message { conn, message }).await?;
        }
        Ok(())
    }

    async fn put(&mut self, outgoing: Outgoing) -> Result<(), CloseReason> {
        match outgoing {
            Outgoing::Record(record) => {
                let written = time::timeout(WRITE_TIMEOUT, self.sender.write_all(&record)).await;
                written
                    .map_err(|_| CloseReason::SlowReader)?
                    .map_err(|_| CloseReason::Lost)?;
                self.queue.written(record.len());
                Ok(())
            }
            Outgoing::Close(reason) => {
                let _ = self.sender.finish();
                let _ = time::timeout(LINGER, self.sender.stopped()).await;
                Err(reason)
            }
        }
    }

    async fn look(&mut self) -> Result<(), CloseReason> {
        let conn = self.conn;
        let (alive, moved) = self.watch.look(&self.connection);
        if alive {
            self.tell(Input::Alive { conn }).await?;
        }
        if let Some(observed) = moved {
            self.tell(Input::Moved { conn, observed }).await?;
        }
        Ok(())
    }

    async fn tell(&self, input: Input) -> Result<(), CloseReason> {
        let told = self.control.send(input).await;
        told.map_err(|_| CloseReason::ShuttingDown)
    }
}

/// What a connection looked like last time.
struct Watch {
    address: SocketAddr,
    /// An address seen once. It counts when seen twice: by then QUIC has validated it, or gone back.
    unproved: Option<SocketAddr>,
    received: u64,
}

impl Watch {
    fn new(connection: &quinn::Connection) -> Self {
        Self {
            address: connection.remote_address(),
            unproved: None,
            received: connection.stats().udp_rx.datagrams,
        }
    }

    /// Whether anything was received since, and the new address if it has moved.
    fn look(&mut self, connection: &quinn::Connection) -> (bool, Option<SocketAddr>) {
        let received = connection.stats().udp_rx.datagrams;
        let alive = std::mem::replace(&mut self.received, received) != received;
        let address = connection.remote_address();
        let mut moved = None;
        if address == self.address {
            self.unproved = None;
        } else if self.unproved.replace(address) == Some(address) {
            self.address = address;
            self.unproved = None;
            moved = Some(address);
        }
        (alive, moved)
    }
}
