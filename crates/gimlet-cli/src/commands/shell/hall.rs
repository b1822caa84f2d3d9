//! The shell's conversations, and the one that typed lines go to.
//!
//! A conversation with a peer replaces an older one with the same peer. Lines go to whom was
//! punched last, or to who came first when nobody was.

use std::io;

use gimlet::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::conversation::{Conversation, HEARD_QUEUE, Heard, Said};
use crate::describe;
use crate::event::{Event, Who};
use crate::service;
use crate::session::Found;

/// Conversations at a time, begun and about to begin: more than a person follows.
const MAX_CONVERSATIONS: usize = 32;

/// Pings and punches of others answered at a time.
const MAX_SERVED: usize = 32;

/// Path changes that may wait to be shown.
const PATH_QUEUE: usize = 16;

/// All conversations.
pub(super) struct Hall {
    my_name: String,
    conversations: Vec<Conversation>,
    current: Option<u64>,
    next_number: u64,
    joining: JoinSet<io::Result<Conversation>>,
    serving: JoinSet<()>,
    leaving: JoinSet<()>,
    heard_by: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
    paths_by: mpsc::Sender<Event>,
    paths: mpsc::Receiver<Event>,
}

impl Hall {
    pub(super) fn new(my_name: String) -> Self {
        let (heard_by, heard) = mpsc::channel(HEARD_QUEUE);
        let (paths_by, paths) = mpsc::channel(PATH_QUEUE);
        Self {
            my_name,
            conversations: Vec::new(),
            current: None,
            next_number: 0,
            joining: JoinSet::new(),
            serving: JoinSet::new(),
            leaving: JoinSet::new(),
            heard_by,
            heard,
            paths_by,
            paths,
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

    /// Begins a conversation on a connection we dialled, and talks to that peer from now on.
    pub(super) async fn begin(&mut self, connection: Connection, with: Found) -> io::Result<Event> {
        let number = self.number();
        let begun = Conversation::begin(connection, with, number, &self.my_name).await?;
        self.current = Some(number);
        Ok(self.add(begun))
    }

    /// Lets somebody in who connected: into a conversation, or to ping us.
    pub(super) fn welcome(&mut self, connection: Connection, with: Found) {
        let is_chat = connection.alpn() == gimlet_apps::chat::ALPN;
        let conversations = self.conversations.len() + self.joining.len();
        if is_chat && conversations < MAX_CONVERSATIONS {
            let (number, my_name) = (self.number(), self.my_name.clone());
            self.joining
                .spawn(async move { Conversation::join(connection, with, number, &my_name).await });
        } else if !is_chat && self.serving.len() < MAX_SERVED {
            self.serving
                .spawn(async move { service::serve(&connection, false).await });
        } else {
            connection.close(gimlet_apps::BUSY, b"busy");
        }
    }

    /// The next thing to show. Cancel safe. Pending while nothing happens.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                Some(heard) = self.heard.recv() => {
                    if let Some(event) = self.hear(heard) {
                        return event;
                    }
                }
                Some(joined) = self.joining.join_next() => {
                    // Who connected and did not begin is gone again: nothing to show.
                    if let Ok(Ok(conversation)) = joined {
                        self.current.get_or_insert(conversation.number);
                        return self.add(conversation);
                    }
                }
                Some(path) = self.paths.recv() => return path,
                Some(_) = self.serving.join_next() => (),
                Some(_) = self.leaving.join_next() => (),
            }
        }
    }

    /// Says a line to the peer being talked to. `None` when there is nobody; an event when the
    /// conversation ended over it.
    pub(super) async fn speak(&mut self, text: &str) -> Option<Result<(), Event>> {
        let index = self.index_of_current()?;
        match self.conversations[index].say(text).await {
            Ok(()) => Some(Ok(())),
            Err(error) => Some(Err(self.end(index, error.to_string()))),
        }
    }

    /// Leaves the peer being talked to; its name.
    pub(super) async fn leave_current(&mut self) -> Option<String> {
        let index = self.index_of_current()?;
        let left = self.take(index);
        let label = left.with.label.clone();
        self.leaving.spawn(left.leave());
        Some(label)
    }

    /// Leaves everybody, all at once. What they still say is not shown any more.
    pub(super) async fn leave_all(&mut self) {
        for conversation in self.conversations.drain(..) {
            self.leaving.spawn(conversation.leave());
        }
        loop {
            tokio::select! {
                left = self.leaving.join_next() => if left.is_none() { return },
                Some(_) = self.heard.recv() => (),
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Option<Event> {
        // Who was left or replaced may still have said something.
        let index = self
            .conversations
            .iter()
            .position(|one| one.number == heard.number)?;
        Some(match heard.said {
            Said::Line(text) => Event::Message {
                who: Who::new(&self.conversations[index].with),
                text,
            },
            Said::Bye => self.end(index, "said goodbye".to_owned()),
            Said::Lost(reason) => self.end(index, reason),
        })
    }

    fn add(&mut self, mut conversation: Conversation) -> Event {
        let peer = conversation.with.peer;
        let older = self
            .conversations
            .iter()
            .position(|one| one.with.peer == peer);
        if let Some(index) = older {
            let was_current = self.current == Some(self.conversations[index].number);
            self.take(index).connection.close(0, b"replaced");
            if was_current {
                self.current = Some(conversation.number);
            }
        }
        let who = Who::new(&conversation.with);
        let connected = Event::Connected {
            who: who.clone(),
            protocol: String::from_utf8_lossy(gimlet_apps::chat::ALPN).into_owned(),
            path: describe::path_kind(conversation.connection.path().kind),
        };
        tokio::spawn(watch_path(
            conversation.connection.clone(),
            who,
            self.paths_by.clone(),
        ));
        conversation.listen(self.heard_by.clone());
        self.conversations.push(conversation);
        connected
    }

    fn end(&mut self, index: usize, reason: String) -> Event {
        let ended = self.take(index);
        let who = Who::new(&ended.with);
        // In a task, because the goodbye waits for the peer, which may be gone.
        self.leaving.spawn(ended.leave());
        Event::Closed { who, reason }
    }

    /// Takes a conversation out. Who is left alone with us is talked to next only by `punch`: a
    /// line must not go to somebody else than the prompt said.
    fn take(&mut self, index: usize) -> Conversation {
        let taken = self.conversations.remove(index);
        if self.current == Some(taken.number) {
            self.current = None;
        }
        taken
    }

    fn index_of_current(&self) -> Option<usize> {
        let current = self.current?;
        self.conversations
            .iter()
            .position(|one| one.number == current)
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

/// Tells each change of path, until the connection ends.
async fn watch_path(connection: Connection, who: Who, paths: mpsc::Sender<Event>) {
    let mut changes = connection.path_changes();
    loop {
        // The path belongs to the peer, and outlives this connection if there is another.
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = connection.closed() => return,
        }
        let path = *changes.borrow_and_update();
        if paths.send(Event::path(who.clone(), &path)).await.is_err() {
            return;
        }
    }
}
