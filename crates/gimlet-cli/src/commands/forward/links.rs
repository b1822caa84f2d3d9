//! The sessions behind the local sockets, one a peer, and what happens to them.

use std::collections::BTreeMap;
use std::convert::Infallible;

use gimlet::{Endpoint, PeerId};
use gimlet_apps::forward::{Link, LinkError, LinkState, Place, ServiceName, Session};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::event::{Line, Reach};
use crate::exit::{Failure, Outcome, Status};
use crate::output::Output;
use crate::session::{Context, Found};

/// Lines that may wait to be printed.
const MAX_LINES: usize = 256;

/// A socket and what it leads to; `None` is a way out.
type Served = (Option<ServiceName>, Place);

/// Sessions with peers.
pub(crate) struct Links<'a> {
    context: &'a Context,
    endpoint: &'a Endpoint,
    links: BTreeMap<PeerId, Watched>,
}

#[derive(Clone)]
struct Watched {
    found: Found,
    /// How the person called the peer.
    text: String,
    link: Link,
    served: Vec<Served>,
}

impl<'a> Links<'a> {
    pub(crate) fn new(context: &'a Context, endpoint: &'a Endpoint) -> Self {
        Self {
            context,
            endpoint,
            links: BTreeMap::new(),
        }
    }

    /// The link to whoever is meant; made if there is none yet.
    pub(crate) async fn to(&mut self, text: &str) -> Result<(Found, Link), Failure> {
        let found = self.context.find(self.endpoint, text).await?;
        let watched = self.links.entry(found.peer).or_insert_with(|| Watched {
            link: Link::new(self.endpoint.clone(), found.peer),
            text: text.to_owned(),
            found,
            served: Vec::new(),
        });
        Ok((watched.found.clone(), watched.link.clone()))
    }

    /// Notes that a socket leads to a peer.
    pub(crate) fn serves(&mut self, peer: PeerId, service: Option<ServiceName>, place: &Place) {
        if let Some(watched) = self.links.get_mut(&peer) {
            watched.served.push((service, place.clone()));
        }
    }

    /// Prints what happens, until printing fails.
    pub(crate) async fn tell(self) -> Outcome {
        let (lines_by, mut lines) = mpsc::channel(MAX_LINES);
        let mut watchers = JoinSet::new();
        for watched in self.links.values() {
            watchers.spawn(watch_link(watched.clone(), lines_by.clone()));
            watchers.spawn(watch_flows(watched.clone(), lines_by.clone()));
        }
        drop(lines_by);
        while let Some(told) = lines.recv().await {
            if let Some(peer) = told.reached
                && let Some(watched) = self.links.get(&peer)
            {
                self.context.remember(&watched.text, peer);
            }
            print(self.context.output, &told.line)?;
        }
        Ok(Status::Done)
    }
}

/// Prints a line for whoever reads it.
pub(crate) fn print(output: Output, line: &Line) -> std::io::Result<()> {
    match output.is_json() || line.is_for_people() {
        true => output.print(line),
        false => Ok(()),
    }
}

/// A line to print, and the peer if it has just shown that it is who was meant.
struct ToTell {
    line: Line,
    reached: Option<PeerId>,
}

impl From<Line> for ToTell {
    fn from(line: Line) -> Self {
        Self {
            line,
            reached: None,
        }
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
            let reached = is_first.then_some(watched.found.peer);
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
