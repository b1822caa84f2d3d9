//! One sender on a model of a line: a queue of so many packets before a link of one packet a
//! millisecond. What others put into the queue is a number, too.

use std::collections::VecDeque;

use super::*;

const MTU: u64 = 1_400;
const MS: Duration = Duration::from_millis(1);

struct Bench {
    controller: Discerning,
    now: Instant,
    /// Packets under way: when sent, when acknowledged; `None` is lost.
    under_way: VecDeque<(Instant, Option<Instant>)>,
    /// When the link is free again.
    free_at: Instant,
    rtt: Duration,
    /// Packets that the queue holds.
    queue: u32,
    /// Every so manieth packet is lost on the way; 0 for none.
    lossy: u64,
    sent: u64,
    cuts: u32,
}

impl Bench {
    fn new(rtt_ms: u32, queue: u32, lossy: u64) -> Self {
        let now = Instant::now();
        Self {
            controller: Discerning::new(MTU as u16),
            now,
            under_way: VecDeque::new(),
            free_at: now,
            rtt: MS * rtt_ms,
            queue,
            lossy,
            sent: 0,
            cuts: 0,
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        let free_at = self.free_at.max(self.now);
        let fits = free_at - self.now <= MS * self.queue;
        let arrives = self.lossy == 0 || !self.sent.is_multiple_of(self.lossy);
        if fits {
            self.free_at = free_at + MS;
        }
        let acked_at = (fits && arrives).then_some(free_at + MS + self.rtt);
        self.under_way.push_back((self.now, acked_at));
    }

    /// A millisecond passes; the packets that arrived in it.
    fn step(&mut self) -> u64 {
        self.now += MS;
        let mut acked = 0;
        // First in, first out: a packet whose successor has arrived is lost.
        while let Some(newest) =
            (self.under_way.iter()).position(|(_, at)| at.is_some_and(|at| at <= self.now))
        {
            for (sent, at) in self.under_way.drain(..=newest).collect::<Vec<_>>() {
                match at {
                    Some(_) => {
                        let rtt = self.now - sent;
                        self.controller.acked(self.now, sent, MTU, false, rtt);
                        acked += 1;
                    }
                    None => {
                        self.controller.lost(self.now, sent, false, MTU);
                        self.cuts += u32::from(self.controller.cut_at == Some(self.now));
                    }
                }
            }
            self.controller.end_acks(self.now);
        }
        while (self.under_way.len() as u64 + 1) * MTU <= self.controller.window {
            self.send();
        }
        acked
    }

    /// Packets that arrived in so many seconds.
    fn run(&mut self, seconds: u32) -> u64 {
        (0..seconds * 1_000).map(|_| self.step()).sum()
    }

    fn queue_now(&self) -> Duration {
        self.free_at.saturating_duration_since(self.now)
    }
}

#[test]
fn losses_of_the_line_leave_the_window_alone() {
    let mut t = Bench::new(100, 200, 200);
    t.run(5);
    let arrived = t.run(30);
    assert!(arrived > 30_000 * 85 / 100, "{arrived}");
}

#[test]
fn a_queue_that_overflows_cuts_the_window() {
    // Shorter than what is drained, longer than noise.
    let mut t = Bench::new(100, 15, 0);
    let arrived = t.run(30);
    assert!(t.cuts > 0);
    assert!(arrived > 30_000 * 8 / 10, "{arrived}");
}

#[test]
fn a_deep_queue_of_our_own_is_drained() {
    let mut t = Bench::new(100, 1_000, 0);
    t.run(10);
    let mut longest = Duration::ZERO;
    let mut arrived = 0;
    for _ in 0..30_000 {
        arrived += t.step();
        longest = longest.max(t.queue_now());
    }
    assert!(longest < MS * 50, "{longest:?}");
    assert!(arrived > 30_000 * 97 / 100, "{arrived}");
    assert_eq!(t.cuts, 0);
}

#[test]
fn a_queue_of_another_s_is_left_to_losses() {
    let mut t = Bench::new(100, 1_000, 0);
    t.run(5);
    let window = t.controller.window;
    // From now on packets wait for 60 ms more, whatever we do.
    t.rtt += MS * 60;
    t.run(3);
    assert!(t.controller.contested_until.is_some());
    assert!(t.controller.window >= window * 9 / 10);
}

#[test]
fn more_losses_than_a_line_has_cut_the_window_without_a_queue() {
    let mut t = Bench::new(100, 1_000, 8);
    t.run(10);
    assert!(t.cuts > 5);
    assert!(t.controller.window < 60 * MTU);
}

#[test]
fn slow_start_ends_before_a_deep_queue_overflows() {
    let mut t = Bench::new(100, 1_000, 0);
    t.run(5);
    assert!(matches!(
        t.controller.phase,
        Phase::Avoidance(_) | Phase::Draining(_)
    ));
    assert_eq!(t.cuts, 0);
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut t = Bench::new(100, 1_000, 0);
    let window = t.controller.window;
    for _ in 0..100 {
        let sent = t.now;
        t.now += t.rtt;
        t.controller.acked(t.now, sent, MTU, true, t.rtt);
        t.controller.end_acks(t.now);
    }
    assert_eq!(t.controller.window, window);
}

#[test]
fn a_window_is_cut_once_for_what_was_sent_before() {
    let mut t = Bench::new(100, 1_000, 0);
    let sent = t.now;
    t.now += t.rtt;
    t.controller.lost(t.now, sent, false, MTU);
    let window = t.controller.window;
    assert_eq!(window, INITIAL_WINDOW * 7 / 10);
    t.controller.lost(t.now + MS, sent, false, 5 * MTU);
    assert_eq!(t.controller.window, window);
}

#[test]
fn congestion_that_persists_begins_anew() {
    let mut t = Bench::new(100, 1_000, 0);
    t.run(2);
    t.controller.lost(t.now, t.now - t.rtt, true, MTU);
    assert_eq!(t.controller.window, 2 * MTU);
    assert!(matches!(t.controller.phase, Phase::SlowStart));
}
