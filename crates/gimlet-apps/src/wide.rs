//! A direction of a stream that goes on over several streams where one is too narrow.
//!
//! One stream carries at most its window in a round trip, 1.25 MB. Most connections of programs are
//! far below that, and keep their one stream. After every [`STRETCH`] of data, if there is more, the
//! sender says in one byte, a [`Mark`], how it goes on: here, or in a bulk ([`gimlet::bulk`]) that has
//! the stream's number. The bulk's end is the end of the direction; the stream stays open until then
//! and ends with it, so that whoever gives up still says so on the stream.
//!
//! [`Sender`] and [`Receiver`] are the two ends. A [`Pace`] finds out whether the stream is too narrow;
//! [`Lanes`] bound how many streams the senders of a connection take; a [`Board`] leads the bulks that
//! come in to the streams that they go on with.

mod board;
mod lanes;
mod pace;
mod receiver;
mod sender;
mod unread;

pub(crate) use board::{Board, Claim};
pub(crate) use lanes::Lanes;
pub(crate) use receiver::{ReadError, Receiver, Source};
pub(crate) use sender::Sender;
pub(crate) use unread::{Counted, Unread};

use pace::Pace;

/// Data bytes before the first mark and between marks: most of a stream's window, so that who sends
/// less never meets one, and so little that what is found out there is still of use.
const STRETCH: u32 = 1 << 20;

/// How a direction goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Another stretch follows.
    Stays,
    /// The rest comes over a bulk.
    Widens,
}

impl Mark {
    fn encode(self) -> u8 {
        match self {
            Self::Stays => 0,
            Self::Widens => 1,
        }
    }

    fn decode(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stays),
            1 => Some(Self::Widens),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_these_bytes() {
        for (mark, byte) in [(Mark::Stays, 0), (Mark::Widens, 1)] {
            assert_eq!(mark.encode(), byte);
            assert_eq!(Mark::decode(byte), Some(mark));
        }
        assert!((2..=255).all(|byte| Mark::decode(byte).is_none()));
    }
}
