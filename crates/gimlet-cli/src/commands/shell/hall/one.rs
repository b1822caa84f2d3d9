//! One conversation of the shell.

use gimlet_apps::chat::{self, Conversation, Ended, Listener, Speaker};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::glare::Ours;
use super::{News, Spoken, now, who};
use crate::describe;
use crate::event::Event;
use crate::session::Found;

/// How it stands with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The other side was asked.
    Asking,
    /// Both are there.
    Together,
    /// The other side is gone, and waited for.
    Away,
}

/// See the [module docs](self).
pub(super) struct One {
    pub(super) number: u64,
    pub(super) with: Found,
    pub(super) state: State,
    speaker: Speaker,
    /// Said while the other side had not answered. No more than may wait to arrive.
    early: Vec<String>,
    together_at: Option<Instant>,
    path: Option<gimlet::Path>,
    /// The number of the last line typed to it.
    typed: u64,
}

/// A conversation as `list connected` tells it.
#[derive(Debug, Serialize)]
pub(in super::super) struct Line {
    pub(in super::super) peer: String,
    #[serde(skip)]
    pub(in super::super) label: String,
    /// `asking`, `together` or `away`.
    pub(in super::super) state: &'static str,
    pub(in super::super) path: Option<&'static str>,
    /// Lines that have not arrived.
    pub(in super::super) undelivered: usize,
}

impl One {
    pub(super) fn new(
        number: u64,
        with: Found,
        conversation: Conversation,
        heard_by: mpsc::Sender<(u64, chat::Event)>,
    ) -> Self {
        let (speaker, listener) = conversation.split();
        tokio::spawn(pass_on(number, listener, heard_by));
        Self {
            number,
            with,
            state: State::Asking,
            speaker,
            early: Vec::new(),
            together_at: None,
            path: None,
            typed: 0,
        }
    }

    /// What a request of the same peer meets.
    pub(super) fn ours(&self) -> Ours {
        Ours {
            id: self.speaker.id(),
            has_asked: self.speaker.has_asked(),
            state: self.state,
            together_at: self.together_at,
        }
    }

    /// Another conversation with the same peer takes the place of this one.
    pub(super) fn hand_over(&mut self, to: &mut Self) {
        // Called as before: who connects is not always introduced by name.
        to.with = self.with.clone();
        to.typed = self.typed;
        self.speaker.withdraw();
        for text in self.early.drain(..) {
            // As many wait there as did here.
            to.speaker.say(&text);
            to.early.push(text);
        }
    }

    pub(super) fn say(&mut self, text: &str, typed: u64) -> Spoken {
        self.typed = typed;
        if !self.speaker.say(text) {
            return Spoken::Full(self.with.label.clone());
        }
        if self.state == State::Asking {
            self.early.push(text.to_owned());
        }
        Spoken::Said
    }

    pub(super) fn leave(&mut self) {
        self.speaker.leave();
    }

    /// What is to be told of lines that did not arrive.
    pub(super) fn undelivered(&self) -> Option<Event> {
        let lines = self.speaker.undelivered();
        let who = who(&self.with);
        (lines > 0).then_some(Event::Undelivered { who, lines })
    }

    /// What is to be told of that.
    pub(super) fn hear(&mut self, event: chat::Event) -> Option<News> {
        let who = who(&self.with);
        let before = self.state;
        Some(News::Event(match event {
            chat::Event::Together { path } => {
                self.state = State::Together;
                self.together_at.get_or_insert_with(now);
                self.early = Vec::new();
                self.path = Some(path);
                let path = describe::path_kind(path.kind);
                match before {
                    State::Away => Event::Back { who, path },
                    State::Asking | State::Together => Event::Connected {
                        who,
                        protocol: String::from_utf8_lossy(chat::ALPN).into_owned(),
                        path,
                    },
                }
            }
            chat::Event::Line(text) => Event::Message { who, text },
            chat::Event::Delivered(lines) => {
                let event = Event::Delivered { who, lines };
                let typed = match self.speaker.undelivered() {
                    0 => self.typed,
                    // Only when all of it is there.
                    _ => 0,
                };
                return Some(News::Delivered { event, typed });
            }
            chat::Event::Path(path) => {
                self.path = Some(path);
                Event::path(who, &path)
            }
            chat::Event::Away => {
                self.state = State::Away;
                self.path = None;
                Event::Away { who }
            }
            chat::Event::Ended(how) => ended(who, how),
            // Later versions may tell more.
            _ => return None,
        }))
    }

    pub(super) fn line(&self) -> Line {
        Line {
            peer: self.with.peer.to_string(),
            label: self.with.label.clone(),
            state: match self.state {
                State::Asking => "asking",
                State::Together => "together",
                State::Away => "away",
            },
            path: self.path.map(|path| describe::path_kind(path.kind)),
            undelivered: self.speaker.undelivered(),
        }
    }
}

/// How the end of a conversation is told.
fn ended(who: crate::event::Who, how: Ended) -> Event {
    let reason = how.to_string();
    match how {
        Ended::Denied | Ended::Unanswered | Ended::Busy => Event::Refused { who, reason },
        Ended::Left | Ended::TheyLeft | Ended::Away => Event::Closed { who, reason },
    }
}

/// Brings what is heard to the one place where all of it is shown.
async fn pass_on(number: u64, mut listener: Listener, to: mpsc::Sender<(u64, chat::Event)>) {
    while let Some(event) = listener.next().await {
        if to.send((number, event)).await.is_err() {
            return;
        }
    }
}
