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
    /// Most that a packet is late besides, ms; it holds up what follows.
    jitter: u64,
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
            jitter: 0,
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
        // A sequence without order will do for chance.
        let late = (self.sent * 7_919 % 1_009 * self.jitter / 1_009) as u32;
        let before = self.under_way.iter().rev().find_map(|(_, at)| *at);
        let acked_at = (free_at + MS + self.rtt + MS * late).max(before.unwrap_or(self.now));
        let acked_at = (fits && arrives).then_some(acked_at);
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
fn a_queue_of_another_s_that_hardly_stands_is_not_taken_for_ours() {
    // It stands at 30 ms with 200 ms of the path; an eighth or so of our window waits there.
    let window = 115 * MTU;
    let cubic = Cubic::from_slow_start(window);
    let drain = Drain::begin(&standing(200, 30), cubic, window, MTU);
    let drain = drain.expect("a queue stands");
    // What is taken away hardly reaches into the other's part of the queue: 15 packets are ours.
    let taken = window - drain.hold();
    assert!((15 * MTU..=18 * MTU).contains(&taken), "{}", taken / MTU);
}

/// A queue that stands so long on a path with that round trip.
fn standing(rtt_ms: u32, ms: u32) -> Queue {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for n in 0..1_000 {
        let rtt = if n < 200 { rtt_ms } else { rtt_ms + ms };
        queue.on_sample(start + MS * (n + rtt), start + MS * n);
    }
    queue
}

#[test]
fn slow_start_goes_on_where_the_queue_that_ended_it_is_another_s() {
    let mut t = Bench::new(100, 10_000, 0);
    // It begins while another's queue grows, whatever we do.
    let mut ended = false;
    for ms in 0..6_000 {
        if ms % 8 == 0 && ms < 3_000 {
            t.rtt += MS;
        }
        t.step();
        ended |= !matches!(t.controller.phase, Phase::SlowStart);
        if ended && matches!(t.controller.phase, Phase::SlowStart) {
            assert!(t.controller.is_contested(t.now));
            return;
        }
    }
    panic!("{:?}", t.controller.phase);
}

#[test]
fn losses_of_a_line_with_jitter_leave_the_window_alone() {
    let mut t = Bench::new(100, 200, 200);
    t.jitter = 12;
    t.run(10);
    let arrived = t.run(30);
    assert!(arrived > 30_000 * 8 / 10, "{arrived}");
}

#[test]
fn a_queue_that_overflows_cuts_the_window_on_a_lossy_line_as_well() {
    let mut t = Bench::new(100, 15, 100);
    let arrived = t.run(30);
    assert!(t.cuts > 0);
    assert!(arrived > 30_000 * 8 / 10, "{arrived}");
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
    t.controller.lost(t.now, sent, false, 3 * MTU);
    let window = t.controller.window;
    assert_eq!(window, INITIAL_WINDOW * 7 / 10);
    t.controller.lost(t.now + MS, sent, false, 5 * MTU);
    assert_eq!(t.controller.window, window);
}

#[test]
fn a_single_loss_on_an_unknown_line_leaves_the_window_alone() {
    let mut t = Bench::new(100, 1_000, 0);
    let sent = t.now;
    t.now += t.rtt;
    t.controller.lost(t.now, sent, false, MTU);
    assert_eq!(t.controller.window, INITIAL_WINDOW);
}

#[test]
fn a_first_flight_that_never_arrived_does_not_end_slow_start() {
    let mut t = Bench::new(100, 1_000, 0);
    let (first, again) = (t.now, t.now + 3 * MS);
    t.now = again + t.rtt;
    t.controller.acked(t.now, again, MTU, false, t.rtt);
    t.controller.end_acks(t.now);
    t.controller.lost(t.now, first, false, 2 * MTU);
    assert!(t.controller.window > INITIAL_WINDOW);
    assert!(matches!(t.controller.phase, Phase::SlowStart));
}

#[test]
fn congestion_that_persists_begins_anew() {
    let mut t = Bench::new(100, 1_000, 0);
    t.run(2);
    t.controller.lost(t.now, t.now - t.rtt, true, MTU);
    assert_eq!(t.controller.window, 2 * MTU);
    assert!(matches!(t.controller.phase, Phase::SlowStart));
}
