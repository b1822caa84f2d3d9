//! How much a peer may send ahead of its reader on one connection.
//!
//! It begins with what most paths need and grows where a reader takes so much in a round trip that the
//! window may be what holds the sender up, as Linux sizes a socket's buffer (dynamic right-sizing).
//! A peer can't make it grow: only reading does, and what is read is not held.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::transport::STREAM_RECEIVE_WINDOW;

/// Window of a new connection, bytes: 200 MB/s at 40 ms, 28 at 300 ms. What one peer can make us hold.
pub const INITIAL_WINDOW: u32 = 8 << 20;

/// What is left of it for a reader that holds little, bytes: 250 MB/s at a millisecond. On one machine 1 GiB
/// takes as long with it as with four times as much. What waits in it is lost with a reader that is killed, who
/// may hold up to two MiB besides.
pub const LITTLE_WINDOW: u32 = 256 << 10;

/// Most that it grows to, bytes: 800 MB/s at 40 ms, 110 at 300 ms; 26 streams with a full window.
pub const MAX_WINDOW: u32 = 32 << 20;

/// Most that streams which lie unread add to it, bytes: some fifty of them. It bounds what a peer whose
/// streams nobody reads can make us hold.
pub const MAX_UNREAD: u32 = 64 << 20;

/// The receive window of one connection.
#[derive(Debug)]
pub struct ReceiveWindow {
    connection: quinn::Connection,
    growth: Mutex<Growth>,
}

impl ReceiveWindow {
    /// Of a connection that has [`INITIAL_WINDOW`] from its settings.
    pub fn new(connection: quinn::Connection) -> Self {
        Self {
            connection,
            growth: Mutex::default(),
        }
    }

    /// The connection.
    pub fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    /// Holds as little as the path needs from now on: [`LITTLE_WINDOW`], or what is read in two of its
    /// shortest round trips. A reader that is behind makes round trips long, and they don't count. What the
    /// peer was allowed before is used up first.
    pub fn hold_little(&self) {
        let mut growth = self.growth();
        growth.hold_little();
        self.connection.set_receive_window(growth.total().into());
    }

    /// The application has read so much.
    pub fn on_read(&self, now: Instant, bytes: usize) {
        let mut growth = self.growth();
        let hold = growth.hold;
        let rtt = || match hold {
            Hold::Much => self.connection.rtt(),
            Hold::Little => self.connection.stats().path.min_rtt,
        };
        if growth.on_read(now, bytes, rtt) {
            self.connection.set_receive_window(growth.total().into());
        }
    }

    /// Makes room for so many streams that lie unread with a full window each, up to [`MAX_UNREAD`]:
    /// the others go on beside them.
    pub fn expect_unread(&self, streams: usize) {
        let mut growth = self.growth();
        let before = growth.total();
        growth.unread = u32::try_from(streams)
            .unwrap_or(u32::MAX)
            .saturating_mul(STREAM_RECEIVE_WINDOW)
            .min(MAX_UNREAD);
        if growth.total() != before {
            self.connection.set_receive_window(growth.total().into());
        }
    }

    /// Makes an established connection send something now that the other side acknowledges, so that
    /// what was lost on the path before is found lost at once instead of at the next, backed-off
    /// probe timeout. quinn has no call for it: a window that grows makes it announce the window.
    pub fn nudge(&self) {
        let growth = self.growth();
        self.connection
            .set_receive_window((growth.total() + 1).into());
        self.connection.set_receive_window(growth.total().into());
    }

    fn growth(&self) -> std::sync::MutexGuard<'_, Growth> {
        self.growth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much is held for a reader that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// What the path carries in a round trip as it is, so that nothing waits for anything.
    Much,
    /// What it carries in the shortest one.
    Little,
}

/// Decides when a window grows.
#[derive(Debug)]
struct Growth {
    window: u32,
    hold: Hold,
    /// Room for streams that lie unread.
    unread: u32,
    /// Bytes read since the round trip began.
    read: u64,
    round_ends_at: Option<Instant>,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            window: INITIAL_WINDOW,
            hold: Hold::Much,
            unread: 0,
            read: 0,
            round_ends_at: None,
        }
    }
}

impl Growth {
    /// What the peer may have under way in all.
    fn total(&self) -> u32 {
        self.window + self.unread
    }

    fn hold_little(&mut self) {
        self.window = self.window.min(LITTLE_WINDOW);
        self.hold = Hold::Little;
    }

    /// Whether the window has grown. `rtt` is asked once a round trip.
    fn on_read(&mut self, now: Instant, bytes: usize, rtt: impl Fn() -> Duration) -> bool {
        self.read += bytes as u64;
        match self.round_ends_at {
            Some(at) if now < at => return false,
            Some(_) => (),
            None => self.read = 0,
        }
        // Reading half a window in a round trip leaves a sender that repeats a loss just enough.
        let grows = self.read * 2 > u64::from(self.window) && self.window < MAX_WINDOW;
        if grows {
            self.window = (self.window * 2).min(MAX_WINDOW);
        }
        self.read = 0;
        self.round_ends_at = Some(now + rtt());
        grows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    /// The window after so many round trips in each of which so much is read in ten parts.
    fn after(rounds: u32, read: usize) -> u32 {
        let (mut growth, mut now) = (Growth::default(), Instant::now());
        for _ in 0..rounds * 10 {
            growth.on_read(now, read / 10, || RTT);
            now += RTT / 10;
        }
        growth.window
    }

    #[test]
    fn a_reader_that_takes_less_than_half_a_window_in_a_round_trip_keeps_it() {
        assert_eq!(after(100, INITIAL_WINDOW as usize / 3), INITIAL_WINDOW);
    }

    #[test]
    fn the_window_doubles_where_more_is_read_and_ends_at_the_bound() {
        assert_eq!(after(3, 6 << 20), 2 * INITIAL_WINDOW);
        assert_eq!(after(1_000, 1 << 30), MAX_WINDOW);
    }

    #[test]
    fn a_reader_that_holds_little_begins_small_and_grows_to_what_the_path_needs() {
        let (mut growth, mut now) = (Growth::default(), Instant::now());
        growth.hold_little();
        assert_eq!(growth.total(), LITTLE_WINDOW);
        // 50 MB/s at 40 ms: 2 MB a round trip.
        for _ in 0..1000 {
            growth.on_read(now, 50_000, || RTT);
            now += Duration::from_millis(1);
        }
        assert_eq!(growth.total(), 4 << 20);
        // The same at half a millisecond.
        let mut growth = Growth::default();
        growth.hold_little();
        for _ in 0..1000 {
            growth.on_read(now, 50_000, || RTT / 80);
            now += Duration::from_millis(1);
        }
        assert_eq!(growth.total(), LITTLE_WINDOW);
    }

    #[test]
    fn what_was_read_before_an_idle_hour_does_not_count() {
        let (mut growth, now) = (Growth::default(), Instant::now());
        growth.on_read(now, 0, || RTT);
        growth.on_read(now + RTT / 2, 3 << 20, || RTT);
        assert!(!growth.on_read(now + Duration::from_secs(3600), 1, || RTT));
    }
}
