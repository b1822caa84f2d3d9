//! The conversation's task: it owns the machine, and joins it with one connection after the other.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gimlet::{Path, Watching};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Ended;
use super::conversation::Event;
use super::exchange::{Exchange, Told};
use super::link::{Gone, Link};
use super::wire::{Hello, Record};
use crate::waits::{stirred, until};

mod role;

pub(super) use role::Role;
use role::next_link;

/// Silence after which the other side is asked whether it is there, so that people know within half a
/// minute who has gone without a word.
const PING_AFTER: Duration = Duration::from_secs(15);

/// How long it may take to answer.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// The same where it is said to have gone, or to have come anew.
const DOUBTED_TIMEOUT: Duration = Duration::from_secs(5);

/// How long leaving waits for the last lines to arrive.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the speaking half says.
#[derive(Debug)]
pub(super) enum Command {
    Say(String),
    Leave,
    Withdraw,
}

/// A connection, and what is known of it.
#[derive(Debug)]
struct Standing {
    link: Link,
    path: watch::Receiver<Path>,
    heard_at: Instant,
    /// By when the other side has to say something.
    due_at: Option<Instant>,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Driver {
    exchange: Exchange,
    role: Role,
    standing: Option<Standing>,
    watching: Option<Watching>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    undelivered: Arc<AtomicUsize>,
    /// Once we want to leave.
    leave_by: Option<Instant>,
    /// Once it is over.
    ended: Option<Ended>,
}

/// What woke the task.
enum Woken {
    Command(Option<Command>),
    Record(Result<Record, Gone>),
    Link(Option<(Link, Option<Hello>)>),
    Path(Path),
    Doubt,
    Timeout,
}

impl Driver {
    pub(super) fn new(
        exchange: Exchange,
        role: Role,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
        undelivered: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            exchange,
            role,
            standing: None,
            watching: None,
            commands,
            events,
            undelivered,
            leave_by: None,
            ended: None,
        }
    }

    /// There is another connection, on which the other side may have said hello.
    pub(super) fn link_up(&mut self, link: Link, hello: Option<Hello>) {
        self.link_down(b"replaced");
        self.standing = Some(Standing {
            path: link.connection.path_changes(),
            link,
            heard_at: Instant::now(),
            due_at: None,
        });
        self.exchange.handle_link_up(hello.is_none());
        if let Some(hello) = hello {
            self.take(Record::Hello(hello));
        }
    }

    fn link_down(&mut self, reason: &[u8]) {
        if let Some(gone) = self.standing.take() {
            gone.link.connection.close(0, reason);
            self.exchange.handle_link_down(now());
        }
    }

    /// Works until the conversation is over.
    pub(super) async fn run(mut self) {
        if let Role::Asks { endpoint, peer, .. } = &self.role {
            self.watching = endpoint.watch(*peer).await.ok();
        }
        loop {
            self.settle().await;
            if self.exchange.is_over() {
                break;
            }
            match self.wake().await {
                Woken::Command(Some(Command::Say(text))) => {
                    if !self.exchange.say(text) {
                        self.undelivered.fetch_sub(1, Ordering::AcqRel);
                    }
                }
                Woken::Command(Some(Command::Withdraw)) => {
                    self.exchange.withdraw();
                    self.leave_by.get_or_insert(Instant::now() + LEAVE_TIMEOUT);
                }
                Woken::Command(Some(Command::Leave) | None) => {
                    self.leave_by.get_or_insert(Instant::now() + LEAVE_TIMEOUT);
                    self.exchange.leave();
                }
                Woken::Record(Ok(record)) => self.take(record),
                Woken::Record(Err(Gone)) => self.link_down(b"lost"),
                Woken::Link(Some((link, hello))) => self.link_up(link, hello),
                // Nobody will connect any more.
                Woken::Link(None) => break,
                Woken::Path(path) if self.exchange.is_together() => {
                    self.tell(Event::Path(path)).await;
                }
                // Being together tells where it is then.
                Woken::Path(_) => (),
                Woken::Doubt => self.ping(DOUBTED_TIMEOUT).await,
                Woken::Timeout => self.handle_timeout().await,
            }
            if self.leave_by.is_some_and(|by| by <= Instant::now()) {
                break;
            }
        }
        if !self.exchange.is_over() {
            self.tell(Event::Ended(Ended::Left)).await;
        }
        if let Some(standing) = self.standing.take() {
            match self.ended {
                // In a task of its own: our goodbye is still on its way, whoever listens has heard the end.
                Some(Ended::TheyLeft) => drop(tokio::spawn(standing.link.finish())),
                _ => standing.link.connection.close(0, b"left"),
            }
        }
    }

