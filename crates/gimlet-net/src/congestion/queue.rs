//! What round trips tell of the queue at the bottleneck.
//!
//! Samples are averaged over blocks of an eighth of a round trip, by when packets were sent: so it is
//! known how long the queue was at the moment at which a packet was lost. The emptiest and the
//! fullest block of the last ten to twenty seconds say what range a queue has here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Blocks kept: four round trips and more. Losses are found within one and a half.
const MAX_BLOCKS: usize = 40;

/// Blocks in a round trip. More would average over too few packets to be calm, fewer would blur the
/// moment at which a queue was full.
const BLOCKS_PER_ROUND: u32 = 8;

/// Least length of a block: what timers can tell apart.
const MIN_BLOCK: Duration = Duration::from_millis(1);

/// Blocks before and after one for which a queue stays full. A sender that overflows it learns of that a round
/// trip later, and until then keeps it full; jitter comes and goes. Fewer, and jitter passes for a
/// queue; more before, and the steep end of a slow start does not pass for one.
const FULL_BEFORE: usize = 2;
const FULL_AFTER: usize = 4;
const FULL_BLOCKS: usize = FULL_BEFORE + 1 + FULL_AFTER;

/// Half of the time for which extremes count, as BBR keeps its least round trip for ten seconds
/// (draft-ietf-ccwg-bbr section 2.8.1). Longer, and a path that became longer looks congested.
const HALF_WINDOW: Duration = Duration::from_secs(10);

/// Delay that never counts as a queue, however calm the line is, and that always does beside what its round
/// trips differ by. Between the two it takes a multiple of that: where a few dozen packets fill the queue, a
/// millisecond is all there is to see.
const NOISE: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(1));

/// Round trips of late, and their extremes.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    blocks: VecDeque<Block>,
    least: Extreme,
    most: Extreme,
    /// How much samples of one block differ from each other.
    deviation: Duration,
    /// How much a block differs from the one before.
    swing: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    began_at: Instant,
    sum: Duration,
    count: u32,
}

impl Block {
    fn mean(&self) -> Duration {
        self.sum / self.count.max(1)
    }
}

/// The extreme of this half window and of the last one.
#[derive(Debug, Clone, Copy, Default)]
struct Extreme {
    since: Option<Instant>,
    current: Option<Duration>,
    previous: Option<Duration>,
}

impl Extreme {
    fn update(&mut self, now: Instant, value: Duration, pick: fn(Duration, Duration) -> Duration) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) > HALF_WINDOW {
            self.previous = self.current.take();
            self.since = Some(now);
        }
        self.current = Some(self.current.map_or(value, |current| pick(current, value)));
    }

    fn value(&self, pick: fn(Duration, Duration) -> Duration) -> Option<Duration> {
        match (self.current, self.previous) {
            (Some(current), Some(previous)) => Some(pick(current, previous)),
            (one, other) => one.or(other),
        }
    }
}

impl Queue {
    /// A packet sent at `sent` was acknowledged at `now`, as the newest of its acknowledgement.
    pub(super) fn on_sample(&mut self, now: Instant, sent: Instant) {
        let rtt = now.saturating_duration_since(sent);
        let least = self.least.value(Duration::min).unwrap_or(rtt);
        let length = (least / BLOCKS_PER_ROUND).max(MIN_BLOCK);
        if let Some(block) = self.blocks.back_mut()
            && sent < block.began_at + length
        {
            let mean = block.mean();
            self.deviation = (self.deviation * 15 + mean.abs_diff(rtt)) / 16;
            block.sum += rtt;
            block.count += 1;
            return;
        }
        if let Some(done) = self.blocks.back() {
            let mean = done.mean();
            let before = self.blocks.iter().rev().nth(1).map_or(mean, Block::mean);
            self.least.update(now, mean, Duration::min);
            self.swing = (self.swing * 15 + mean.abs_diff(before)) / 16;
            let standing = self
                .blocks
                .range(self.blocks.len().saturating_sub(FULL_BLOCKS)..);
            let standing = standing.map(Block::mean).min().unwrap_or(mean);
            self.most.update(now, standing, Duration::max);
        }
        if self.blocks.len() == MAX_BLOCKS {
            self.blocks.pop_front();
        }
        self.blocks.push_back(Block {
            began_at: sent,
            sum: rtt,
            count: 1,
        });
    }

