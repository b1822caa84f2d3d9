//! One session somebody opened with us.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use gimlet::Connection;
use gimlet_apps::chat::{self, Reception};
use gimlet_apps::forward::{self, Exposed};
use tokio::sync::mpsc;

use crate::describe;
use crate::event::{Event, Who};
use crate::service;
use crate::session::Found;

/// A session, what it may use, and where it tells what happens.
pub(super) struct Guest {
    connection: Connection,
    found: Found,
    echo: bool,
    reception: Reception,
    events: mpsc::Sender<Event>,
    exposed: Option<Arc<Exposed>>,
}

impl Guest {
    pub(super) fn new(
        connection: Connection,
        found: Found,
        echo: bool,
        reception: Reception,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            connection,
            found,
            echo,
            reception,
            events,
            exposed: None,
        }
    }

    /// With services that it may use.
    pub(super) fn exposing(mut self, exposed: Option<Arc<Exposed>>) -> Self {
        self.exposed = exposed;
        self
    }

    /// Serves the session to its end.
    pub(super) async fn host(self) {
        if self.connection.alpn() == chat::ALPN {
            return self.listen().await;
        }
        self.connected().await;
        let reason = tokio::select! {
            reason = self.serve() => reason,
            never = self.watch_path() => match never {},
        };
        self.closed(reason).await;
    }

    async fn serve(&self) -> String {
        match (self.connection.alpn(), &self.exposed) {
            (forward::ALPN, Some(exposed)) => exposed.clone().serve(self.connection.clone()).await,
            _ => service::serve(&self.connection, self.echo).await,
        }
        describe::closed(&self.connection.closed().await)
    }

    /// Hears out a conversation, without a word from this side.
    async fn listen(self) {
        // One that goes on over another connection is heard where it began.
        let Some(request) = self.reception.receive(self.connection.clone()).await else {
            return;
        };
        self.connected().await;
        let mut conversation = request.accept();
        let mut is_first = true;
        while let Some(event) = conversation.next().await {
            let who = self.who();
            self.tell(match event {
                chat::Event::Line(text) => Event::Message { who, text },
                chat::Event::Path(path) => Event::path(who, &path),
                chat::Event::Away => Event::Away { who },
                chat::Event::Together { .. } if std::mem::take(&mut is_first) => continue,
                chat::Event::Together { path } => Event::Back {
                    who,
                    path: describe::path_kind(path.kind),
                },
                chat::Event::Ended(how) => return self.closed(how.to_string()).await,
                _ => continue,
            })
            .await;
        }
    }

    async fn connected(&self) {
        let protocol = String::from_utf8_lossy(self.connection.alpn()).into_owned();
        self.tell(Event::Connected {
            who: self.who(),
            protocol,
            path: describe::path_kind(self.connection.path().kind),
        })
        .await;
    }

    async fn closed(&self, reason: String) {
        let who = self.who();
        self.tell(Event::Closed { who, reason }).await;
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
