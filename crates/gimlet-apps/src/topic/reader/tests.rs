//! Readers of one log: where they begin, how far they get, and what they are told of what is gone.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::records::HEADER;
use crate::topic::keep::Limits;
use crate::topic::wire::Position;

/// A log and the time, and what one subscriber made of its records.
struct Bench {
    keep: Keep,
    now: Instant,
    epoch: u64,
}

impl Bench {
    fn new(keep_bytes: usize) -> Self {
        let limits = Limits {
            keep_bytes,
            ..Limits::default()
        };
        Self {
            keep: Keep::new(limits, 1),
            now: Instant::now(),
            epoch: 0,
        }
    }

    fn publish(&mut self, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let kept = (self.keep.stage(&topic(), payload, SystemTime::UNIX_EPOCH)).unwrap();
        self.epoch = kept.epoch;
        self.keep.add(kept);
        self.keep.handle_timeout(SystemTime::UNIX_EPOCH);
    }

    fn next(&self, reader: &mut Reader) -> Option<ToSubscriber> {
        let record = reader.next(&self.keep, self.now)?;
        let body = record.slice(HEADER..);
        Some(ToSubscriber::decode(record[0], body).unwrap().unwrap())
    }

    fn all(&self, reader: &mut Reader) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(said) = self.next(reader) {
            told.push(match said {
                ToSubscriber::Line { next, .. } => format!("from {next}"),
                ToSubscriber::Message { seq, payload, .. } => {
                    format!("{seq} {}", String::from_utf8_lossy(&payload))
                }
                ToSubscriber::Missed { count } => format!("missed {count}"),
                ToSubscriber::Pong => unreachable!(),
            });
        }
        told
    }
}

fn topic() -> Topic {
    Topic::default()
}

fn reader(start: Start) -> Reader {
    Reader::new(topic(), start)
}

#[test]
fn each_start_begins_where_it_says() {
    let mut t = Bench::new(1 << 20);
    for payload in ["a", "b", "c"] {
        t.publish(payload.as_bytes());
    }
    let after = |seq| {
        Start::After(Position {
            epoch: t.epoch,
            seq,
        })
    };
    let other = Start::After(Position { epoch: 5, seq: 77 });
    for (start, told) in [
        (Start::Kept, vec!["from 1", "1 a", "2 b", "3 c"]),
        (Start::New, vec!["from 4"]),
        (after(2), vec!["from 3", "3 c"]),
        (after(3), vec!["from 4"]),
        // A publisher that has lost its newest numbers publishes under them anew.
        (after(9), vec!["from 4"]),
        (after(u64::MAX), vec!["from 4"]),
        // One that has lost everything: all of it is new.
        (other, vec!["from 1", "1 a", "2 b", "3 c"]),
    ] {
        assert_eq!(t.all(&mut reader(start)), told, "{start:?}");
    }
}

#[test]
fn who_was_there_before_the_topic_gets_all_of_it() {
    let mut t = Bench::new(1 << 20);
    let mut new = reader(Start::New);
    assert_eq!(
        t.next(&mut new),
        Some(ToSubscriber::Line { epoch: 0, next: 1 })
    );
    assert_eq!(t.next(&mut new), None);
    t.publish(b"a");
    assert_eq!(t.all(&mut new), ["from 1", "1 a"]);
    // And who went away again meanwhile.
    let mut again = reader(Start::After(Position { epoch: 0, seq: 0 }));
    assert_eq!(t.all(&mut again), ["from 1", "1 a"]);
}

#[test]
fn what_is_gone_is_counted() {
    let mut t = Bench::new(400);
    let mut kept = reader(Start::Kept);
    assert_eq!(t.all(&mut kept), ["from 1"]);
    for _ in 0..10 {
        t.publish(b"x");
    }
    assert_eq!(t.all(&mut kept), ["from 1", "missed 8", "9 x", "10 x"]);
    // Who begins now has missed nothing.
    assert_eq!(t.all(&mut reader(Start::Kept)), ["from 9", "9 x", "10 x"]);
}

#[test]
fn a_slow_subscriber_holds_a_window_and_skips_what_is_gone() {
    let mut t = Bench::new(10 << 20);
    let mut slow = reader(Start::Kept);
    let payload = vec![1; 1 << 20];
    for _ in 0..20 {
        t.publish(&payload);
    }
    // 11 are gone: nine and their records fit.
    assert_eq!(t.all(&mut slow).len(), 1 + 3);
    assert_eq!(t.next(&mut slow), None, "no room");
    for _ in 0..20 {
        t.publish(&payload);
    }
    assert_eq!(t.next(&mut slow), None, "still no room");
    slow.handle_taken(12, t.now).unwrap();
    let missed = t.next(&mut slow);
    assert!(matches!(missed, Some(ToSubscriber::Missed { count }) if count > 10));
}