    /// The round trip without a queue, as far as it was seen.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least.value(Duration::min)
    }

    /// How long packets sent last wait in the queue.
    pub(super) fn now(&self) -> Duration {
        self.blocks
            .back()
            .map_or(Duration::ZERO, |block| self.above_least(block))
    }

    /// How long packets waited at least in the last round trip: the part of the queue that stays.
    pub(super) fn standing(&self) -> Duration {
        let last = self.blocks.iter().rev().take(BLOCKS_PER_ROUND as usize);
        let shortest = last.map(|block| self.above_least(block)).min();
        shortest.unwrap_or_default()
    }

    /// Whether the queue was about as full as it gets when a packet left that was lost.
    pub(super) fn was_full(&self, sent: Instant) -> bool {
        let (Some(least), Some(most)) = (self.least(), self.most.value(Duration::max)) else {
            // Nothing is known of this path: a loss is what it mostly is.
            return true;
        };
        let after = self.blocks.partition_point(|block| block.began_at <= sent);
        let first = after.saturating_sub(1 + FULL_BEFORE);
        let around = self
            .blocks
            .range(first..(after + FULL_AFTER).min(self.blocks.len()));
        let queue = around.map(|block| self.above_least(block)).min();
        let queue = queue.unwrap_or_default();
        queue > self.noise(least) && queue * 2 > most.saturating_sub(least)
    }

    fn above_least(&self, block: &Block) -> Duration {
        let mean = block.mean();
        mean.saturating_sub(self.least().unwrap_or(mean))
    }

    fn noise(&self, least: Duration) -> Duration {
        let most = (least / 32).clamp(NOISE.0, NOISE.1);
        let seen = self.deviation.max(self.swing);
        (seen * 4).clamp(NOISE.0, most).max(seen * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Packets a millisecond apart with these round trips; when the first was sent.
    fn fed(rtts: impl IntoIterator<Item = u32>) -> (Queue, Instant) {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for (n, rtt) in rtts.into_iter().enumerate() {
            let sent = start + MS * n as u32;
            queue.on_sample(sent + MS * rtt, sent);
        }
        (queue, start)
    }

    #[test]
    fn a_loss_on_an_unknown_path_counts_as_a_full_queue() {
        assert!(Queue::default().was_full(Instant::now()));
    }

    #[test]
    fn a_loss_at_the_shortest_round_trip_is_not_of_a_queue() {
        let (queue, start) = fed([40; 100]);
        assert!(!queue.was_full(start + MS * 50));
        assert_eq!(queue.now(), Duration::ZERO);
    }

    #[test]
    fn a_loss_where_the_queue_was_longest_is_of_it() {
        let (queue, start) = fed((0..100).map(|n| if n < 50 { 40 } else { 60 }));
        assert!(queue.was_full(start + MS * 90));
        assert!(!queue.was_full(start + MS * 20));
        assert_eq!(queue.least(), Some(40 * MS));
        assert_eq!(queue.now(), 20 * MS);
    }

    #[test]
    fn a_short_queue_is_not_a_full_one_where_a_long_one_was_seen() {
        let rtts = (0..150).map(|n| match n {
            0..50 => 40,
            50..100 => 100,
            _ => 50,
        });
        let (queue, start) = fed(rtts);
        assert!(!queue.was_full(start + MS * 140));
    }

    #[test]
    fn one_late_acknowledgement_does_not_make_a_full_queue_look_empty() {
        // Blocks are five packets long.
        let rtts = (0..300).map(|n| match n {
            0..100 => 40,
            150 => 400,
            _ => 60,
        });
        let (queue, start) = fed(rtts);
        assert!(queue.was_full(start + MS * 250));
    }

    #[test]
    fn jitter_is_no_queue() {
        let (queue, start) = fed((0..200).map(|n| 40 + n * 7 % 10));
        let full = (20..200).filter(|n| queue.was_full(start + MS * *n));
        assert_eq!(full.count(), 0);
    }

    #[test]
    fn turns_of_a_radio_are_no_queue() {
        // What comes in six milliseconds waits for the end of them, a little longer or shorter each time.
        let rtt = |n: u32| 40 + 6 - n % 6 + n / 6 * 5 % 4;
        let (queue, start) = fed((0..400).map(rtt));
        let full = (20..400).filter(|n| queue.was_full(start + MS * *n));
        assert_eq!(full.count(), 0);
    }

    #[test]
    fn a_queue_beside_the_turns_of_a_radio_is_full_where_it_is_longest() {
        let rtt = |n: u32| 40 + 6 - n % 6 + n / 6 * 5 % 4;
        let (queue, start) = fed((0..400).map(|n| rtt(n) + if n < 200 { 0 } else { 30 }));
        assert!(queue.was_full(start + MS * 300));
        assert!(!queue.was_full(start + MS * 100));
    }

    #[test]
    fn a_burst_that_fills_the_queue_until_its_loss_is_known_fills_it() {
        // Its packets wait longer and longer for half a round trip, and as long as that for another.
        let (queue, start) = fed((0..140).map(|n| match n {
            0..60 => 40,
            60..80 => 40 + (n - 60),
            _ => 60,
        }));
        assert!(queue.was_full(start + MS * 82));
    }

    #[test]
    fn on_a_calm_line_half_a_millisecond_is_a_queue() {
        let us = Duration::from_micros;
        let (mut queue, start) = (Queue::default(), Instant::now());
        for n in 0..200 {
            let sent = start + MS * n;
            let rtt = if n < 100 { 40_000 } else { 40_500 };
            queue.on_sample(sent + us(rtt), sent);
        }
        assert!(!queue.was_full(start + MS * 50));
        assert!(queue.was_full(start + MS * 150));
    }

    #[test]
    fn extremes_are_forgotten() {
        let (mut queue, start) = fed([40; 100]);
        for n in 0..3_000 {
            let sent = start + MS * 100 + MS * 10 * n;
            queue.on_sample(sent + 60 * MS, sent);
        }
        assert_eq!(queue.least(), Some(60 * MS));
        assert!(queue.blocks.len() <= MAX_BLOCKS);
    }
}
