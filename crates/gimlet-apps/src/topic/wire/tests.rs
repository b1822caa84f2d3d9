//! The bytes, and what is made of other bytes.

use super::*;
use crate::records::HEADER;

fn body(bytes: &Bytes) -> (u8, Bytes) {
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
    assert_eq!(length, bytes.len() - HEADER);
    (bytes[0], bytes.slice(HEADER..))
}

#[test]
fn records_are_these_bytes() {
    let position = Position { epoch: 5, seq: 9 };
    let subscribe = ToPublisher::Subscribe {
        topic: "ab".parse().unwrap(),
        start: Start::After(position),
    };
    let bytes = b"\x00\x00\x00\x00\x13\x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x09ab";
    assert_eq!(subscribe.encode(), bytes[..]);
    let message = ToSubscriber::Message {
        seq: 1,
        published_at: at_unix_ms(256),
        payload: Bytes::from_static(b"hi"),
    };
    let bytes = b"\x01\x00\x00\x00\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01\0hi";
    assert_eq!(message.encode(), bytes[..]);
}

#[test]
fn everything_said_is_understood() {
    let topic: Topic = "news".parse().unwrap();
    let position = Position { epoch: 5, seq: 9 };
    for start in [Start::Kept, Start::New, Start::After(position)] {
        let topic = topic.clone();
        let said = ToPublisher::Subscribe { topic, start };
        let (kind, body) = body(&said.encode());
        assert_eq!(ToPublisher::decode(kind, body), Ok(Some(said)));
    }
    for said in [ToPublisher::Taken { seq: 7 }, ToPublisher::Ping] {
        let (kind, body) = body(&said.encode());
        assert_eq!(ToPublisher::decode(kind, body), Ok(Some(said)));
    }
    for said in [
        ToSubscriber::Line { epoch: 1, next: 2 },
        ToSubscriber::Message {
            seq: 1,
            published_at: at_unix_ms(1_800_000_000_000),
            payload: Bytes::new(),
        },
        ToSubscriber::Missed { count: 3 },
        ToSubscriber::Pong,
    ] {
        let (kind, body) = body(&said.encode());
        assert_eq!(ToSubscriber::decode(kind, body), Ok(Some(said)));
    }
}

#[test]
fn every_truncation_is_refused_and_unknown_kinds_are_skipped() {
    let said = ToSubscriber::Message {
        seq: 1,
        published_at: at_unix_ms(1),
        payload: Bytes::new(),
    };
    let (kind, whole) = body(&said.encode());
    for end in 0..whole.len() {
        assert_eq!(
            ToSubscriber::decode(kind, whole.slice(..end)),
            Err(Violation)
        );
    }
    let said = ToPublisher::Subscribe {
        topic: "x".parse().unwrap(),
        start: Start::New,
    };
    let (kind, whole) = body(&said.encode());
    for end in 0..whole.len() {
        assert_eq!(
            ToPublisher::decode(kind, whole.slice(..end)),
            Err(Violation)
        );
    }
    assert_eq!(
        ToPublisher::decode(TAKEN, vec![0; 9].into()),
        Err(Violation)
    );
    assert_eq!(ToPublisher::decode(77, Bytes::new()), Ok(None));
    assert_eq!(ToSubscriber::decode(77, Bytes::new()), Ok(None));
    let no_clock_shows_it = at_unix_ms(u64::MAX);
    assert!(unix_ms(no_clock_shows_it) == u64::MAX || unix_ms(no_clock_shows_it) == 0);
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_a_record_a_later_one_or_refused(
        kind in 0..6u8,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)
    ) {
        let bytes = Bytes::from(bytes);
        if let Ok(Some(said)) = ToPublisher::decode(kind, bytes.clone()) {
            let (kind, again) = body(&said.encode());
            proptest::prop_assert_eq!(ToPublisher::decode(kind, again), Ok(Some(said)));
        }
        // A time that no clock shows does not come back as it was.
        let _ = ToSubscriber::decode(kind, bytes);
    }
}
