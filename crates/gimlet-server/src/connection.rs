//! One control session: from handshake to close, reading and writing its one stream.

use std::time::Duration;

use gimlet_net::prompt::Prompts;
use gimlet_net::tls;
use gimlet_net::transport::CONTROL_WINDOW;
use gimlet_proto::message::ToServer;
use gimlet_proto::rendezvous::{CloseReason, ConnId};
use gimlet_proto::wire::Reader;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{self, Instant};

use crate::control::Input;
use crate::counters::Counters;
use crate::link::{Link, Outgoing, Queue, close};

/// Time for a handshake, and then for the stream to open: several losses on a slow link.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a record may take to be written: a peer that takes nothing for so long is not there.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the last words to arrive before the connection is closed over them.
const LINGER: Duration = Duration::from_secs(1);

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
        connection,
        prompts: Prompts::new(CONTROL_WINDOW),
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
    /// Behind what was said last.
    prompts: Prompts,
}

impl Session {
    async fn run(&mut self) -> CloseReason {
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
                () = self.prompts.due() => {
                    self.prompts.send(&self.connection);
                    Ok(())
                }
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
                self.prompts.said(self.connection.rtt(), Instant::now());
                Ok(())
            }
            Outgoing::Close(reason) => {
                let _ = self.sender.finish();
                let _ = time::timeout(LINGER, self.sender.stopped()).await;
                Err(reason)
            }
        }
    }

    async fn tell(&self, input: Input) -> Result<(), CloseReason> {
        let told = self.control.send(input).await;
        told.map_err(|_| CloseReason::ShuttingDown)
    }
}