#[test]
fn the_largest_message_goes_alone() {
    let mut t = Bench::new(100 << 20);
    for _ in 0..2 {
        t.publish(&vec![0; crate::topic::MAX_MESSAGE]);
    }
    assert!(t.all(&mut reader(Start::Kept)).len() >= 2);
}

#[test]
fn who_says_to_have_what_was_not_sent_is_refused() {
    let mut t = Bench::new(1 << 20);
    let mut liar = reader(Start::Kept);
    assert!(liar.handle_taken(0, t.now).is_err());
    t.publish(b"a");
    t.all(&mut liar);
    assert!(liar.handle_taken(2, t.now).is_err());
    assert!(liar.handle_taken(1, t.now).is_ok());
    assert!(liar.handle_taken(1, t.now).is_ok(), "twice is harmless");
    assert!(liar.is_up_to_date(&t.keep));
}

#[test]
fn who_takes_nothing_for_long_is_stalled() {
    let mut t = Bench::new(1 << 20);
    let mut slow = reader(Start::Kept);
    t.publish(b"a");
    t.publish(b"b");
    t.all(&mut slow);
    t.now += STALLED - Duration::from_secs(1);
    assert!(!slow.is_stalled(t.now));
    slow.handle_taken(1, t.now).unwrap();
    t.now += STALLED - Duration::from_secs(1);
    assert!(!slow.is_stalled(t.now), "one of two was taken");
    t.now += Duration::from_secs(1);
    assert!(slow.is_stalled(t.now));
    slow.handle_taken(2, t.now).unwrap();
    t.now += STALLED * 2;
    assert!(!slow.is_stalled(t.now), "there is nothing to take");
}

#[derive(Debug, Clone)]
enum Step {
    Publish,
    /// The subscriber gets so many records, and says what it has.
    Read(u8),
    /// The connection breaks with these records sent but not arrived.
    Break(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Publish),
        2 => (0..6u8).prop_map(Step::Read),
        1 => (0..6u8).prop_map(Step::Break),
    ]
}

proptest! {
    /// Whatever breaks when: every message comes once and in order, or is counted as missed.
    #[test]
    fn a_subscriber_gets_everything_once_or_is_told(steps in prop::collection::vec(step(), 0..150)) {
        // Room for five messages.
        let mut t = Bench::new(5 * 160);
        let mut sut = reader(Start::Kept);
        let mut at: Option<Position> = None;
        let (mut published, mut got, mut missed) = (0u64, 0u64, 0u64);
        for step in steps.into_iter().chain([Step::Read(255)]) {
            let (count, arrives) = match step {
                Step::Publish => {
                    published += 1;
                    t.publish(&published.to_be_bytes());
                    continue;
                }
                Step::Read(count) => (count, true),
                Step::Break(count) => (count, false),
            };
            for _ in 0..count {
                let Some(said) = t.next(&mut sut) else { break };
                if !arrives {
                    continue;
                }
                match (said, &mut at) {
                    (ToSubscriber::Line { epoch, next }, at) => {
                        let here = at.filter(|at| at.epoch == epoch);
                        prop_assert!(here.is_none_or(|here| here.seq + 1 == next));
                        *at = Some(Position { epoch, seq: next - 1 });
                    }
                    (ToSubscriber::Message { seq, payload, .. }, Some(at)) => {
                        prop_assert_eq!(seq, at.seq + 1);
                        prop_assert_eq!(&payload[..], &seq.to_be_bytes()[..]);
                        at.seq = seq;
                        got += 1;
                        sut.handle_taken(seq, t.now).unwrap();
                    }
                    (ToSubscriber::Missed { count }, Some(at)) => {
                        at.seq += count;
                        missed += count;
                    }
                    (said, at) => prop_assert!(false, "{said:?} {at:?}"),
                }
            }
            if !arrives {
                let start = at.map_or(Start::Kept, Start::After);
                sut = reader(start);
            }
        }
        if at.is_some_and(|at| at.epoch != 0) {
            // Before its first place it may have begun with what was kept then.
            prop_assert!(got + missed <= published);
            prop_assert_eq!(at.map(|at| at.seq), Some(published));
            prop_assert!(sut.is_up_to_date(&t.keep));
        }
    }
}
