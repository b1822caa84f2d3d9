//! The log: numbers, what is dropped, and what can never happen.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn keep(keep_bytes: usize) -> Keep {
    let limits = Limits {
        keep: Duration::from_secs(60),
        keep_bytes,
    };
    Keep::new(limits, 1)
}

fn publish(keep: &mut Keep, name: &str, payload: &'static str, now: SystemTime) -> u64 {
    let payload = Bytes::from_static(payload.as_bytes());
    let kept = keep.stage(&topic(name), payload, now).unwrap();
    let seq = kept.seq;
    keep.add(kept);
    keep.handle_timeout(now);
    seq
}

#[track_caller]
fn payload_at(keep: &Keep, name: &str, seq: u64) -> Bytes {
    match keep.find(&topic(name), seq) {
        Some(Found::Message(kept)) => kept.payload(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_topic_counts_for_itself() {
    let mut keep = keep(1 << 20);
    assert_eq!(publish(&mut keep, "a", "one", at(0)), 1);
    assert_eq!(publish(&mut keep, "b", "uno", at(0)), 1);
    assert_eq!(publish(&mut keep, "a", "two", at(0)), 2);
    assert_eq!(payload_at(&keep, "a", 2), "two");
    assert_eq!(payload_at(&keep, "b", 1), "uno");
    assert_eq!(keep.find(&topic("b"), 2), Some(Found::UpToDate));
    assert_eq!(keep.find(&topic("c"), 1), None);
    let (a, b) = (keep.line(&topic("a")), keep.line(&topic("b")));
    assert!(a.unwrap().0 != b.unwrap().0, "epochs differ");
}

#[test]
fn what_is_too_old_is_gone_and_counted() {
    let mut keep = keep(1 << 20);
    publish(&mut keep, "a", "one", at(0));
    publish(&mut keep, "a", "two", at(30));
    assert_eq!(keep.poll_timeout(), Some(at(60)));
    keep.handle_timeout(at(59));
    assert_eq!(payload_at(&keep, "a", 1), "one");
    keep.handle_timeout(at(60));
    assert_eq!(keep.find(&topic("a"), 1), Some(Found::Gone { count: 1 }));
    keep.handle_timeout(at(1000));
    assert_eq!(keep.find(&topic("a"), 1), Some(Found::Gone { count: 2 }));
    assert_eq!(keep.poll_timeout(), None);
    assert_eq!(publish(&mut keep, "a", "three", at(1000)), 3);
}

#[test]
fn the_oldest_goes_first_whatever_its_topic() {
    let room_for_two = 2 * (OVERHEAD + HEADER + MESSAGE_PREFIX + 5);
    let mut keep = keep(room_for_two);
    publish(&mut keep, "a", "one", at(0));
    publish(&mut keep, "b", "two", at(1));
    publish(&mut keep, "b", "three", at(2));
    assert_eq!(keep.find(&topic("a"), 1), Some(Found::Gone { count: 1 }));
    assert_eq!(payload_at(&keep, "b", 1), "two");
}

#[test]
fn a_number_whose_message_was_lost_is_counted_as_missed() {
    let mut keep = keep(1 << 20);
    publish(&mut keep, "a", "one", at(0));
    let lost = keep.stage(&topic("a"), Bytes::from_static(b"lost"), at(0));
    drop(lost.unwrap());
    assert_eq!(keep.find(&topic("a"), 2), Some(Found::UpToDate));
    assert_eq!(publish(&mut keep, "a", "three", at(0)), 3);
    assert_eq!(keep.find(&topic("a"), 2), Some(Found::Gone { count: 1 }));
}

#[test]
fn what_is_too_long_or_too_many_is_refused() {
    let mut keep = keep(1 << 20);
    let long = Bytes::from(vec![0; MAX_MESSAGE + 1]);
    let refused = keep.stage(&topic("a"), long, at(0));
    assert_eq!(refused.unwrap_err(), PublishError::TooLong);
    for number in 0..MAX_TOPICS {
        publish(&mut keep, &format!("t{number}"), "", at(0));
    }
    let refused = keep.stage(&topic("one more"), Bytes::new(), at(0));
    assert_eq!(refused.unwrap_err(), PublishError::TooManyTopics);
}

#[test]
fn a_file_that_tells_nonsense_breaks_no_numbering() {
    let mut keep = keep(1 << 20);
    let record = |epoch, seq| Kept::new(topic("a"), epoch, seq, at(0), Bytes::from_static(b"x"));
    keep.add(record(7, 5));
    for nonsense in [
        record(7, 5),
        record(7, 1),
        record(8, 9),
        record(7, u64::MAX),
    ] {
        keep.add(nonsense);
        assert_eq!(keep.line(&topic("a")), Some((7, 5, 6)));
    }
    assert_eq!(publish(&mut keep, "a", "six", at(0)), 6);
}

#[derive(Debug, Clone)]
enum Step {
    Publish { topic: u8, size: u16, lost: bool },
    Wait { seconds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, 0..2000u16, prop::bool::weighted(0.1))
            .prop_map(|(topic, size, lost)| Step::Publish { topic, size, lost }),
        1 => (0..40u8).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    #[test]
    fn memory_is_bounded_and_a_number_names_one_message_for_ever(
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let mut keep = keep(10_000);
        let mut now = at(0);
        let mut published: HashMap<(u8, u64), usize> = HashMap::new();
        for step in steps {
            match step {
                Step::Publish { topic: name, size, lost } => {
                    let payload = Bytes::from(vec![name; size.into()]);
                    let kept = keep.stage(&topic(&format!("t{name}")), payload, now).unwrap();
                    let before = published.insert((name, kept.seq), size.into());
                    prop_assert_eq!(before, None);
                    if !lost {
                        keep.add(kept);
                    }
                }
                Step::Wait { seconds } => now += Duration::from_secs(seconds.into()),
            }
            keep.handle_timeout(now);
            prop_assert!(keep.bytes <= 10_000);
            prop_assert!(keep.poll_timeout().is_none_or(|at| at > now));
            let kept: usize = keep.lines.values().map(|line| line.kept.len()).sum();
            prop_assert_eq!(kept, keep.order.len());
            for (&(name, seq), &size) in &published {
                match keep.find(&topic(&format!("t{name}")), seq) {
                    Some(Found::Message(kept)) => prop_assert_eq!(kept.payload().len(), size),
                    Some(Found::Gone { count }) => prop_assert!(count >= 1),
                    // Staged last, and lost.
                    Some(Found::UpToDate) => (),
                    None => prop_assert!(false, "the topic is forgotten"),
                }
            }
        }
    }
}
