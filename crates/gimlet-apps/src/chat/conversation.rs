//! A conversation as a program has it: say, listen, leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gimlet::{ConnectError, Endpoint, Path, PeerId};
use tokio::sync::mpsc;

use super::driver::{self, Command, Role};
use super::exchange::Exchange;
use super::link::Link;
use super::wire::{ConversationId, cut};
use super::{ALPN, Ended, MAX_LINE, MAX_UNDELIVERED};

/// Events that wait for the program. A program that is slow makes the peer wait, not memory grow.
const MAX_EVENTS: usize = 64;

/// How a conversation is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How we want to be called; nothing vouches for it.
    pub name: String,
    /// Whether the person at the other side is to be asked; otherwise its program decides.
    pub asks: bool,
}

/// What happens in a conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Both are there, for the first time or again.
    Together {
        /// Over which path.
        path: Path,
    },
    /// The other side said this.
    Line(String),
    /// So many more of our lines have arrived there.
    Delivered(usize),
    /// The path changed.
    Path(Path),
    /// The other side is gone; what is said meanwhile is kept for it, and it is waited for.
    Away,
    /// It is over. Nothing follows.
    Ended(Ended),
}

/// A conversation: both its halves.
#[derive(Debug)]
pub struct Conversation {
    speaker: Speaker,
    listener: Listener,
}

/// The speaking half. The conversation is left when it is dropped.
#[derive(Debug)]
pub struct Speaker {
    peer: PeerId,
    id: ConversationId,
    asked: bool,
    commands: mpsc::Sender<Command>,
    undelivered: Arc<AtomicUsize>,
}

/// The listening half. It has to be listened to: the other half's lines wait for it, too.
#[derive(Debug)]
pub struct Listener {
    events: mpsc::Receiver<Event>,
}

impl Conversation {
    /// Connects to a peer and asks for a conversation. [`Event::Together`] tells that it was accepted,
    /// [`Event::Ended`] that it was not.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: the peer cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives the attempt up.
    pub async fn ask(
        endpoint: &Endpoint,
        peer: PeerId,
        options: Options,
    ) -> Result<Self, ConnectError> {
        let connection = endpoint.connect(peer, ALPN).await?;
        let link = Link::open(connection).await;
        let link = link.map_err(|_| ConnectError::Lost {
            detail: "the peer closed it".to_owned(),
        })?;
        let id = ConversationId(rand::random());
        let Options { name, asks } = options;
        let now = tokio::time::Instant::now().into_std();
        let exchange = Exchange::ask(id, incarnation(), asks, name, now);
        let role = Role::asks(endpoint.clone(), peer);
        Ok(Self::start(peer, id, true, exchange, role, |driver| {
            driver.link_up(link, None);
        }))
    }

    pub(super) fn start(
        peer: PeerId,
        id: ConversationId,
        asked: bool,
        exchange: Exchange,
        role: Role,
        begin: impl FnOnce(&mut driver::Driver),
    ) -> Self {
        // As many as can wait to arrive: saying a line never fails for the way to the task.
        let (commands_by, commands) = mpsc::channel(MAX_UNDELIVERED + 1);
        let (events_by, events) = mpsc::channel(MAX_EVENTS);
        let undelivered = Arc::new(AtomicUsize::new(0));
        let counter = undelivered.clone();
        let mut driver = driver::Driver::new(exchange, role, commands, events_by, counter);
        begin(&mut driver);
        tokio::spawn(driver.run());
        let speaker = Speaker {
            peer,
            id,
            asked,
            commands: commands_by,
            undelivered,
        };
        Self {
            speaker,
            listener: Listener { events },
        }
    }

    /// Who is at the other side.
    pub fn peer(&self) -> PeerId {
        self.speaker.peer
    }

    /// Says a line; see [`Speaker::say`].
    pub fn say(&mut self, text: &str) -> bool {
        self.speaker.say(text)
    }

    /// Lines that are not known to have arrived.
    pub fn undelivered(&self) -> usize {
        self.speaker.undelivered()
    }

    /// Leaves; see [`Speaker::leave`].
    pub fn leave(&mut self) {
        self.speaker.leave();
    }

    /// The next event. `None` after [`Event::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.listener.next().await
    }

    /// Both halves, for programs that speak and listen in different places.
    pub fn split(self) -> (Speaker, Listener) {
        (self.speaker, self.listener)
    }
}

impl Speaker {
    /// Who is at the other side.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The conversation's id, the same on both sides.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// Whether this side asked for it.
    pub fn has_asked(&self) -> bool {
        self.asked
    }

    /// Says a line, in pieces if it is longer than [`MAX_LINE`]. `false` where so many wait to arrive
    /// that it is not taken: [`MAX_UNDELIVERED`], or where the conversation is over.
    pub fn say(&mut self, text: &str) -> bool {
        let pieces: Vec<String> = pieces(text).map(str::to_owned).collect();
        let waiting = self.undelivered.load(Ordering::Acquire);
        if waiting + pieces.len() > MAX_UNDELIVERED || self.commands.is_closed() {
            return false;
        }
        // Counted here, since the task may hear of it later; it counts down.
        self.undelivered.fetch_add(pieces.len(), Ordering::AcqRel);
        pieces
            .into_iter()
            .all(|piece| self.commands.try_send(Command::Say(piece)).is_ok())
    }

    /// Lines that are not known to have arrived.
    pub fn undelivered(&self) -> usize {
        self.undelivered.load(Ordering::Acquire)
    }

    /// Leaves, as soon as what was said has arrived or 3 s have passed. [`Event::Ended`] tells.
    pub fn leave(&mut self) {
        // An error means that it is over, or that so much is still to be said that leaving follows from
        // the speaker being dropped.
        let _ = self.commands.try_send(Command::Leave);
    }

    /// Takes the request back at once, with what was said, where nobody has answered it; leaves otherwise.
    pub fn withdraw(&mut self) {
        let _ = self.commands.try_send(Command::Withdraw);
    }
}

impl Listener {
    /// The next event. `None` after [`Event::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// Another number for every time a side enters a conversation; never 0.
pub(super) fn incarnation() -> u64 {
    rand::random::<u64>().max(1)
}

/// A text in pieces that fit.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let piece = cut(text, MAX_LINE);
        rest = Some(&text[piece.len()..]).filter(|more| !more.is_empty());
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("a{}", "é".repeat(MAX_LINE));
        let cut: Vec<_> = pieces(&text).collect();
        assert_eq!(cut.len(), 3);
        assert_eq!(cut.concat(), text);
        assert_eq!(pieces("").collect::<Vec<_>>(), [""]);
        assert_eq!(pieces("hi").collect::<Vec<_>>(), ["hi"]);
    }
}
