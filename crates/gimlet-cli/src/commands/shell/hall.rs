//! The shell's conversations, and the one that typed lines go to.
//!
//! With each peer there is one. Lines go to whom was punched last, or to who came first when nobody was.

mod glare;
mod held;
mod one;

use std::collections::HashSet;

use gimlet::Connection;
use gimlet_apps::chat::{self, Conversation, Reception, Request};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::event::{Event, Who};
use crate::service;
use crate::session::Found;
use one::{One, State};

pub(super) use glare::Meeting;
pub(super) use one::Line;

/// Conversations at a time, and connections of which is not known yet what they want: more than a person
/// follows.
const MAX_CONVERSATIONS: usize = 32;

/// Pings and punches of others answered at a time.
const MAX_SERVED: usize = 32;

/// Events of all conversations that may wait to be shown.
const EVENT_QUEUE: usize = 64;

/// What the hall has to tell.
pub(super) enum News {
    /// Something to show.
    Event(Event),
    /// Everything typed so far has arrived; the number of the last line.
    Delivered { event: Event, typed: u64 },
    /// Somebody asks for a conversation.
    Request(Found, Request),
}

/// What became of a line.
pub(super) enum Spoken {
    /// It is on its way, or waits for its way.
    Said,
    /// Too many wait already.
    Full(String),
    /// There is nobody to say it to.
    Nobody,
}

/// All conversations.
pub(super) struct Hall {
    reception: Reception,
    conversations: Vec<One>,
    current: Option<u64>,
    next_number: u64,
    /// Those we have taken leave of, until they have heard it.
    leaving: HashSet<u64>,
    /// Requests that have crossed ours, one a peer, until it is clear what comes of ours.
    held: Vec<(Found, Request)>,
    receiving: JoinSet<Option<(Found, Request)>>,
    serving: JoinSet<()>,
    heard_by: mpsc::Sender<(u64, chat::Event)>,
    heard: mpsc::Receiver<(u64, chat::Event)>,
}

impl Hall {
    pub(super) fn new(my_name: &str) -> Self {
        let (heard_by, heard) = mpsc::channel(EVENT_QUEUE);
        Self {
            reception: Reception::new(my_name),
            conversations: Vec::new(),
            current: None,
            next_number: 0,
            leaving: HashSet::new(),
            held: Vec::new(),
            receiving: JoinSet::new(),
            serving: JoinSet::new(),
            heard_by,
            heard,
        }
    }

    /// Who is being talked to, for the prompt.
    pub(super) fn prompt(&self) -> String {
        match self.index_of_current() {
            Some(index) => format!("{}> ", self.conversations[index].with.label),
            None => "> ".to_owned(),
        }
    }

    /// Talks to that peer from now on, if there is a conversation with it.
    pub(super) fn select(&mut self, peer: &str) -> Option<&str> {
        let one = self.conversations.iter().find(|one| one.with.is(peer))?;
        self.current = Some(one.number);
        Some(&one.with.label)
    }

    /// Whether a conversation with that peer begins, and it has not answered.
    pub(super) fn is_asking(&self, with: &Found) -> bool {
        let one = self.one_with(with);
        one.is_some_and(|one| one.state == State::Asking)
    }

