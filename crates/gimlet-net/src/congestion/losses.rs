//! Which share of packets is lost, and whether the line loses them or a queue that overflows.
//!
//! A line loses packets whether its queue is full or not; a queue only when it is full. So what is lost
//! while it is not tells how much the line loses, and what is lost beyond that while it is full is the
//! queue's. Without this question a round trip that varies would cut the window for every second loss of
//! the line, because a jittery line looks like one with a queue.

use std::time::{Duration, Instant};

/// Lost share from which losses count as congestion even where no queue is seen: policers and very
/// small buffers drop without one. Higher than what bad radio links lose (1 to 3 %), low enough to
/// hurt nobody for long; BBRv3 gives in at 2 % a round trip (draft-ietf-ccwg-bbr section 2.4).
const TOO_MANY: f64 = 0.05;

/// Packets below which a share says nothing: of a hundred, five lost are still chance at 2 %. Where round trips
/// vary, few leave at a full queue; the first of them that a lossy line loses would cut the window
/// if fewer counted.
const MIN_PACKETS: u64 = 100;

/// Half of the time for which the line's losses count, as that of a queue's extremes: at 0.5 % and
/// 1 MB/s some forty losses.
const HALF_WINDOW: Duration = Duration::from_secs(10);

/// What a line is taken to have lost before anything is known of it: one packet of so many. A line of
/// which little is known may be lossy; one that has carried thousands of packets is known.
const FIRST_OF: f64 = 200.0;

/// How far above what is expected the losses at a full queue may be by chance: half of it, as what a queue
/// loses is not always seen at its fullest, and three deviations of a Poisson distribution. Twenty-five or
/// so rounds a second, each of which could cut, leave no room for less.
const CHANCE: (f64, f64) = (1.5, 3.0);

/// Counts of this round trip and of the last, and of the line.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    all: Recent,
    /// While the queue was full.
    at_full: Recent,
    /// While it was not, over [`HALF_WINDOW`]s instead of round trips.
    of_line: Recent,
    line_since: Option<Instant>,
    /// A packet sent after this ends the round trip when it is acknowledged.
    round_began_at: Option<Instant>,
}

/// A span and the one before.
#[derive(Debug, Clone, Default)]
struct Recent {
    current: Count,
    previous: Count,
}

impl Recent {
    fn turn(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    /// Packets lost and sent.
    fn packets(&self, mtu: u64) -> (f64, f64) {
        let lost = (self.current.lost + self.previous.lost) as f64;
        let sent = (self.current.acked + self.previous.acked) as f64 + lost;
        let mtu = mtu.max(1) as f64;
        (lost / mtu, sent / mtu)
    }
}

/// Bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    acked: u64,
    lost: u64,
}

impl Losses {
    /// So many bytes, sent then, have arrived; `is_full`: the queue.
    pub(super) fn on_acked(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        mtu: u64,
        is_full: bool,
    ) {
        self.all.current.acked += bytes;
        self.beside_all(is_full).acked += bytes;
        if now.saturating_duration_since(*self.line_since.get_or_insert(now)) > HALF_WINDOW {
            self.of_line.turn();
            self.line_since = Some(now);
        }
        let began_at = *self.round_began_at.get_or_insert(now);
        let enough = (self.all.current.acked + self.all.current.lost) / mtu.max(1) >= MIN_PACKETS;
        if sent >= began_at && enough {
            self.round_began_at = Some(now);
            self.all.turn();
            self.at_full.turn();
        }
    }

    /// So many bytes are lost; `was_full`: the queue when they left.
    pub(super) fn on_lost(&mut self, bytes: u64, was_full: bool) {
        self.all.current.lost += bytes;
        self.beside_all(was_full).lost += bytes;
    }

    fn beside_all(&mut self, is_full: bool) -> &mut Count {
        match is_full {
            true => &mut self.at_full.current,
            false => &mut self.of_line.current,
        }
    }

    /// Whether losses are too many to be the line's.
    pub(super) fn are_too_many(&self, mtu: u64) -> bool {
        let (lost, sent) = self.all.packets(mtu);
        lost > TOO_MANY * sent.max(MIN_PACKETS as f64)
    }

