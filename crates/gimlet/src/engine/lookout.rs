//! Keeps an eye on where servers see our sockets, and so keeps those mappings open.
//!
//! ```text
//!  Idle ──interval──▶ Asked ──answer: the same, or moved──▶ Idle
//!    ▲                  │
//!    ╰── no answer ─────╯
//! ```
//!
//! A machine without I/O, driven like the others. One server address for each socket; nothing it
//! hears can make it ask more often.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::stun::{self, TransactionId};
use gimlet_proto::traversal::SocketId;

/// Times a question is asked before the server counts as silent.
const ATTEMPTS: u32 = 3;

/// Gap before the first repeat, doubled each time: most servers are nearer than that.
const FIRST_RETRY: Duration = Duration::from_millis(200);

/// A server's STUN port, as one of our sockets asks it.
type Post = (SocketId, SocketAddr);

#[derive(Debug, Clone, Copy)]
enum State {
    Idle {
        ask_at: Instant,
    },
    Asked {
        transaction: TransactionId,
        attempt: u32,
        repeat_at: Instant,
    },
}

#[derive(Debug)]
struct Watched {
    post: Post,
    /// Where it saw us last.
    seen: Option<SocketAddr>,
    state: State,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing new.
    Same,
    /// The mapping is another one than before.
    Moved,
}

/// See the [module docs](self).
#[derive(Debug)]
pub(super) struct Lookout {
    interval: Duration,
    /// One for each socket at most.
    watched: Vec<Watched>,
    transmits: VecDeque<(Post, Vec<u8>)>,
}

impl Lookout {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            watched: Vec::new(),
            transmits: VecDeque::new(),
        }
    }

    /// Watches from here from now on; a socket's earlier post is left.
    pub(super) fn watch(&mut self, post: Post, now: Instant) {
        if self.watched.iter().any(|watched| watched.post == post) {
            return;
        }
        self.watched.retain(|watched| watched.post.0 != post.0);
        self.watched.push(Watched {
            post,
            seen: None,
            state: State::Idle { ask_at: now },
        });
    }

    /// Sets the gap between questions.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Asks now instead of later.
    pub(super) fn hurry(&mut self, now: Instant) {
        for watched in &mut self.watched {
            if let State::Idle { ask_at } = &mut watched.state {
                *ask_at = now;
            }
        }
    }

    /// Forgets what was seen, and asks: that it is another one now is known already.
    pub(super) fn restart(&mut self, now: Instant) {
        for watched in &mut self.watched {
            watched.seen = None;
            watched.state = State::Idle { ask_at: now };
        }
    }

    /// Feeds a datagram from `remote`; `None` when it is not an answer to us.
    pub(super) fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Option<Seen> {
        let post = (socket, remote);
        let watched = self.watched.iter_mut().find(|w| w.post == post)?;
        let State::Asked { transaction, .. } = watched.state else {
            return None;
        };
        let answer = stun::decode_binding_response(datagram)?;
        if answer.transaction != transaction {
            return None;
        }
        watched.state = State::Idle {
            ask_at: now + self.interval,
        };
        let before = watched.seen.replace(answer.mapped);
        Some(match before {
            Some(before) if before != answer.mapped => Seen::Moved,
            Some(_) | None => Seen::Same,
        })
    }

    /// Advances time. `random` draws transaction ids.
    pub(super) fn handle_timeout(&mut self, random: &mut impl FnMut() -> [u8; 12], now: Instant) {
        for watched in &mut self.watched {
            let (transaction, attempt) = match watched.state {
                State::Idle { ask_at } if ask_at <= now => (TransactionId(random()), 1),
                State::Asked {
                    transaction,
                    attempt,
                    repeat_at,
                } if repeat_at <= now => (transaction, attempt + 1),
                State::Idle { .. } | State::Asked { .. } => continue,
            };
            if attempt > ATTEMPTS {
                let ask_at = now + self.interval;
                watched.state = State::Idle { ask_at };
                continue;
            }
            let repeat_at = now + FIRST_RETRY * (1 << (attempt - 1));
            watched.state = State::Asked {
                transaction,
                attempt,
                repeat_at,
            };
            let request = stun::encode_binding_request(transaction);
            self.transmits.push_back((watched.post, request));
        }
    }

    /// The next request to send, if any.
    pub(super) fn poll_transmit(&mut self) -> Option<(Post, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |watched: &Watched| match watched.state {
            State::Idle { ask_at } => ask_at,
            State::Asked { repeat_at, .. } => repeat_at,
        };
        self.watched.iter().map(due).min()
    }
}

#[cfg(test)]
mod tests;
