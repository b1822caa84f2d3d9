//! Binding, refreshing and losing a relay.

use super::*;

const SESSION: SessionId = SessionId([1; 8]);

#[test]
fn it_binds_at_once_and_again_until_answered_then_refreshes() {
    let mut t = Bench::new();
    assert_eq!(t.next(), (0, 1));
    assert_eq!(t.next(), (100, 2));
    t.leg.handle_bound(SESSION, 2, t.now);
    assert!(t.leg.is_up());
    assert_eq!(t.next(), (15_100, 3));
}

#[test]
fn an_answer_to_an_old_bind_does_not_count() {
    let mut t = Bench::new();
    t.next();
    t.next();
    t.leg.rebind(t.now);
    t.next();
    t.leg.handle_bound(SESSION, 2, t.now);
    t.leg.handle_bound(SESSION, 4, t.now);
    t.leg.handle_bound(SessionId([2; 8]), 3, t.now);
    assert!(!t.leg.is_up());
}

#[test]
fn a_far_server_may_answer_after_the_next_bind_was_sent() {
    let mut t = Bench::new();
    t.next();
    t.next();
    t.next();
    t.leg.handle_bound(SESSION, 1, t.now);
    assert!(t.leg.is_up());
    t.leg.verify(t.now);
    t.next();
    t.leg.handle_bound(SESSION, 3, t.now);
    assert_eq!(t.next(), (550, 5), "an answer of before says nothing");
}

#[test]
fn a_silent_server_is_noticed_within_a_few_refreshes_and_asked_on_and_on() {
    let mut t = Bench::new();
    t.next();
    t.leg.handle_bound(SESSION, 1, t.now);
    while t.leg.is_up() {
        t.next();
    }
    assert!(t.elapsed() < 25_000, "{}", t.elapsed());
    let (before, _) = t.next();
    for _ in 0..10 {
        t.next();
    }
    assert!(t.elapsed() - before <= 20_000);
}

#[test]
fn verifying_binds_at_once_and_keeps_the_relay_up_meanwhile() {
    let mut t = Bench::new();
    t.next();
    t.leg.handle_bound(SESSION, 1, t.now);
    t.leg.verify(t.now);
    assert_eq!(t.next(), (0, 2));
    assert!(t.leg.is_up());
    t.leg.verify(t.now);
    assert_eq!(t.next(), (250, 3), "what is under way is not repeated");
    t.leg.handle_bound(SESSION, 3, t.now);
    assert_eq!(t.next(), (15_250, 4));
}

#[test]
fn a_forged_unknown_only_makes_it_bind_again() {
    let mut t = Bench::new();
    t.next();
    t.leg.handle_bound(SESSION, 1, t.now);
    t.leg.handle_unknown(SESSION, t.now);
    assert!(!t.leg.is_gone());
    let (_, counter) = t.next();
    t.leg.handle_bound(SESSION, counter, t.now);
    assert!(t.leg.is_up());
}

#[test]
fn a_server_that_keeps_saying_unknown_is_believed() {
    let mut t = Bench::new();
    t.next();
    t.leg.handle_bound(SESSION, 1, t.now);
    assert_eq!(t.unknown_until_gone(), MISSES);
    assert_eq!(t.leg.poll_timeout(), None);
}

#[test]
fn a_server_that_has_not_heard_of_the_session_yet_has_seconds() {
    let mut t = Bench::new();
    assert_eq!(t.unknown_until_gone(), UNHEARD + 1);
    assert!((8_000..10_000).contains(&t.elapsed()), "{}", t.elapsed());
}

#[test]
fn a_session_that_its_server_knows_after_all_is_not_gone_unless_it_was_ended() {
    for ended in [false, true] {
        let mut t = Bench::new();
        let binds = t.unknown_until_gone();
        if ended {
            t.leg.handle_gone();
        }
        t.leg.handle_bound(SESSION, binds.into(), t.now);
        assert_eq!(t.leg.is_up(), !ended);
    }
}

struct Bench {
    leg: Leg,
    start: Instant,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            leg: Leg::new(SESSION, RelaySecret([7; 32]), Duration::from_secs(15), now),
            start: now,
            now,
        }
    }

    /// Runs to the next bind: when it leaves, in milliseconds, and its counter.
    fn next(&mut self) -> (u128, u64) {
        loop {
            self.now = self.leg.poll_timeout().expect("a timer is armed");
            if let Some(bind) = self.leg.handle_timeout(self.now) {
                let payload = &bind[frame::HEADER_LEN..];
                let counter = frame::verify_bind(SESSION, payload, &RelaySecret([7; 32]));
                return (self.elapsed(), counter.expect("a valid bind"));
            }
        }
    }

    /// Lets the server say, after each bind, that it knows nothing; how many it takes.
    fn unknown_until_gone(&mut self) -> u32 {
        let mut binds = 0;
        self.leg.handle_unknown(SESSION, self.now);
        while !self.leg.is_gone() {
            self.next();
            binds += 1;
            self.leg.handle_unknown(SESSION, self.now);
        }
        binds
    }

    fn elapsed(&self) -> u128 {
        (self.now - self.start).as_millis()
    }
}