    /// Whether so many are lost at a full queue that it is the queue that loses them.
    pub(super) fn are_of_queue(&self, mtu: u64) -> bool {
        let (line_lost, line_sent) = self.of_line.packets(mtu);
        let share = (line_lost + 1.0) / (line_sent + FIRST_OF);
        let (lost, sent) = self.at_full.packets(mtu);
        let expected = sent.max(MIN_PACKETS as f64) * share.min(TOO_MANY);
        lost > CHANCE.0 * expected + CHANCE.1 * expected.sqrt()
    }

    /// Forgets what led to a cut; what is known of the line stays.
    pub(super) fn reset(&mut self, now: Instant) {
        self.all = Recent::default();
        self.at_full = Recent::default();
        self.round_began_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1;

    /// A thousand packets a millisecond apart, of which so many in a hundred are lost.
    fn feed(losses: &mut Losses, lost_in_100: u64, is_full: bool) {
        let now = Instant::now();
        for n in 0..1_000 {
            let at = now + Duration::from_millis(n);
            match n % 100 < lost_in_100 {
                true => losses.on_lost(1, is_full),
                false => losses.on_acked(at, at - Duration::from_millis(40), 1, MTU, is_full),
            }
        }
    }

    fn with(lost_in_100: u64, is_full: bool) -> Losses {
        let mut losses = Losses::default();
        feed(&mut losses, lost_in_100, is_full);
        losses
    }

    #[test]
    fn three_in_a_hundred_are_not_too_many_and_eight_are() {
        assert!(!with(3, false).are_too_many(MTU));
        assert!(with(8, false).are_too_many(MTU));
    }

    #[test]
    fn of_a_few_packets_one_or_two_may_be_lost() {
        let mut losses = Losses::default();
        losses.on_lost(2, false);
        assert!(!losses.are_too_many(MTU));
    }

    #[test]
    fn what_led_to_a_cut_is_forgotten() {
        let mut losses = with(8, true);
        assert!(losses.are_too_many(MTU) && losses.are_of_queue(MTU));
        losses.reset(Instant::now());
        assert!(!losses.are_too_many(MTU) && !losses.are_of_queue(MTU));
    }

    #[test]
    fn a_line_that_loses_nothing_needs_one_loss_at_a_full_queue() {
        let mut losses = Losses::default();
        (0..10).for_each(|_| feed(&mut losses, 0, false));
        assert!(!losses.are_of_queue(MTU));
        losses.on_lost(1, true);
        assert!(losses.are_of_queue(MTU));
    }

    #[test]
    fn as_many_at_a_full_queue_as_else_are_the_line_s_and_many_more_are_not() {
        for (at_full, are_of_queue) in [(1, false), (4, true)] {
            let mut losses = with(1, false);
            feed(&mut losses, at_full, true);
            assert_eq!(losses.are_of_queue(MTU), are_of_queue, "{at_full} %");
        }
    }

    #[test]
    fn of_an_unknown_line_one_loss_says_little_beside_many_packets() {
        let mut losses = Losses::default();
        feed(&mut losses, 0, true);
        losses.on_lost(1, true);
        assert!(!losses.are_of_queue(MTU));
    }

    #[test]
    fn on_a_line_that_loses_one_loss_says_nothing_though_the_queue_was_full_for_few_packets() {
        let mut losses = with(1, false);
        (0..10).for_each(|_| losses.on_acked(Instant::now(), Instant::now(), 1, MTU, true));
        losses.on_lost(1, true);
        assert!(!losses.are_of_queue(MTU));
    }

    #[test]
    fn what_a_line_lost_long_ago_does_not_count() {
        let mut losses = with(4, false);
        let later = Instant::now() + 2 * HALF_WINDOW;
        for n in 0..2_u32 {
            let now = later + 2 * HALF_WINDOW * n;
            (0..1_000).for_each(|_| losses.on_acked(now, now, 1, MTU, false));
        }
        losses.on_lost(1, true);
        assert!(losses.are_of_queue(MTU));
    }
}
