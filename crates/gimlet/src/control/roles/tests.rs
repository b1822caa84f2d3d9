//! Which servers are signed in to, and which is asked first.

use super::*;

#[test]
fn a_lone_server_is_wanted_at_once_and_for_good() {
    let mut t = Bench::new(1);
    assert_eq!(t.wanted(), [0]);
    t.online(0, 40);
    t.advance(100_000);
    assert_eq!((t.primary(), t.wanted()), (Some(0), vec![0]));
    t.offline(0);
    assert_eq!((t.primary(), t.wanted()), (None, vec![0]));
}

#[test]
fn the_lists_first_is_tried_while_the_others_are_measured() {
    let mut t = Bench::new(3);
    assert_eq!(t.wanted(), [0]);
    t.measured(2, 15);
    assert_eq!(t.wanted(), [0, 2]);
    t.measured(1, 30);
    assert_eq!(t.wanted(), [0, 2], "what has begun goes on");
    t.online(2, 15);
    assert_eq!(t.primary(), Some(2));
}

#[test]
fn the_nearest_wins_even_when_a_farther_one_was_quicker() {
    let mut t = Bench::new(2);
    t.measured(1, 100);
    t.online(0, 140);
    assert_eq!(t.primary(), Some(0));
    t.advance(20);
    t.online(1, 100);
    assert_eq!(t.primary(), Some(1));
}

#[test]
fn the_lists_order_breaks_ties_within_ten_milliseconds() {
    for (first, second, primary) in [(30, 21, 0), (31, 20, 1), (20, 20, 0)] {
        let mut t = Bench::new(2);
        t.measured(1, second);
        t.measured(0, first);
        t.online(1, second);
        t.online(0, first);
        assert_eq!(t.primary(), Some(primary), "{first} {second}");
    }
}

#[test]
fn a_second_one_is_kept_warm_from_a_second_after_the_first() {
    let mut t = Bench::new(3);
    t.online(0, 20);
    t.measured(1, 80);
    t.measured(2, 50);
    t.advance(999);
    assert_eq!(t.wanted(), [0]);
    t.advance(1);
    assert_eq!(t.wanted(), [0, 2]);
    assert_eq!(t.sut.role(ServerId(0)), ServerRole::Primary);
    assert_eq!(t.sut.role(ServerId(1)), ServerRole::Idle);
    assert_eq!(t.sut.role(ServerId(2)), ServerRole::Warm);
}

#[test]
fn a_first_server_that_is_silent_has_company_after_its_head_start() {
    let mut t = Bench::new(3);
    t.advance(499);
    assert_eq!(t.wanted(), [0]);
    t.advance(1);
    assert_eq!(t.wanted(), [0, 1]);
    t.offline(0);
    assert_eq!(t.wanted(), [1, 2]);
}

#[test]
fn the_warm_one_takes_over_at_once_and_a_third_becomes_warm() {
    let mut t = Bench::settled(&[20, 50, 80]);
    t.offline(0);
    assert_eq!((t.primary(), t.wanted()), (Some(1), vec![1, 2]));
}

#[test]
fn of_two_servers_the_lost_one_is_tried_on() {
    let mut t = Bench::settled(&[20, 50]);
    t.offline(0);
    t.advance(100_000);
    assert_eq!((t.primary(), t.wanted()), (Some(1), vec![0, 1]));
}

#[test]
fn a_nearer_one_that_returns_is_primary_again_once_it_is_stable() {
    let mut t = Bench::settled(&[20, 80, 100]);
    t.offline(0);
    t.online(2, 100);
    assert_eq!(t.wanted(), [1, 2]);
    t.measured(0, 20);
    assert_eq!(t.wanted(), [0, 1], "it answers measurements");
    t.online(0, 20);
    t.advance(9_999);
    assert_eq!(t.primary(), Some(1));
    t.advance(1);
    assert_eq!((t.primary(), t.wanted()), (Some(0), vec![0, 1]));
}

#[test]
fn a_working_primary_is_not_left_for_little() {
    for (better, leaves) in [(81, false), (79, false), (70, true)] {
        let mut t = Bench::settled(&[100, 120]);
        for _ in 0..SAMPLES {
            t.measured(1, better);
        }
        t.advance(60_000);
        assert_eq!(t.primary(), Some(u8::from(leaves)), "{better}");
    }
}

