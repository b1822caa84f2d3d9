//! The packets of one flow of datagrams, either side.
//!
//! A flow has a stream, which lives as long as the flow. Packets travel as QUIC datagrams. Those that
//! are too large, and the dialer's until the peer has said that the service is there, go over the
//! stream as records: two bytes of length, then the packet. What finds no room is dropped and counted,
//! as UDP does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use gimlet::{Connection, ReadExactError, RecvStream, SendDatagramError, SendStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::exchange::{Enrolled, datagram};
use super::failure::FlowError;
use super::link::Session;
use super::near::Near;
use super::request::{FlowId, Request};
use super::splice::{Stream, ready};

/// Records that may wait to be sent: a burst of large answers.
const MAX_OUTGOING: usize = 64;

/// Records that may wait to be taken; the stream's flow control holds back the rest.
const MAX_INCOMING: usize = 8;

/// One flow of datagrams. Dropping it ends the flow.
#[derive(Debug)]
pub(crate) struct Carrier {
    connection: Connection,
    enrolled: Enrolled,
    /// Whether the peer listens for datagrams of this flow.
    ready: Arc<AtomicBool>,
    outgoing: mpsc::Sender<Bytes>,
    incoming: mpsc::Receiver<Bytes>,
    reader: JoinHandle<Result<(), FlowError>>,
    writer: JoinHandle<()>,
    dropped: u64,
}

impl Carrier {
    /// Opens a flow over a session.
    pub(crate) async fn open(
        session: Session,
        request: impl FnOnce(FlowId) -> Request,
    ) -> Result<Self, FlowError> {
        let enrolled = session.exchange.open()?;
        let near = Near::open_on(session, &request(enrolled.id)).await?;
        let (session, stream, heard) = near.into_parts();
        let connection = session.connection.clone();
        let is_ready = Arc::new(AtomicBool::new(false));
        let says_ready = is_ready.clone();
        let Stream { send, mut recv } = stream;
        let (records, incoming) = mpsc::channel(MAX_INCOMING);
        let reader = tokio::spawn(async move {
            let answered = ready(&mut recv).await;
            if answered == Err(FlowError::TimedOut) {
                session.doubt(heard);
            }
            answered?;
            says_ready.store(true, Ordering::Relaxed);
            read_records(recv, records).await
        });
        Ok(Self::new(
            connection, enrolled, is_ready, send, incoming, reader,
        ))
    }

    /// The same, once the peer has said that the service is there.
    pub(crate) async fn open_ready(
        session: Session,
        request: impl FnOnce(FlowId) -> Request,
    ) -> Result<Self, FlowError> {
        let enrolled = session.exchange.open()?;
        let mut near = Near::open_on(session, &request(enrolled.id)).await?;
        near.ready().await?;
        let (session, stream, _) = near.into_parts();
        Ok(Self::answer(session.connection, enrolled, stream))
    }

    /// A flow that the peer opened, after this side has said that the service is there.
    pub(super) fn answer(connection: Connection, enrolled: Enrolled, stream: Stream) -> Self {
        let Stream { send, recv } = stream;
        let (records, incoming) = mpsc::channel(MAX_INCOMING);
        let reader = tokio::spawn(read_records(recv, records));
        let is_ready = Arc::new(AtomicBool::new(true));
        Self::new(connection, enrolled, is_ready, send, incoming, reader)
    }

    fn new(
        connection: Connection,
        enrolled: Enrolled,
        ready: Arc<AtomicBool>,
        send: SendStream,
        incoming: mpsc::Receiver<Bytes>,
        reader: JoinHandle<Result<(), FlowError>>,
    ) -> Self {
        let (outgoing, records) = mpsc::channel(MAX_OUTGOING);
        let writer = tokio::spawn(write_records(send, records));
        Self {
            connection,
            enrolled,
            ready,
            outgoing,
            incoming,
            reader,
            writer,
            dropped: 0,
        }
    }

    /// Sends a packet, or drops it where there is no room.
    pub(crate) fn send(&mut self, packet: &[u8]) {
        if self.ready.load(Ordering::Relaxed) {
            let datagram = datagram(self.enrolled.id, packet);
            match self.connection.send_datagram(datagram) {
                Ok(()) => return,
                Err(
                    SendDatagramError::TooLarge
                    | SendDatagramError::UnsupportedByPeer
                    | SendDatagramError::Disabled,
                ) => (),
                // The next receive says so.
                Err(SendDatagramError::ConnectionLost(_)) => return,
            }
        }
        // Longer than any UDP packet.
        let Ok(length) = u16::try_from(packet.len()) else {
            self.dropped += 1;
            return;
        };
        let mut record = BytesMut::with_capacity(2 + packet.len());
        record.put_u16(length);
        record.put_slice(packet);
        if self.outgoing.try_send(record.freeze()).is_err() {
            self.dropped += 1;
        }
    }

    /// The next packet; `None` once the peer has ended the flow.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn recv(&mut self) -> Result<Option<Bytes>, FlowError> {
        tokio::select! {
            Some(packet) = self.enrolled.datagrams.recv() => Ok(Some(packet)),
            record = self.incoming.recv() => match record {
                Some(record) => Ok(Some(record)),
                None => (&mut self.reader)
                    .await
                    .unwrap_or(Err(FlowError::ResetThere))
                    .map(|()| None),
            },
        }
    }

    /// Packets dropped on the way out.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
    }
}

async fn read_records(mut from: RecvStream, to: mpsc::Sender<Bytes>) -> Result<(), FlowError> {
    loop {
        let mut length = [0; 2];
        match from.read_exact(&mut length).await {
            Ok(()) => (),
            Err(ReadExactError::FinishedEarly(0)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut packet = BytesMut::zeroed(u16::from_be_bytes(length).into());
        from.read_exact(&mut packet).await?;
        if to.send(packet.freeze()).await.is_err() {
            return Ok(());
        }
    }
}

async fn write_records(mut to: SendStream, mut from: mpsc::Receiver<Bytes>) {
    while let Some(record) = from.recv().await {
        if to.write_chunk(record).await.is_err() {
            // The reader hears of it, too.
            return;
        }
    }
}
