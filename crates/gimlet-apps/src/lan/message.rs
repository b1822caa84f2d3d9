//! One message, and who hears it.

use std::time::Duration;

use gimlet::{Connection, PeerId};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longest message, bytes: a page of text. What is larger is a file.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Messages of one connection; a sender that wants more connects again.
const MAX_MESSAGES: usize = 1024;

/// How long a sender may take from connecting or from one message to the next.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answer of who has taken a message.
const TAKEN: u8 = 0;

/// Answer of who has no room for it.
const FULL: u8 = 1;

/// Something that a peer said to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who; proven by TLS.
    pub from: PeerId,
    /// What.
    pub content: Vec<u8>,
}

/// Where connections for messages are handed in; give one to the handler of a
/// [`Router`](crate::Router).
#[derive(Debug, Clone)]
pub struct Door {
    heard: mpsc::Sender<Message>,
}

/// A door, and where its messages come out.
pub(super) fn door(capacity: usize) -> (Door, mpsc::Receiver<Message>) {
    let (heard, messages) = mpsc::channel(capacity);
    (Door { heard }, messages)
}

impl Door {
    /// Hears a peer's messages until it leaves.
    pub async fn answer(&self, connection: Connection) {
        for _ in 0..MAX_MESSAGES {
            let hearing = timeout(PATIENCE, self.hear(&connection));
            if hearing.await.ok().flatten().is_none() {
                return;
            }
        }
    }

    async fn hear(&self, connection: &Connection) -> Option<()> {
        let (mut send, mut recv) = connection.accept_bi().await.ok()?;
        let content = recv.read_to_end(MAX_MESSAGE).await.ok()?;
        let from = connection.peer();
        let answer = match self.heard.try_send(Message { from, content }) {
            Ok(()) => TAKEN,
            Err(_) => FULL,
        };
        send.write_all(&[answer]).await.ok()?;
        send.finish().ok()
    }
}

/// Says one thing to a peer; whether it was taken, `None` where the connection ended before.
pub(super) async fn say(connection: &Connection, content: &[u8]) -> Option<bool> {
    let (mut send, mut recv) = connection.open_bi().await.ok()?;
    send.write_all(content).await.ok()?;
    send.finish().ok()?;
    let answer = recv.read_u8().await.ok()?;
    Some(answer == TAKEN)
}
