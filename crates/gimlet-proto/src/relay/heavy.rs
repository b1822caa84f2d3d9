//! Who sends so much more than the others that its packets should wait in a queue of their own.
//!
//! A system's receive buffer is one queue for all senders, and drops from its tail, whoever's that is. So
//! who fills it takes from everybody, before this process sees a packet and while it waits for a processor.
//! The cure is a queue (a socket) for that sender alone, which it may fill as it likes. To be given one is no punishment:
//! nothing is dropped for it, and [`Turns`](super::turns::Turns) see to it that the queue gets its part. So it is
//! decided quickly and roughly, by what went through in a short window.
//!
//! A window counts only if the shard was *behind* in it: one that takes everything as it comes has no queue
//! to speak of.

use std::time::{Duration, Instant};

use super::runs::cost;

/// A window ends after so much: a millisecond of a busy shard, and some 40 full batches, in which chance
/// makes nobody twice as great as the others.
const WINDOW: u64 = 2 << 20;

/// Or after this long: what a sender did before that says little of now.
const SPAN: Duration = Duration::from_millis(20);

/// Who used less of a window is not heavy: where hundreds send alike, chance alone makes somebody twice as great as the
/// mean, and a queue for each of those would cost the shard its batches.
const LEAST: u64 = WINDOW / 16;

/// Taken since the queue was last empty, this much says that the shard is behind: an eighth of the
/// buffer that Linux gives by default to who asks for more.
const BEHIND: u64 = 512 * 1024;

/// For so long after the shard was behind, what is left over is not given to those with a queue of their own: a
/// process that waits for processors is behind again at its next turn, some milliseconds later.
const HOLD: Duration = Duration::from_millis(50);

/// Finds them, for one shard.
#[derive(Debug)]
pub(super) struct Heavy {
    /// Counted from 1, so that 0 is none.
    window: u64,
    began: Instant,
    cost: u64,
    active: u64,
    /// Of the squares of what each used.
    squares: u64,
    /// More than this in the last window is too much; `None` if the shard kept up.
    bar: Option<u64>,
    /// Senders of the last window, and how many they are if those that send little count little.
    seen: u64,
    senders: u64,
    is_behind: bool,
    held_until: Option<Instant>,
    since_dry: u64,
    was_dry: bool,
}

/// What one sender did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// The last window it was active in.
    window: u64,
    cost: u64,
    /// Whether it has a queue of its own. What is still in the shared one is the shard's backlog no more.
    pub(super) is_apart: bool,
}