    async fn wake(&mut self) -> Woken {
        let deadline = self.deadline();
        let has_link = self.standing.is_some();
        tokio::select! {
            command = self.commands.recv(), if self.leave_by.is_none() => Woken::Command(command),
            woken = heard(&mut self.standing) => woken,
            link = next_link(&mut self.role, has_link) => Woken::Link(link),
            // Tidings only cast doubt on a connection that there is.
            () = stirred(&mut self.watching), if has_link => Woken::Doubt,
            () = until(deadline) => Woken::Timeout,
        }
    }

    fn take(&mut self, record: Record) {
        if let Some(standing) = &mut self.standing {
            standing.heard_at = Instant::now();
            standing.due_at = None;
        }
        if self.exchange.handle(record).is_err() {
            self.link_down(b"protocol");
        }
    }

    /// Sends and tells what the machine has decided.
    async fn settle(&mut self) {
        while let Some(record) = self.exchange.poll_transmit() {
            let Some(standing) = &mut self.standing else {
                continue;
            };
            if standing.link.say(&record).await.is_err() {
                self.link_down(b"lost");
            }
        }
        while let Some(told) = self.exchange.poll_event() {
            let event = match told {
                Told::Together => match &mut self.standing {
                    Some(standing) => Event::Together {
                        path: *standing.path.borrow_and_update(),
                    },
                    // Gone again already, which is told next.
                    None => continue,
                },
                Told::Line(text) => Event::Line(text),
                Told::Delivered(lines) => {
                    self.undelivered.fetch_sub(lines, Ordering::AcqRel);
                    Event::Delivered(lines)
                }
                Told::Away => Event::Away,
                Told::Over(how) => {
                    self.ended = Some(how);
                    Event::Ended(how)
                }
            };
            self.tell(event).await;
        }
    }

    async fn handle_timeout(&mut self) {
        let now_is = Instant::now();
        self.exchange.handle_timeout(now());
        let Some(standing) = &self.standing else {
            return;
        };
        match standing.due_at {
            Some(due) if due <= now_is => self.link_down(b"silent"),
            None if standing.heard_at + PING_AFTER <= now_is => self.ping(PONG_TIMEOUT).await,
            Some(_) | None => (),
        }
    }

    async fn ping(&mut self, patience: Duration) {
        let Some(standing) = &mut self.standing else {
            return;
        };
        let due = Instant::now() + patience;
        standing.due_at = Some(standing.due_at.map_or(due, |at| at.min(due)));
        if standing.link.say(&Record::Ping).await.is_err() {
            self.link_down(b"lost");
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let idle = self.standing.as_ref();
        let idle = idle.map(|at| at.due_at.unwrap_or(at.heard_at + PING_AFTER));
        let machine = self.exchange.poll_timeout().map(Instant::from_std);
        [idle, machine, self.leave_by].into_iter().flatten().min()
    }

    async fn tell(&mut self, event: Event) {
        // Who listens no more may still speak.
        let _ = self.events.send(event).await;
    }
}

/// What comes on the connection, if there is one.
async fn heard(standing: &mut Option<Standing>) -> Woken {
    let Some(standing) = standing else {
        return pending().await;
    };
    tokio::select! {
        record = standing.link.next() => Woken::Record(record),
        Ok(()) = standing.path.changed() => Woken::Path(*standing.path.borrow_and_update()),
    }
}

/// The machine's clock; tokio's, so that it stands still where that does.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
