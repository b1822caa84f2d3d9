//! One session somebody opened with us.

use std::convert::Infallible;
use std::future::pending;

use gimlet::Connection;
use tokio::sync::mpsc;

use crate::conversation::{Conversation, HEARD_QUEUE, Said};
use crate::describe;
use crate::event::{Event, Who};
use crate::service;
use crate::session::Found;
use gimlet_apps::chat;

/// A session, what it may use, and where it tells what happens.
pub(super) struct Guest {
    connection: Connection,
    found: Found,
    echo: bool,
    events: mpsc::Sender<Event>,
}

impl Guest {
    pub(super) fn new(
        connection: Connection,
        found: Found,
        echo: bool,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            connection,
            found,
            echo,
            events,
        }
    }

    /// Serves the session to its end.
    pub(super) async fn host(self) {
        let protocol = String::from_utf8_lossy(self.connection.alpn()).into_owned();
        self.tell(Event::Connected {
            who: self.who(),
            protocol,
            path: describe::path_kind(self.connection.path().kind),
        })
        .await;
        let reason = tokio::select! {
            reason = self.serve() => reason,
            never = self.watch_path() => match never {},
        };
        let who = self.who();
        self.tell(Event::Closed { who, reason }).await;
    }

    async fn serve(&self) -> String {
        match self.connection.alpn() {
            chat::ALPN => self.listen().await,
            _ => {
                service::serve(&self.connection, self.echo).await;
                describe::closed(&self.connection.closed().await)
            }
        }
    }

    /// Hears out a conversation, without a word from this side.
    async fn listen(&self) -> String {
        let (heard_by, mut heard) = mpsc::channel(HEARD_QUEUE);
        let (connection, found) = (self.connection.clone(), self.found.clone());
        let mut conversation = match Conversation::join(connection, found, 0, "").await {
            Ok(conversation) => conversation,
            Err(error) => return error.to_string(),
        };
        conversation.listen(heard_by);
        while let Some(heard) = heard.recv().await {
            match heard.said {
                Said::Line(text) => {
                    let who = self.who();
                    self.tell(Event::Message { who, text }).await;
                }
                Said::Bye => {
                    conversation.leave().await;
                    return "said goodbye".to_owned();
                }
                Said::Lost(reason) => return reason,
            }
        }
        "closed".to_owned()
    }

    /// Tells each change of path.
    async fn watch_path(&self) -> Infallible {
        let mut changes = self.connection.path_changes();
        while changes.changed().await.is_ok() {
            let path = *changes.borrow_and_update();
            self.tell(Event::path(self.who(), &path)).await;
        }
        pending().await
    }

    fn who(&self) -> Who {
        Who::new(&self.found)
    }

    async fn tell(&self, event: Event) {
        // Nobody listens only when the command is ending.
        let _ = self.events.send(event).await;
    }
}
