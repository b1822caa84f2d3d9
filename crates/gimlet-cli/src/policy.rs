//! Whose connections are taken: settings to the library's policy.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use gimlet::{AcceptPolicy, Request};
use gimlet_apps::contacts::Contacts;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::args::Accept;
use crate::exit::{Failure, Status};
use crate::people;
use crate::session::Found;
use crate::settings::AcceptSettings;

/// Requests that may wait for an answer. People answer a few; more is somebody knocking for fun,
/// and is declined.
const MAX_QUESTIONS: usize = 8;

/// How long the library waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer asks to connect. An answer belongs to this request alone.
pub(crate) struct Question {
    pub(crate) who: Found,
    pub(crate) expires_at: Instant,
    request: Request,
}

/// The policy, and where its questions come from if it asks.
pub(crate) struct Policy {
    pub(crate) policy: AcceptPolicy,
    pub(crate) questions: Option<mpsc::Receiver<Question>>,
}

impl Question {
    fn new(contacts: &Contacts, request: Request) -> Self {
        Self {
            who: Found {
                peer: request.peer(),
                label: people::label(contacts, request.peer(), request.name()),
            },
            expires_at: Instant::now() + ANSWER_TIMEOUT,
            request,
        }
    }

    pub(crate) fn is_expired(&self) -> bool {
        Instant::now() >= self.expires_at
    }

    pub(crate) fn answer(self, yes: bool) {
        match yes {
            true => self.request.accept(),
            false => self.request.decline(),
        }
    }
}

/// The policy the settings ask for. Asking needs a terminal: without one everybody is declined.
pub(crate) fn new(settings: AcceptSettings) -> Policy {
    let plain = |policy| Policy {
        policy,
        questions: None,
    };
    match settings.accept {
        Accept::All => plain(AcceptPolicy::All),
        Accept::Known => plain(AcceptPolicy::Known(Arc::new(settings.known))),
        Accept::Ask if std::io::stdin().is_terminal() => asking(settings.contacts),
        Accept::Ask => {
            tracing::warn!("no terminal to ask on: every request is declined");
            // Reachable all the same: who asks is told no, not that nobody is there.
            plain(AcceptPolicy::Known(Arc::default()))
        }
    }
}

fn asking(contacts: Contacts) -> Policy {
    let (ask, questions) = mpsc::channel(MAX_QUESTIONS);
    let policy = AcceptPolicy::Ask(Arc::new(move |request| {
        // A request that doesn't fit is dropped, which declines it.
        let _ = ask.try_send(Question::new(&contacts, request));
    }));
    Policy {
        policy,
        questions: Some(questions),
    }
}

/// For commands whose standard input is not a person's.
pub(crate) fn without_asking(settings: AcceptSettings) -> Result<AcceptPolicy, Failure> {
    match settings.accept {
        Accept::All => Ok(AcceptPolicy::All),
        Accept::Known => Ok(AcceptPolicy::Known(Arc::new(settings.known))),
        Accept::Ask => Err(Failure::new(
            Status::Usage,
            anyhow::anyhow!("standard input is the data here, so nobody can be asked"),
        )
        .hint("use --accept known or --accept all")),
    }
}