#[test]
fn a_busy_moment_does_not_count() {
    let mut t = Bench::settled(&[20, 60]);
    t.measured(0, 300);
    t.advance(60_000);
    assert_eq!(t.primary(), Some(0));
}

#[test]
fn a_server_that_goes_down_is_left_before_it_does() {
    let mut t = Bench::settled(&[20, 50, 80]);
    t.sut.handle_draining(ServerId(0), t.now);
    assert_eq!((t.primary(), t.wanted()), (Some(1), vec![1, 2]));
    t.measured(0, 20);
    assert_eq!(t.primary(), Some(1), "an answer does not change its mind");
}

#[test]
fn the_only_server_is_kept_while_it_goes_down() {
    let mut t = Bench::settled(&[20]);
    t.sut.handle_draining(ServerId(0), t.now);
    assert_eq!(t.primary(), Some(0));
}

#[test]
fn one_on_demand_stays_a_minute_after_the_last_need() {
    let mut t = Bench::settled(&[20, 50, 80, 90]);
    t.sut.handle_needed(ServerId(3), t.now);
    assert_eq!(t.wanted(), [0, 1, 3]);
    t.online(3, 90);
    assert_eq!(t.sut.role(ServerId(3)), ServerRole::OnDemand);
    t.advance(30_000);
    t.sut.handle_needed(ServerId(3), t.now);
    t.advance(59_999);
    assert_eq!(t.wanted(), [0, 1, 3]);
    t.advance(1);
    assert_eq!(t.wanted(), [0, 1]);
}

#[test]
fn one_that_refuses_us_gives_its_seat_to_another() {
    let mut t = Bench::new(3);
    t.measured(0, 10);
    t.sut.handle_offline(ServerId(0), true, t.now);
    t.measured(0, 10);
    assert_eq!(t.wanted(), [1, 2]);
}

#[test]
fn whatever_happens_two_are_wanted_at_most_and_the_primary_is_online() {
    for seed in 0..200_u64 {
        let mut t = Bench::new(4);
        let mut state = seed;
        for _ in 0..200 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let (what, id) = ((state >> 33) % 5, (state >> 40) as u8 % 4);
            match what {
                0 => t.online(id, state >> 56),
                1 => t.offline(id),
                2 => t.measured(id, state >> 56),
                3 => t.sut.handle_draining(ServerId(id), t.now),
                _ => t.advance((state >> 50) % 4_000),
            }
            assert!(t.wanted().len() <= SEATS, "seed {seed}");
            let any = (0..4).any(|id| t.sut.is_online(ServerId(id)));
            assert_eq!(t.primary().is_some(), any, "seed {seed}");
            if let Some(primary) = t.primary() {
                assert!(t.sut.is_online(ServerId(primary)), "seed {seed}");
                assert!(t.wanted().contains(&primary), "seed {seed}");
            }
            assert_eq!(t.sut.ranking().len(), 4, "seed {seed}");
        }
    }
}

/// A virtual clock around one machine.
struct Bench {
    sut: Roles,
    now: Instant,
}

impl Bench {
    fn new(servers: usize) -> Self {
        let now = Instant::now();
        let sut = Roles::new(servers, now);
        Self { sut, now }
    }

    /// Signed in to the first two of servers at these round trips, a while ago.
    fn settled(rtts: &[u64]) -> Self {
        let mut t = Self::new(rtts.len());
        for (id, &rtt) in rtts.iter().enumerate() {
            t.measured(id as u8, rtt);
            if id < SEATS {
                t.online(id as u8, rtt);
            }
        }
        t.advance(60_000);
        t
    }

    fn online(&mut self, id: u8, rtt_ms: u64) {
        let rtt = Duration::from_millis(rtt_ms);
        self.sut.handle_online(ServerId(id), rtt, self.now);
    }

    fn offline(&mut self, id: u8) {
        self.sut.handle_offline(ServerId(id), false, self.now);
    }

    fn measured(&mut self, id: u8, rtt_ms: u64) {
        let rtt = Some(Duration::from_millis(rtt_ms));
        self.sut.handle_measured(ServerId(id), rtt, self.now);
    }

    /// Lets so many milliseconds pass, timer by timer.
    fn advance(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.sut.poll_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.sut.handle_timeout(at);
        }
        self.now = until;
    }

    fn wanted(&self) -> Vec<u8> {
        self.sut.wanted().iter().map(|id| id.0).collect()
    }

    fn primary(&self) -> Option<u8> {
        self.sut.primary().map(|id| id.0)
    }
}
