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
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);
    const SOCKET: SocketId = SocketId(0);

    #[test]
    fn it_asks_at_once_and_then_every_interval() {
        let mut t = Bench::new();
        for n in 0..3 {
            let request = t.next();
            assert_eq!(t.elapsed(), INTERVAL * n);
            assert_eq!(t.answer(&request, "198.51.100.1:7000"), Some(Seen::Same));
        }
    }

    #[test]
    fn another_mapping_is_seen_once() {
        let mut t = Bench::new();
        let first = t.next();
        t.answer(&first, "198.51.100.1:7000");
        let second = t.next();
        assert_eq!(t.answer(&second, "198.51.100.1:7001"), Some(Seen::Moved));
        let third = t.next();
        assert_eq!(t.answer(&third, "198.51.100.1:7001"), Some(Seen::Same));
    }

    #[test]
    fn what_is_asked_anew_after_a_move_is_no_move() {
        let mut t = Bench::new();
        let first = t.next();
        t.answer(&first, "198.51.100.1:7000");
        t.sut.restart(t.now);
        let again = t.next();
        assert_eq!(t.elapsed(), Duration::ZERO);
        assert_eq!(t.answer(&again, "198.51.100.9:7000"), Some(Seen::Same));
    }

    #[test]
    fn a_silent_server_costs_three_requests_an_interval() {
        let mut t = Bench::new();
        let mut times = Vec::new();
        for _ in 0..6 {
            t.next();
            times.push(t.elapsed().as_millis());
        }
        assert_eq!(times, [0, 200, 600, 16_400, 16_600, 17_000]);
    }

    #[test]
    fn hurrying_does_not_repeat_what_is_under_way() {
        let mut t = Bench::new();
        t.next();
        t.sut.hurry(t.now);
        t.next();
        assert_eq!(t.elapsed(), FIRST_RETRY);
    }

    #[test]
    fn answers_of_others_or_to_nothing_asked_are_ignored() {
        let mut t = Bench::new();
        let request = t.next();
        let elsewhere = stun::answer_binding(&request, addr("6.6.6.6:6")).unwrap();
        let strange = t
            .sut
            .handle_datagram(SOCKET, addr("192.0.2.9:9"), &elsewhere, t.now);
        assert_eq!(strange, None);
        let other = stun::encode_binding_request(TransactionId([0xee; 12]));
        assert_eq!(t.answer(&other, "6.6.6.6:6"), None);
        assert!(t.answer(&request, "198.51.100.1:7000").is_some());
        assert_eq!(t.answer(&request, "6.6.6.6:6"), None, "answered already");
    }

    struct Bench {
        sut: Lookout,
        start: Instant,
        now: Instant,
        drawn: u8,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let mut sut = Lookout::new(INTERVAL);
            sut.watch((SOCKET, addr("203.0.113.1:3478")), now);
            Self {
                sut,
                start: now,
                now,
                drawn: 0,
            }
        }

        /// Runs to the next request.
        fn next(&mut self) -> Vec<u8> {
            loop {
                if let Some((_, request)) = self.sut.poll_transmit() {
                    return request;
                }
                let at = self.sut.poll_timeout().expect("a timer is armed");
                self.now = self.now.max(at);
                let drawn = &mut self.drawn;
                let mut random = || {
                    *drawn += 1;
                    [*drawn; 12]
                };
                self.sut.handle_timeout(&mut random, self.now);
            }
        }

        fn answer(&mut self, request: &[u8], seen: &str) -> Option<Seen> {
            let answer = stun::answer_binding(request, addr(seen)).unwrap();
            let from = addr("203.0.113.1:3478");
            self.sut.handle_datagram(SOCKET, from, &answer, self.now)
        }

        fn elapsed(&self) -> Duration {
            self.now - self.start
        }
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