impl Heavy {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window: 1,
            began: now,
            cost: 0,
            active: 0,
            squares: 0,
            bar: None,
            seen: 1,
            senders: 1,
            is_behind: false,
            held_until: None,
            since_dry: 0,
            was_dry: true,
        }
    }

    /// Notes a receive call on the queue of all, and whether it emptied it.
    pub(super) fn received(&mut self, dry: bool, now: Instant) {
        if self.since_dry >= BEHIND {
            self.is_behind = true;
            self.held_until = Some(now + HOLD);
        }
        if std::mem::replace(&mut self.was_dry, dry) {
            self.since_dry = 0;
        }
        let elapsed = now.saturating_duration_since(self.began);
        if self.cost >= WINDOW || elapsed >= SPAN {
            self.end_window(now);
        }
    }

    /// Notes that the system has dropped something.
    pub(super) fn overflowed(&mut self) {
        self.is_behind = true;
    }

    /// A sender got a queue of its own. What it did is no measure of the others.
    pub(super) fn parted(&mut self) {
        self.senders = self.seen;
        self.window += 1;
        (self.cost, self.active, self.squares) = (0, 0, 0);
    }

    /// Until when what is left over is nobody's, if the shard was behind lately.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Counts a run. If its sender should have a queue of its own: what it used in the last window.
    pub(super) fn note(&mut self, sender: &mut Use, datagrams: u64, bytes: u64) -> Option<u64> {
        if sender.is_apart {
            return None;
        }
        let cost = cost(datagrams, bytes);
        self.cost += cost;
        self.since_dry += cost;
        self.squares += cost * cost;
        if sender.window == self.window {
            self.squares += 2 * cost * sender.cost;
            sender.cost += cost;
            return None;
        }
        let last = std::mem::replace(
            sender,
            Use {
                window: self.window,
                cost,
                is_apart: false,
            },
        );
        self.active += 1;
        let is_heavy = last.window + 1 == self.window
            && self.bar.is_some_and(|bar| last.cost > bar.max(LEAST));
        is_heavy.then_some(last.cost)
    }

    /// How many send into the queue of all, those that send little counting little: a part of as
    /// many is what one of the greater ones has.
    pub(super) fn senders(&self) -> u64 {
        self.senders
    }

    fn end_window(&mut self, now: Instant) {
        // Twice the mean of many; of two, twice what the other sends; never what one alone does.
        self.bar = (self.is_behind).then_some(self.cost * 2 / (self.active + 1));
        let senders = u128::from(self.cost).pow(2) / u128::from(self.squares.max(1));
        self.seen = self.active.max(1);
        self.senders = u64::try_from(senders).unwrap_or(1).max(1);
        self.window += 1;
        self.began = now;
        (self.cost, self.active, self.is_behind) = (0, 0, false);
        self.squares = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Plays rounds of a millisecond, in each of which these senders send batches of 50 kB; who was found.
    fn found(batches: &[u64], is_dry: bool, rounds: u32) -> Vec<usize> {
        let start = Instant::now();
        let mut heavy = Heavy::new(start);
        let mut uses = vec![Use::default(); batches.len()];
        let mut found = Vec::new();
        for round in 0..rounds {
            for turn in 0..batches.iter().copied().max().unwrap_or(0) {
                let sending = (0..batches.len()).filter(|who| turn < batches[*who]);
                for who in sending {
                    heavy.received(is_dry, start + MS * round);
                    if heavy.note(&mut uses[who], 44, 50_000).is_some() {
                        found.push(who);
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_flooder_is_found_within_two_windows_and_nobody_else_is() {
        let mut batches = vec![1; 20];
        batches[3] = 20;
        assert_eq!(found(&batches, false, 3), [3]);
        assert_eq!(found(&batches, false, 100), [3]);
    }

    #[test]
    fn nobody_is_where_all_send_alike_or_one_is_alone() {
        assert!(found(&[2; 20], false, 100).is_empty());
        assert!(found(&[3; 200], false, 30).is_empty());
        assert!(found(&[40], false, 100).is_empty());
        // Among so many, some come twice in a window.
        let mut many = [1; 500];
        many[40..80].fill(2);
        assert!(found(&many, false, 30).is_empty());
        assert!(found(&[40, 30], false, 100).is_empty(), "not even twice");
        assert_eq!(found(&[60, 15], false, 100), [0]);
    }

    #[test]
    fn nobody_is_while_the_shard_keeps_up() {
        assert!(found(&[20, 1, 1, 1], true, 100).is_empty());
    }

    #[test]
    fn who_sends_little_counts_little() {
        let start = Instant::now();
        let mut heavy = Heavy::new(start);
        let mut uses = [Use::default(); 23];
        for round in 0..200 {
            heavy.received(false, start + MS * round);
            for (who, sender) in uses.iter_mut().enumerate() {
                heavy.note(sender, 1, if who < 3 { 60_000 } else { 10 });
            }
        }
        assert_eq!(heavy.senders(), 3);
    }

    #[test]
    fn what_was_sent_long_ago_does_not_count() {
        let start = Instant::now();
        let mut heavy = Heavy::new(start);
        let (mut loud, mut quiet) = (Use::default(), Use::default());
        for _ in 0..60 {
            heavy.received(false, start);
            heavy.note(&mut loud, 44, 50_000);
            heavy.note(&mut quiet, 1, 100);
        }
        heavy.received(true, start + 2 * SPAN);
        heavy.received(true, start + 4 * SPAN);
        assert_eq!(heavy.note(&mut loud, 44, 50_000), None);
    }
}
