//! Packets that are sent twice for a while: one way is in doubt and another is not proven yet, or a
//! way is new and what is lost on it now would be missed most.
//!
//! What is lost over the first way is repeated as soon as the peer is heard over the other, before anybody can
//! have moved, and all that follows waits for the first of it. So some of what is sent from then on, and again
//! from the move on, goes there once more.
//!
//! **Invariant:** bounded by time and by bytes, since both copies may share one uplink.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gimlet_proto::secret::SessionId;
use quinn::udp::Transmit;

use super::{Link, PathSocket, Target};

/// Longest time that packets are sent twice: as long as anybody would wait for a move.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Most bytes sent twice: what a fast transfer sends in a second.
const MAX_BYTES: u64 = 16 << 20;

/// Bytes sent a third time: the first flights of a repetition, four times the window that a new way begins with.
const SPARE: u64 = 64 << 10;

/// Where packets go besides, and for how much longer.
#[derive(Debug, Default)]
pub(super) struct Twin {
    target: ArcSwapOption<Target>,
    /// Milliseconds of the socket's clock; 0: packets are sent once.
    until: AtomicU64,
    /// Bytes that still may be.
    left: AtomicU64,
    /// Whether the peer was heard there.
    is_proven: AtomicBool,
    /// Bytes of which one more copy goes there.
    spare: AtomicU64,
}

impl Twin {
    fn begin(&self, target: Target, until: u64, spare: u64) {
        self.target.store(Some(Arc::new(target)));
        self.left.store(MAX_BYTES, Ordering::Relaxed);
        self.is_proven.store(spare > 0, Ordering::Relaxed);
        self.spare.store(spare, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
    }

    fn end(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.until.load(Ordering::Relaxed) > 0
    }

    /// The peer's packets come over this session, which is not the one that packets take first.
    pub(super) fn heard(&self, over: SessionId) {
        if let Some(Target::Relay { session, .. }) = self.target.load().as_deref()
            && *session == over
            && !self.is_proven.swap(true, Ordering::Relaxed)
        {
            self.spare.store(SPARE, Ordering::Relaxed);
        }
    }

    /// Copies of so many bytes that are sent besides the first.
    fn copies(&self, bytes: usize) -> usize {
        if !self.is_on() {
            return 0;
        }
        let spare = &self.spare;
        let taken = spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spare| {
            spare.checked_sub(bytes as u64)
        });
        1 + usize::from(taken.is_ok())
    }

    /// Where a copy of so many bytes goes.
    fn take(&self, now: u64, bytes: usize) -> Option<Target> {
        if now > self.until.load(Ordering::Relaxed) {
            self.end();
            return None;
        }
        let bytes = bytes as u64;
        let left = &self.left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(bytes)
        });
        if taken.is_err() {
            self.end();
        }
        taken.ok().and(self.target.load().as_deref().copied())
    }
}

impl PathSocket {
    /// Sends each packet of a link there as well, for so long, five seconds at most. What is there
    /// has to be a relay; the peer's QUIC takes the first copy that comes.
    pub fn send_twice(&self, link: &Link, there: Target, time: Duration) {
        let time = time.min(MAX_TIME).as_millis() as u64;
        // Where packets take that way already, the session has just moved.
        let spare = (link.target() == Some(there)).then_some(SPARE);
        let until = self.clock.now() + time;
        link.twin().begin(there, until, spare.unwrap_or_default());
    }

    /// Sends each packet of a link once again, where its target is.
    pub fn send_once(&self, link: &Link) {
        link.twin().end();
    }

    /// Sends the other copies, where there are to be some. They are lost where they can't be sent.
    pub(super) fn send_copies(&self, link: &Link, transmit: &Transmit<'_>) {
        for _ in 0..link.twin().copies(transmit.contents.len()) {
            let copy = link.twin().take(self.clock.now(), transmit.contents.len());
            if let Some(Target::Relay {
                socket,
                server,
                session,
            }) = copy
                && self.send_framed(socket, server, session, transmit).is_ok()
            {
                let bytes = transmit.contents.len() as u64;
                self.counters.relay_bytes_sent.add(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimlet_proto::traversal::SocketId;

    fn relay(n: u8) -> Target {
        Target::Relay {
            socket: SocketId(0),
            server: "192.0.2.1:1".parse().unwrap(),
            session: SessionId([n; 8]),
        }
    }

    #[test]
    fn copies_are_sent_until_the_time_is_over() {
        let twin = Twin::default();
        assert!(!twin.is_on());
        twin.begin(relay(1), 1000, 0);
        assert_eq!(twin.take(1000, 1200), Some(relay(1)));
        assert_eq!(twin.take(1001, 1200), None);
        assert!(!twin.is_on());
    }

    #[test]
    fn copies_are_bounded_in_bytes() {
        let twin = Twin::default();
        twin.begin(relay(1), 1000, 0);
        let copies = (0..).take_while(|_| twin.take(1, 60_000).is_some());
        assert_eq!(copies.count() as u64, MAX_BYTES / 60_000);
        assert!(!twin.is_on());
        twin.begin(relay(2), 1000, 0);
        assert_eq!(twin.take(1, 1200), Some(relay(2)));
    }

    #[test]
    fn where_the_peer_is_heard_two_copies_go_of_the_first_flights() {
        let twin = Twin::default();
        twin.heard(SessionId([1; 8]));
        assert_eq!(twin.copies(1200), 0);
        twin.begin(relay(1), 1000, 0);
        twin.heard(SessionId([2; 8]));
        assert_eq!(twin.copies(1200), 1, "that is another way");
        for _ in 0..2 {
            twin.heard(SessionId([1; 8]));
            let spare = (0..100).filter(|_| twin.copies(1200) == 2).count() as u64;
            assert!(spare == SPARE / 1200 || spare == 0, "only once: {spare}");
        }
        twin.begin(relay(1), 2000, SPARE);
        assert_eq!((twin.copies(SPARE as usize), twin.copies(1)), (2, 1));
    }

    #[test]
    fn what_is_ended_is_over() {
        let twin = Twin::default();
        twin.begin(relay(1), 1000, 0);
        twin.end();
        assert!(!twin.is_on());
        assert_eq!(twin.take(1, 1200), None);
    }
}
