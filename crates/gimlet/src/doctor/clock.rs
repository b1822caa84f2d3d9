//! The server's clock and ours.

use serde::Serialize;

use super::Words;
use crate::error::SignInError;
use crate::event::SignedIn;

/// From here on clocks are apart. Certificates and logs bear less than this without notice; clocks
/// that are set by the network are within a second.
const APART_S: u64 = 120;

/// Found at [`Stage::Clock`](super::Stage::Clock).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum ClockFact {
    /// Both show about the same time.
    Agree {
        /// How far ours is ahead, seconds.
        ahead_s: i64,
    },
    /// They do not.
    Apart {
        /// How far ours is ahead, seconds.
        ahead_s: i64,
    },
    /// The server's certificate is not valid at the time that our clock shows.
    Certificate,
}

impl ClockFact {
    /// `None` where the server's clock is not known.
    pub(super) fn new(result: &Result<SignedIn, SignInError>) -> Option<Self> {
        match result {
            Ok(signed_in) => Some(Self::of(signed_in.clock_ahead_s)),
            Err(SignInError::CertificateDate { .. }) => Some(Self::Certificate),
            Err(_) => None,
        }
    }

    fn of(ahead_s: i64) -> Self {
        match ahead_s.unsigned_abs() >= APART_S {
            true => Self::Apart { ahead_s },
            false => Self::Agree { ahead_s },
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Agree { .. } => Words::good("My clock and the server's agree."),
            Self::Apart { ahead_s } => {
                let (by, which) = (span(ahead_s.unsigned_abs()), side(*ahead_s));
                Words::bad(
                    format!("My clock is {by} {which} the server's."),
                    "set the wrong one, best by the network (NTP): with clocks apart certificates \
                     look expired, and logs can't be compared",
                )
            }
            Self::Certificate => Words::bad(
                "The server's certificate is not valid at the time my clock shows.",
                "check the date and time of this machine; if they are right, the certificate has \
                 run out and the server's operator must renew it",
            ),
        }
    }
}

fn side(ahead_s: i64) -> &'static str {
    match ahead_s > 0 {
        true => "ahead of",
        false => "behind",
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
