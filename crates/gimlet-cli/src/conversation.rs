//! One conversation: a chat stream, a task that listens on it, and the side we speak on.
//!
//! Whoever holds several gives each a number and listens to all on one channel. The channel is
//! bounded: when we are slow, the peer waits.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::session::Found;
use gimlet::{Connection, RecvStream, SendStream};
use gimlet_apps::chat::{self, Record};

/// Lines heard that may wait to be shown.
pub(crate) const HEARD_QUEUE: usize = 64;

/// How long a peer may refuse to take a line before it counts as gone.
const SAY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer that connected for a conversation may take to begin it.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long leaving waits for the peer to have read the last lines.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// What was heard in the conversation of that number.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) number: u64,
    pub(crate) said: Said,
}

/// What the other side did.
#[derive(Debug)]
pub(crate) enum Said {
    /// Said a line.
    Line(String),
    /// Left, in good order.
    Bye,
    /// Is gone, and why.
    Lost(String),
}

/// A conversation under way.
pub(crate) struct Conversation {
    pub(crate) number: u64,
    pub(crate) with: Found,
    pub(crate) connection: Connection,
    send: SendStream,
    listening: Listening,
}

/// Whether somebody listens to the other side.
enum Listening {
    NotYet(RecvStream),
    Yes(JoinHandle<()>),
    No,
}

impl Conversation {
    /// Begins a conversation on a connection we dialled.
    pub(crate) async fn begin(
        connection: Connection,
        with: Found,
        number: u64,
        my_name: &str,
    ) -> io::Result<Self> {
        let (mut send, recv) = connection.open_bi().await?;
        chat::hello(&mut send, my_name).await?;
        Ok(Self {
            number,
            with,
            connection,
            send,
            listening: Listening::NotYet(recv),
        })
    }

    /// Takes part in a conversation on a connection we accepted.
    pub(crate) async fn join(
        connection: Connection,
        with: Found,
        number: u64,
        my_name: &str,
    ) -> io::Result<Self> {
        let (mut send, recv) = timeout(HELLO_TIMEOUT, connection.accept_bi()).await??;
        chat::hello(&mut send, my_name).await?;
        Ok(Self {
            number,
            with,
            connection,
            send,
            listening: Listening::NotYet(recv),
        })
    }

    /// Begins to listen. Whoever is told must know the conversation by then, or would not know what
    /// to make of its first lines.
    pub(crate) fn listen(&mut self, heard: mpsc::Sender<Heard>) {
        self.listening = match std::mem::replace(&mut self.listening, Listening::No) {
            Listening::NotYet(recv) => {
                Listening::Yes(tokio::spawn(listen(self.number, recv, heard)))
            }
            already => already,
        };
    }

    /// Says a line. After an error the conversation is over.
    pub(crate) async fn say(&mut self, text: &str) -> io::Result<()> {
        timeout(SAY_TIMEOUT, chat::line(&mut self.send, text)).await?
    }

    /// Leaves, after the peer has read everything said: it tells by finishing its side. Its last
    /// lines are still heard, so somebody has to take them.
    pub(crate) async fn leave(mut self) {
        // Fails where the peer has stopped listening already.
        let _ = self.send.finish();
        if let Listening::Yes(task) = self.listening {
            let _ = timeout(LEAVE_TIMEOUT, task).await;
        }
        self.connection.close(0, b"left");
    }
}

/// Passes on what is said until the other side leaves, or nobody listens any more.
async fn listen(number: u64, mut recv: RecvStream, heard: mpsc::Sender<Heard>) {
    loop {
        let said = match chat::read(&mut recv).await {
            Ok(Some(Record::Line(text))) => Said::Line(text),
            // The server vouches for names; what a peer calls itself is not shown.
            Ok(Some(Record::Hello(_))) => continue,
            Ok(None) => Said::Bye,
            Err(error) => Said::Lost(error.to_string()),
        };
        let is_over = !matches!(said, Said::Line(_));
        if heard.send(Heard { number, said }).await.is_err() || is_over {
            return;
        }
    }
}
