//! Requests that wait for the person's answer, each with an answer of its own.

use std::future::pending;
use std::time::Duration;

use gimlet_apps::chat::Request;
use tokio::time::{Instant, sleep_until};

use crate::policy::Question;
use crate::session::Found;

/// Requests that may wait. People answer a few; more is somebody asking for fun, and is turned away.
const MAX_ASKED: usize = 16;

/// How often is looked whether somebody has given up waiting.
const LOOK: Duration = Duration::from_secs(1);

/// What somebody wants.
pub(super) enum Asked {
    /// To connect.
    Connect(Question),
    /// To talk, over a connection that stands.
    Talk(Found, Request),
}

impl Asked {
    /// Who.
    pub(super) fn who(&self) -> &Found {
        match self {
            Self::Connect(question) => &question.who,
            Self::Talk(with, _) => with,
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::Connect(question) => !question.is_expired(),
            Self::Talk(_, request) => request.is_open(),
        }
    }

    fn look_at(&self) -> Instant {
        match self {
            Self::Connect(question) => question.expires_at,
            Self::Talk(_, request) => request.expires_at().min(Instant::now() + LOOK),
        }
    }
}

/// See the [module docs](self).
#[derive(Default)]
pub(super) struct Waiting {
    asked: Vec<Asked>,
}

impl Waiting {
    /// One more; `false` where there are too many, and it is dropped, which turns it away.
    pub(super) fn add(&mut self, asked: Asked) -> bool {
        let has_room = self.asked.len() < MAX_ASKED;
        if has_room {
            self.asked.push(asked);
        }
        has_room
    }

    /// The oldest request of that peer that can still be answered.
    pub(super) fn take(&mut self, peer: &str) -> Option<Asked> {
        let fits = |asked: &Asked| asked.who().is(peer) && asked.is_open();
        let index = self.asked.iter().position(fits)?;
        Some(self.asked.remove(index))
    }

    /// Takes out what can be answered no more; whose it was.
    pub(super) fn expire(&mut self) -> Vec<Found> {
        let expired = self.asked.extract_if(.., |asked| !asked.is_open());
        expired.map(|asked| asked.who().clone()).collect()
    }

    /// Waits until it is time to look for what has expired. Cancel safe.
    pub(super) async fn expiry(&self) {
        match self.asked.iter().map(Asked::look_at).min() {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}
