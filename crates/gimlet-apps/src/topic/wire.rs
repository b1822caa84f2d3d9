//! The [records](crate::records) of a subscription's stream.
//!
//! The subscriber opens the stream with Subscribe and then says what it has taken; the publisher sends
//! Line before the first message and whenever the numbering is another one.

use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut, Bytes};

use super::{MAX_MESSAGE, Topic};
use crate::records::{Violation, record, u64_of, whole};

/// Number and time of a message, before its payload.
pub(super) const MESSAGE_PREFIX: usize = 16;

const SUBSCRIBE: u8 = 0;
const TAKEN: u8 = 1;
const PING: u8 = 2;

const LINE: u8 = 0;
const MESSAGE: u8 = 1;
const MISSED: u8 = 2;
const PONG: u8 = 3;

/// A subscriber's place: the last message it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which numbering: it is another one when the publisher has lost what it knew.
    pub epoch: u64,
    /// The message's number.
    pub seq: u64,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With everything the publisher has kept.
    Kept,
    /// With what is published from now on.
    New,
    /// Behind this message.
    After(Position),
}

/// What a subscriber says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToPublisher {
    /// The first record: which topic, and from where.
    Subscribe { topic: Topic, start: Start },
    /// Everything up to this number has arrived.
    Taken { seq: u64 },
    /// Are you there?
    Ping,
}

/// What a publisher says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToSubscriber {
    /// The numbering of what follows, and the number of the first. Epoch 0: there is no such topic yet.
    Line { epoch: u64, next: u64 },
    /// A message.
    Message {
        seq: u64,
        published_at: SystemTime,
        payload: Bytes,
    },
    /// So many messages are gone before they could be sent.
    Missed { count: u64 },
    /// I am.
    Pong,
}

impl ToPublisher {
    /// Longest body taken.
    pub(super) const MAX_BODY: usize = 256;

    pub(super) fn encode(&self) -> Bytes {
        match self {
            Self::Subscribe { topic, start } => record(SUBSCRIBE, |body| {
                let (kind, position) = match start {
                    Start::Kept => (0, None),
                    Start::New => (1, None),
                    Start::After(position) => (2, Some(position)),
                };
                body.put_u8(kind);
                body.put_u64(position.map_or(0, |position| position.epoch));
                body.put_u64(position.map_or(0, |position| position.seq));
                body.put_slice(topic.as_str().as_bytes());
            }),
            Self::Taken { seq } => record(TAKEN, |body| body.put_u64(*seq)),
            Self::Ping => record(PING, |_| ()),
        }
    }

    /// `None` for a kind of a later version, which is skipped.
    pub(super) fn decode(kind: u8, mut body: Bytes) -> Result<Option<Self>, Violation> {
        Ok(Some(match kind {
            SUBSCRIBE => {
                let start = body.try_get_u8().map_err(|_| Violation)?;
                let (epoch, seq) = (u64_of(&mut body)?, u64_of(&mut body)?);
                let start = match start {
                    0 => Start::Kept,
                    1 => Start::New,
                    2 => Start::After(Position { epoch, seq }),
                    _ => return Err(Violation),
                };
                let topic = std::str::from_utf8(&body).map_err(|_| Violation)?;
                let topic = topic.parse().map_err(|_| Violation)?;
                Self::Subscribe { topic, start }
            }
            TAKEN => whole(u64_of(&mut body)?, body).map(|seq| Self::Taken { seq })?,
            PING => Self::Ping,
            _ => return Ok(None),
        }))
    }
}

impl ToSubscriber {
    /// Longest body taken.
    pub(super) const MAX_BODY: usize = MESSAGE_PREFIX + MAX_MESSAGE;

    pub(super) fn encode(&self) -> Bytes {
        match self {
            Self::Line { epoch, next } => record(LINE, |body| {
                body.put_u64(*epoch);
                body.put_u64(*next);
            }),
            Self::Message {
                seq,
                published_at,
                payload,
            } => record(MESSAGE, |body| {
                body.put_u64(*seq);
                body.put_u64(unix_ms(*published_at));
                body.put_slice(payload);
            }),
            Self::Missed { count } => record(MISSED, |body| body.put_u64(*count)),
            Self::Pong => record(PONG, |_| ()),
        }
    }

    /// `None` for a kind of a later version, which is skipped.
    pub(super) fn decode(kind: u8, mut body: Bytes) -> Result<Option<Self>, Violation> {
        Ok(Some(match kind {
            LINE => {
                let (epoch, next) = (u64_of(&mut body)?, whole(u64_of(&mut body)?, body)?);
                Self::Line { epoch, next }
            }
            MESSAGE => Self::Message {
                seq: u64_of(&mut body)?,
                published_at: at_unix_ms(u64_of(&mut body)?),
                payload: body,
            },
            MISSED => whole(u64_of(&mut body)?, body).map(|count| Self::Missed { count })?,
            PONG => Self::Pong,
            _ => return Ok(None),
        }))
    }
}

/// A time in milliseconds since 1970; what lies before is 0.
pub(super) fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The time that a peer or a file says; what no clock shows counts as 1970.
pub(super) fn at_unix_ms(ms: u64) -> SystemTime {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    at.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
