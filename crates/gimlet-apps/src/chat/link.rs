//! One connection of a conversation.

use std::time::Duration;

use gimlet::{Connection, SendStream};
use tokio::time::timeout;

use super::wire::{Hello, Record, Refusal};
use crate::records::Records;

/// How long a peer may refuse to take a record before it counts as gone.
const SAY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer that connected for a conversation may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer may take to hear why there is no conversation.
const REFUSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The connection is of no use any more.
#[derive(Debug)]
pub(super) struct Gone;

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    send: SendStream,
    records: Records,
}

impl Link {
    /// On a connection we dialled.
    pub(super) async fn open(connection: Connection) -> Result<Self, Gone> {
        let (send, recv) = connection.open_bi().await.map_err(|_| Gone)?;
        let records = Records::new(recv, Record::MAX_BODY);
        Ok(Self {
            connection,
            send,
            records,
        })
    }

    /// On a connection we accepted; what the other side says first.
    pub(super) async fn accept(connection: Connection) -> Result<(Self, Hello), Gone> {
        let greeting = async {
            let (send, recv) = connection.accept_bi().await.map_err(|_| Gone)?;
            let mut link = Self {
                connection,
                send,
                records: Records::new(recv, Record::MAX_BODY),
            };
            match link.next().await? {
                Record::Hello(hello) => Ok((link, hello)),
                _ => Err(Gone),
            }
        };
        timeout(HELLO_TIMEOUT, greeting).await.map_err(|_| Gone)?
    }

    /// The next record. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Record, Gone> {
        loop {
            let record = self.records.next().await.map_err(|_| Gone)?;
            let (kind, body) = record.ok_or(Gone)?;
            if let Some(record) = Record::decode(kind, body).map_err(|_| Gone)? {
                return Ok(record);
            }
        }
    }

    pub(super) async fn say(&mut self, record: &Record) -> Result<(), Gone> {
        let said = self.send.write_chunk(record.encode());
        let said = timeout(SAY_TIMEOUT, said).await.map_err(|_| Gone)?;
        said.map_err(|_| Gone)
    }

    /// Says why there is no conversation, and ends the connection once that was heard.
    pub(super) async fn refuse(mut self, refusal: Refusal) {
        if self.say(&Record::Refuse(refusal)).await.is_ok() {
            let _ = self.send.finish();
            // Who asked closes; who doesn't is closed.
            let _ = timeout(REFUSE_TIMEOUT, self.connection.closed()).await;
        }
        self.connection.close(0, b"refused");
    }

    /// Ends the connection once the peer has closed it, or after a moment.
    pub(super) async fn finish(mut self) {
        let _ = self.send.finish();
        let _ = timeout(REFUSE_TIMEOUT, self.connection.closed()).await;
        self.connection.close(0, b"left");
    }
}
