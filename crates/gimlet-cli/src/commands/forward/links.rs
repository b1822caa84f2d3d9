//! The sessions behind the local sockets, one a peer, and what happens to them.
//!
//! Sockets are there at once, whether a server answers or not: a peer that only a server knows is
//! looked for until one does.

mod watch;

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use gimlet::{Endpoint, EndpointEvent, PeerId, RequestError, ResolveError, SignInError};
use gimlet_apps::forward::{Link, Place, ServiceName};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::event::Line;
use crate::exit::{Failure, Outcome, Status};
use crate::output::{Output, printable_line};
use crate::session::{Context, Found};

/// Lines that may wait to be printed.
const MAX_LINES: usize = 256;

/// How long a socket waits for it to be known who is meant: signing in and a question, over a far link.
/// What takes longer goes on beside it.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// A socket and what it leads to; `None` is a way out.
type Served = (Option<ServiceName>, Place);

/// Sessions with peers.
pub(crate) struct Links<'a> {
    context: &'a Context,
    endpoint: &'a Endpoint,
    links: Vec<Kept>,
}

/// Which of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nth(usize);

struct Kept {
    /// How the person called the peer.
    text: String,
    link: Link,
    served: Vec<Served>,
    whom: Whom,
}

enum Whom {
    Known(Found),
    /// Its link begins once this is told.
    Sought(oneshot::Sender<PeerId>),
}

impl<'a> Links<'a> {
    pub(crate) fn new(context: &'a Context, endpoint: &'a Endpoint) -> Self {
        Self {
            context,
            endpoint,
            links: Vec::new(),
        }
    }

    /// The link to whoever is meant; made if there is none yet.
    pub(crate) async fn to(&mut self, text: &str) -> Result<Nth, Failure> {
        if let Some(nth) = self.links.iter().position(|kept| kept.text == text) {
            return Ok(Nth(nth));
        }
        let looked = timeout(FIRST_LOOK, self.context.find(self.endpoint, text)).await;
        let (whom, link) = match looked {
            Ok(Ok(found)) => {
                let same = |kept: &Kept| kept.link.peer() == Some(found.peer);
                if let Some(nth) = self.links.iter().position(same) {
                    return Ok(Nth(nth));
                }
                let link = Link::new(self.endpoint.clone(), found.peer);
                (Whom::Known(found), link)
            }
            Ok(Err(failure)) if !may_pass(&failure) => return Err(failure),
            Ok(Err(failure)) => self.sought(text, &format_args!("{:#}", failure.error)),
            Err(_) => self.sought(text, &"no server answers"),
        };
        self.links.push(Kept {
            text: text.to_owned(),
            link,
            served: Vec::new(),
            whom,
        });
        Ok(Nth(self.links.len() - 1))
    }

    /// A link to somebody whom only a server knows, while none answers.
    fn sought(&self, text: &str, reason: &impl fmt::Display) -> (Whom, Link) {
        let (found_by, found) = oneshot::channel();
        let link = Link::to(self.endpoint.clone(), async { found.await.ok() });
        let reason = printable_line(&reason.to_string()).to_string();
        anstream::eprintln!("{text} is not found yet: {reason}. Listening, and trying again.");
        (Whom::Sought(found_by), link)
    }

    pub(crate) fn link(&self, nth: Nth) -> &Link {
        &self.links[nth.0].link
    }

    /// Notes that a socket leads to a peer, and the line that says so.
    pub(crate) fn serves(&mut self, nth: Nth, service: Option<ServiceName>, place: &Place) -> Line {
        let kept = &mut self.links[nth.0];
        let line = match &kept.whom {
            Whom::Known(found) => {
                Line::ready(Some(found.peer), &found.label, service.as_ref(), place)
            }
            Whom::Sought(_) => Line::ready(None, &kept.text, service.as_ref(), place),
        };
        kept.served.push((service, place.clone()));
        line
    }

    /// Prints what happens, until printing fails, or until it turns out that nobody is meant.
    pub(crate) async fn tell(self) -> Outcome {
        let Self {
            context,
            endpoint,
            links,
        } = self;
        let (lines_by, mut lines) = mpsc::channel::<watch::ToTell>(MAX_LINES);
        let printing = async {
            while let Some(told) = lines.recv().await {
                if let Some((text, peer)) = told.reached {
                    context.remember(&text, peer);
                }
                print(context.output, &told.line)?;
            }
            Ok(Status::Done)
        };
        tokio::select! {
            done = printing => done,
            never = watch_all(context, endpoint, links, lines_by) => match never? {},
        }
    }
}

/// Follows all links, those first that lead to known peers, the others as they are found.
async fn watch_all(
    context: &Context,
    endpoint: &Endpoint,
    links: Vec<Kept>,
    lines: mpsc::Sender<watch::ToTell>,
) -> Result<Infallible, Failure> {
    let mut watchers = JoinSet::new();
    let mut events = endpoint.events();
    let mut sought = Vec::new();
    for kept in links {
        match kept.whom {
            Whom::Known(found) => {
                let watched = watch::Watched {
                    found,
                    text: kept.text,
                    link: kept.link,
                    served: kept.served,
                };
                watched.follow(&lines, &mut watchers);
            }
            Whom::Sought(found_by) => sought.push((kept.text, kept.link, kept.served, found_by)),
        }
    }
    while !sought.is_empty() {
        let mut missing = Vec::new();
        for (text, link, served, found_by) in sought {
            match context.find(endpoint, &text).await {
                Ok(found) => {
                    // Fails only if the link is gone, and it is right here.
                    let _ = found_by.send(found.peer);
                    let watched = watch::Watched {
                        found,
                        text,
                        link,
                        served,
                    };
                    watched.follow(&lines, &mut watchers);
                }
                Err(failure) if may_pass(&failure) => {
                    missing.push((text, link, served, found_by));
                }
                Err(failure) => return Err(failure),
            }
        }
        sought = missing;
        if !sought.is_empty() {
            signed_in(&mut events).await;
        }
    }
    std::future::pending().await
}

/// Waits for the next sign-in.
async fn signed_in(events: &mut broadcast::Receiver<EndpointEvent>) {
    loop {
        match events.recv().await {
            // What was missed may have been it.
            Ok(EndpointEvent::SignedIn(_)) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => (),
            // The endpoint is closed, and the command ends.
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Whether only a server is missing, which may answer some day.
fn may_pass(failure: &Failure) -> bool {
    let request = match failure.error.downcast_ref::<ResolveError>() {
        Some(ResolveError::Request(request)) => Some(request),
        Some(ResolveError::Unknown { .. } | ResolveError::Ambiguous { .. }) => return false,
        None => None,
    };
    let sign_in = match request {
        Some(RequestError::NotSignedIn(sign_in)) => Some(sign_in),
        Some(_) => return true,
        None => failure.error.downcast_ref::<SignInError>(),
    };
    sign_in.is_some_and(|sign_in| !sign_in.is_definite())
}

/// Prints a line for whoever reads it.
pub(crate) fn print(output: Output, line: &Line) -> std::io::Result<()> {
    match output.is_json() || line.is_for_people() {
        true => output.print(line),
        false => Ok(()),
    }
}
