//! What happens to one link, as lines to print.

use std::convert::Infallible;

use gimlet::PeerId;
use gimlet_apps::forward::{Link, LinkError, LinkState, Session};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Served;
use crate::commands::forward::event::{Line, Reach};
use crate::session::Found;

/// A line to print, and the peer if it has just shown that it is who was meant by a text.
pub(super) struct ToTell {
    pub(super) line: Line,
    pub(super) reached: Option<(String, PeerId)>,
}

impl From<Line> for ToTell {
    fn from(line: Line) -> Self {
        Self {
            line,
            reached: None,
        }
    }
}

/// A link to a known peer.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) found: Found,
    /// How the person called the peer.
    pub(super) text: String,
    pub(super) link: Link,
    pub(super) served: Vec<Served>,
}

impl Watched {
    /// Tells all that happens to it from now on.
    pub(super) fn follow(self, to: &mpsc::Sender<ToTell>, watchers: &mut JoinSet<()>) {
        watchers.spawn(watch_flows(self.clone(), to.clone()));
        watchers.spawn(watch_link(self, to.clone()));
    }
}

/// Tells each session and each path of it, and when there is none. Ends with the command.
async fn watch_link(watched: Watched, to: mpsc::Sender<ToTell>) {
    let mut state = watched.link.state();
    let mut told: Option<LinkError> = None;
    loop {
        let now = state.borrow_and_update().clone();
        match now {
            LinkState::Connecting => (),
            LinkState::Connected(session) => {
                told = None;
                tokio::select! {
                    never = watch_path(&watched, &session, &to) => match never {},
                    _ = state.changed() => continue,
                }
            }
            // The same every few seconds is no news.
            LinkState::Away(error) if told.as_ref() == Some(&error) => (),
            LinkState::Away(error) => {
                // Nobody listens only when the command is ending; so below.
                let _ = to.send(Line::away(&watched.found, &error).into()).await;
                told = Some(error);
            }
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_path(watched: &Watched, session: &Session, to: &mpsc::Sender<ToTell>) -> Infallible {
    let connection = session.connection();
    let mut path = connection.path_changes();
    let mut is_first = true;
    loop {
        path.mark_unchanged();
        for (service, place) in &watched.served {
            let reach = Reach::new(&watched.found, service.as_ref(), place, connection);
            let line = match is_first {
                true => Line::Connected(reach),
                false => Line::Path(reach),
            };
            let reached = is_first.then(|| (watched.text.clone(), watched.found.peer));
            let _ = to.send(ToTell { line, reached }).await;
        }
        is_first = false;
        if path.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn watch_flows(watched: Watched, to: mpsc::Sender<ToTell>) {
    let mut events = watched.link.events();
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Some(line) = Line::flow(&watched.found, event) {
                    let _ = to.send(line.into()).await;
                }
            }
            Err(RecvError::Lagged(_)) => (),
            Err(RecvError::Closed) => return,
        }
    }
}
