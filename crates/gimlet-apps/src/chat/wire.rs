//! The [records](crate::records) of a conversation, the same both ways.

use bytes::{Buf, BufMut, Bytes};

use super::MAX_LINE;
use crate::records::{Violation, record, u64_of, whole};

/// Longest name taken from a peer; what is longer is cut.
const MAX_NAME: usize = 64;

const HELLO: u8 = 0;
const LINE: u8 = 1;
const ACK: u8 = 2;
const REFUSE: u8 = 3;
const BYE: u8 = 4;
const PING: u8 = 5;
const PONG: u8 = 6;

/// Flag of a hello: a person is to be asked.
const ASKS: u8 = 1;

/// Names a conversation: chosen at random by whoever asks for it, the same over all its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub(super) [u8; 16]);

impl From<[u8; 16]> for ConversationId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// The first record of each side on every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) id: ConversationId,
    /// Drawn by each side when it enters the conversation: another one has forgotten everything.
    pub(super) incarnation: u64,
    /// The sender's lines up to this number are delivered, and will not come again.
    pub(super) base: u64,
    /// Which incarnation of the other side `received` is about; 0 for none.
    pub(super) heard: u64,
    /// The number of the last line of the other side that has arrived.
    pub(super) received: u64,
    /// Whether the person at the other side is to be asked.
    pub(super) asks: bool,
    /// How the sender wants to be called.
    pub(super) name: String,
}

/// Why there is no conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The person does not want to.
    Denied,
    /// The person did not answer.
    Unanswered,
    /// There are too many.
    Busy,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Hello(Hello),
    /// A line, numbered from 1.
    Line {
        seq: u64,
        text: String,
    },
    /// Every line up to this number has arrived.
    Ack {
        seq: u64,
    },
    Refuse(Refusal),
    /// The sender leaves for good. Answered by the same.
    Bye,
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

impl Record {
    /// Longest body taken.
    pub(super) const MAX_BODY: usize = 8 + MAX_LINE;

    pub(super) fn encode(&self) -> Bytes {
        match self {
            Self::Hello(hello) => record(HELLO, |body| {
                body.put_slice(&hello.id.0);
                body.put_u64(hello.incarnation);
                body.put_u64(hello.base);
                body.put_u64(hello.heard);
                body.put_u64(hello.received);
                body.put_u8(if hello.asks { ASKS } else { 0 });
                body.put_slice(cut(&hello.name, MAX_NAME).as_bytes());
            }),
            Self::Line { seq, text } => record(LINE, |body| {
                body.put_u64(*seq);
                body.put_slice(text.as_bytes());
            }),
            Self::Ack { seq } => record(ACK, |body| body.put_u64(*seq)),
            Self::Refuse(refusal) => record(REFUSE, |body| {
                body.put_u8(match refusal {
                    Refusal::Denied => 0,
                    Refusal::Unanswered => 1,
                    Refusal::Busy => 2,
                });
            }),
            Self::Bye => record(BYE, |_| ()),
            Self::Ping => record(PING, |_| ()),
            Self::Pong => record(PONG, |_| ()),
        }
    }

    /// `None` for a kind of a later version, which is skipped.
    pub(super) fn decode(kind: u8, mut body: Bytes) -> Result<Option<Self>, Violation> {
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        Ok(Some(match kind {
            HELLO => {
                let mut id = [0; 16];
                body.try_copy_to_slice(&mut id).map_err(|_| Violation)?;
                Self::Hello(Hello {
                    id: ConversationId(id),
                    incarnation: u64_of(&mut body)?,
                    base: u64_of(&mut body)?,
                    heard: u64_of(&mut body)?,
                    received: u64_of(&mut body)?,
                    asks: body.try_get_u8().map_err(|_| Violation)? & ASKS != 0,
                    name: cut(&text(&body), MAX_NAME).to_owned(),
                })
            }
            LINE => Self::Line {
                seq: u64_of(&mut body)?,
                text: text(&body),
            },
            ACK => whole(u64_of(&mut body)?, body).map(|seq| Self::Ack { seq })?,
            REFUSE => Self::Refuse(match body.try_get_u8().map_err(|_| Violation)? {
                0 => Refusal::Denied,
                1 => Refusal::Unanswered,
                // Later versions may have other reasons.
                _ => Refusal::Busy,
            }),
            BYE => Self::Bye,
            PING => Self::Ping,
            PONG => Self::Pong,
            _ => return Ok(None),
        }))
    }
}

/// The beginning of a text with at most so many bytes, cut between characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::HEADER;

    fn hello() -> Hello {
        Hello {
            id: ConversationId([7; 16]),
            incarnation: 1,
            base: 2,
            heard: 3,
            received: 4,
            asks: true,
            name: "al".to_owned(),
        }
    }

    fn back(record: &Record) -> Result<Option<Record>, Violation> {
        let bytes = record.encode();
        Record::decode(bytes[0], bytes.slice(HEADER..))
    }

    #[test]
    fn records_are_these_bytes() {
        let line = Record::Line {
            seq: 258,
            text: "hé".to_owned(),
        };
        let bytes = b"\x01\x00\x00\x00\x0b\0\0\0\0\0\0\x01\x02h\xc3\xa9";
        assert_eq!(line.encode(), bytes[..]);
        let mut bytes = b"\x00\x00\x00\x00\x33".to_vec();
        bytes.extend([7; 16]);
        for number in 1..=4 {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, number]);
        }
        bytes.extend(b"\x01al");
        assert_eq!(Record::Hello(hello()).encode(), bytes);
    }

    #[test]
    fn everything_said_is_understood() {
        for record in [
            Record::Hello(hello()),
            Record::Line {
                seq: 1,
                text: String::new(),
            },
            Record::Ack { seq: 9 },
            Record::Refuse(Refusal::Denied),
            Record::Refuse(Refusal::Unanswered),
            Record::Refuse(Refusal::Busy),
            Record::Bye,
            Record::Ping,
            Record::Pong,
        ] {
            assert_eq!(back(&record), Ok(Some(record)));
        }
    }

    #[test]
    fn every_truncation_is_refused_and_bad_text_is_repaired() {
        let whole = Record::Hello(Hello {
            name: String::new(),
            ..hello()
        });
        let whole = whole.encode().slice(HEADER..);
        for end in 0..whole.len() {
            assert_eq!(Record::decode(HELLO, whole.slice(..end)), Err(Violation));
        }
        assert_eq!(Record::decode(ACK, vec![0; 9].into()), Err(Violation));
        assert_eq!(Record::decode(77, Bytes::new()), Ok(None));
        let bad = Record::decode(LINE, Bytes::from_static(b"\0\0\0\0\0\0\0\x01\xff"));
        let text = "\u{fffd}".to_owned();
        assert_eq!(bad, Ok(Some(Record::Line { seq: 1, text })));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = "é".repeat(100);
        let said = Record::Hello(Hello { name, ..hello() });
        let Ok(Some(Record::Hello(heard))) = back(&said) else {
            panic!("no hello");
        };
        assert_eq!(heard.name, "é".repeat(32));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_a_record_a_later_one_or_refused(
            kind in 0..9u8,
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..100)
        ) {
            if let Ok(Some(record)) = Record::decode(kind, body.into()) {
                proptest::prop_assert_eq!(back(&record), Ok(Some(record)));
            }
        }
    }
}