    /// Whether there is room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.conversations.len() + self.receiving.len() >= MAX_CONVERSATIONS
    }

    /// Lets somebody in who connected: to talk, or to ping us.
    pub(super) fn welcome(&mut self, connection: Connection, with: Found) {
        let is_chat = connection.alpn() == chat::ALPN;
        if is_chat && self.receiving.len() < MAX_CONVERSATIONS {
            let reception = self.reception.clone();
            self.receiving
                .spawn(async move { Some((with, reception.receive(connection).await?)) });
        } else if !is_chat && self.serving.len() < MAX_SERVED {
            self.serving
                .spawn(async move { service::serve(&connection, false).await });
        } else {
            connection.close(gimlet_apps::BUSY, b"busy");
        }
    }

    /// Takes part in a conversation, instead of one with the same peer that there may be. Where `first`, or
    /// where there is no other, lines go there.
    pub(super) fn add(&mut self, with: Found, conversation: Conversation, first: bool) {
        self.next_number += 1;
        let mut new = One::new(self.next_number, with, conversation, self.heard_by.clone());
        let peer = new.with.peer;
        let older = self
            .conversations
            .iter()
            .position(|one| one.with.peer == peer);
        if let Some(index) = older {
            let current = self.current == Some(self.conversations[index].number);
            let mut was = self.take(index);
            was.hand_over(&mut new);
            if current {
                self.current = Some(new.number);
            }
        }
        match first {
            true => self.current = Some(new.number),
            false => {
                self.current.get_or_insert(new.number);
            }
        }
        self.conversations.push(new);
    }

    /// The next thing to tell. Cancel safe. Pending while nothing happens.
    pub(super) async fn next(&mut self) -> News {
        loop {
            if let Some((with, request)) = self.release() {
                return News::Request(with, request);
            }
            let release_at = self.release_at();
            tokio::select! {
                Some((number, event)) = self.heard.recv() => {
                    if let Some(news) = self.hear(number, event) {
                        return news;
                    }
                }
                Some(received) = self.receiving.join_next() => {
                    // Who connected and said nothing is gone again: nothing to tell.
                    if let Ok(Some((with, request))) = received {
                        return News::Request(with, request);
                    }
                }
                Some(_) = self.serving.join_next() => (),
                () = sleep_until(release_at.unwrap_or_else(now)), if release_at.is_some() => (),
            }
        }
    }

    /// Says the line typed as that number to the peer being talked to.
    pub(super) fn speak(&mut self, text: &str, typed: u64) -> Spoken {
        match self.index_of_current() {
            Some(index) => self.conversations[index].say(text, typed),
            None => Spoken::Nobody,
        }
    }

    /// Says a line to that peer.
    pub(super) fn speak_to(&mut self, peer: &str, text: &str, typed: u64) -> Spoken {
        let mut all = self.conversations.iter_mut();
        match all.find(|one| one.with.is(peer)) {
            Some(one) => one.say(text, typed),
            None => Spoken::Nobody,
        }
    }

    /// Leaves the peer being talked to; its name.
    pub(super) fn leave_current(&mut self) -> Option<String> {
        let index = self.index_of_current()?;
        Some(self.take(index).with.label)
    }

    /// Leaves that peer; its name.
    pub(super) fn leave(&mut self, peer: &str) -> Option<String> {
        let index = self
            .conversations
            .iter()
            .position(|one| one.with.is(peer))?;
        Some(self.take(index).with.label)
    }

    /// Leaves everybody, all at once, when what was said has arrived; who has not got everything. What
    /// they still say is not shown any more.
    pub(super) async fn leave_all(&mut self) -> Vec<Event> {
        let mut left = std::mem::take(&mut self.conversations);
        for one in &mut left {
            one.leave();
            self.leaving.insert(one.number);
        }
        while !self.leaving.is_empty()
            && let Some((number, event)) = self.heard.recv().await
        {
            if matches!(event, chat::Event::Ended(_)) {
                self.leaving.remove(&number);
            }
        }
        let waits = left.iter().filter_map(One::undelivered);
        waits.collect()
    }

    /// Everybody there is a conversation with.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.conversations.iter().map(One::line).collect()
    }

    fn hear(&mut self, number: u64, event: chat::Event) -> Option<News> {
        let is_over = matches!(event, chat::Event::Ended(_));
        let Some(index) = self
            .conversations
            .iter()
            .position(|one| one.number == number)
        else {
            // Who was left may still have said something.
            if is_over {
                self.leaving.remove(&number);
            }
            return None;
        };
        let news = self.conversations[index].hear(event);
        if is_over {
            let was = self.conversations.remove(index);
            self.current.take_if(|current| *current == was.number);
        }
        news
    }

    /// Takes leave of somebody. Who is left alone with us is talked to next only by `punch`: a line must not go
    /// to somebody else than the prompt said.
    fn take(&mut self, index: usize) -> One {
        // Dropped, it leaves.
        let taken = self.conversations.remove(index);
        self.leaving.insert(taken.number);
        self.current.take_if(|current| *current == taken.number);
        taken
    }

    fn one_with(&self, with: &Found) -> Option<&One> {
        let mut all = self.conversations.iter();
        all.find(|one| one.with.peer == with.peer)
    }

    fn index_of_current(&self) -> Option<usize> {
        let current = self.current?;
        let mut numbers = self.conversations.iter().map(|one| one.number);
        numbers.position(|number| number == current)
    }
}

/// Who an event is about.
fn who(with: &Found) -> Who {
    Who::new(with)
}

/// The time of an event.
fn now() -> Instant {
    Instant::now()
}
