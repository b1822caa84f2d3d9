//! Measures how far each server is: a STUN question now and then, to all of them at once.
//!
//! ```text
//!  Idle ──interval──▶ Asked ──answer, or time is up──▶ Idle
//! ```
//!
//! A machine without I/O, driven like the others. A round costs a server three small packets at most
//! for each address family, whatever answers say.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gimlet_proto::stun::{self, TransactionId};
use gimlet_proto::traversal::SocketId;

use crate::control::ServerId;

/// Gap between rounds: a route that has changed is noticed within a minute.
const INTERVAL: Duration = Duration::from_secs(30);

/// The same while a server is missed.
const MISSED_INTERVAL: Duration = Duration::from_secs(5);

/// When a question is repeated, from its round's begin: once for a packet lost, once for a slow link
/// that was asleep.
const REPEATS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];

/// When a round ends for servers that did not answer.
const GIVE_UP: Duration = Duration::from_millis(1000);

/// Addresses of a server that are asked: one for each family.
const MAX_POSTS: usize = 2;

/// A server's STUN port, as one of our sockets asks it.
pub(super) type Post = (SocketId, SocketAddr);

/// What a round found about one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) server: ServerId,
    /// `None`: it did not answer.
    pub(super) rtt: Option<Duration>,
}

#[derive(Debug)]
struct Asked {
    began_at: Instant,
    /// How often it was asked.
    times: usize,
    questions: Vec<(TransactionId, Post, Instant)>,
}

#[derive(Debug)]
struct Target {
    server: ServerId,
    posts: Vec<Post>,
    asked: Option<Asked>,
    /// When the next round begins.
    ask_at: Instant,
}

/// See the [module docs](self).
#[derive(Debug, Default)]
pub(super) struct Nearness {
    targets: Vec<Target>,
    transmits: VecDeque<(Post, Vec<u8>)>,
    events: VecDeque<Measured>,
}

impl Nearness {
    /// Where a server is. It is asked at once.
    pub(super) fn add(&mut self, server: ServerId, posts: &[Post], now: Instant) {
        let mut chosen: Vec<Post> = Vec::new();
        for &post in posts {
            let other = |held: &Post| held.1.is_ipv4() != post.1.is_ipv4();
            if chosen.len() < MAX_POSTS && chosen.iter().all(other) {
                chosen.push(post);
            }
        }
        self.targets.retain(|target| target.server != server);
        self.targets.push(Target {
            server,
            posts: chosen,
            asked: None,
            ask_at: now,
        });
    }

    /// Asks all servers now: this host may be somewhere else.
    pub(super) fn hurry(&mut self, now: Instant) {
        for target in &mut self.targets {
            target.ask_at = target.ask_at.min(now);
        }
    }

    /// A server is missed: asks it soon, and more often from now on.
    pub(super) fn miss(&mut self, server: ServerId, now: Instant) {
        for target in &mut self.targets {
            if target.server == server {
                target.ask_at = target.ask_at.min(now + MISSED_INTERVAL);
            }
        }
    }

    /// Feeds a datagram; `false` when it is not an answer to us.
    pub(super) fn handle_datagram(&mut self, from: Post, datagram: &[u8], now: Instant) -> bool {
        let Some(answer) = stun::decode_binding_response(datagram) else {
            return false;
        };
        for target in &mut self.targets {
            let questions = target.asked.iter().flat_map(|asked| &asked.questions);
            let mut questions = questions.copied();
            let ours = |&(transaction, post, _): &(TransactionId, Post, Instant)| {
                transaction == answer.transaction && post == from
            };
            if let Some((_, _, sent_at)) = questions.find(ours) {
                target.asked = None;
                target.ask_at = now + INTERVAL;
                self.events.push_back(Measured {
                    server: target.server,
                    rtt: Some(now.saturating_duration_since(sent_at)),
                });
                return true;
            }
        }
        false
    }

    /// Advances time. `random` draws transaction ids.
    pub(super) fn handle_timeout(&mut self, random: &mut impl FnMut() -> [u8; 12], now: Instant) {
        for target in &mut self.targets {
            if target.asked.is_none() && target.ask_at <= now {
                target.asked = Some(Asked {
                    began_at: now,
                    times: 0,
                    questions: Vec::new(),
                });
            }
            let Some(asked) = &mut target.asked else {
                continue;
            };
            if asked.began_at + GIVE_UP <= now {
                target.asked = None;
                target.ask_at = now + MISSED_INTERVAL;
                let (server, rtt) = (target.server, None);
                self.events.push_back(Measured { server, rtt });
                continue;
            }
            if asked.repeat_at().is_some_and(|at| at <= now) {
                asked.times += 1;
                for &post in &target.posts {
                    let transaction = TransactionId(random());
                    asked.questions.push((transaction, post, now));
                    let request = stun::encode_binding_request(transaction);
                    self.transmits.push_back((post, request));
                }
            }
        }
    }

    /// The next request to send, if any.
    pub(super) fn poll_transmit(&mut self) -> Option<(Post, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next result, if any.
    pub(super) fn poll_event(&mut self) -> Option<Measured> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must next be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |target: &Target| match &target.asked {
            Some(asked) => {
                let over = asked.began_at + GIVE_UP;
                asked.repeat_at().map_or(over, |at| at.min(over))
            }
            None => target.ask_at,
        };
        self.targets.iter().map(due).min()
    }
}

impl Asked {
    fn repeat_at(&self) -> Option<Instant> {
        match self.times {
            0 => Some(self.began_at),
            times => REPEATS.get(times - 1).map(|&gap| self.began_at + gap),
        }
    }
}

#[cfg(test)]
mod tests;
