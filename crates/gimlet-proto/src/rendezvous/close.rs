//! Why a server ends a control session: the application close code of its QUIC connection.

use std::fmt;

/// Why a control session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// 0: the peer signed out.
    SignedOut,
    /// 1: the same key has signed in elsewhere. Signing in again would only replace that one in turn.
    Replaced,
    /// 2: the sign-in was refused; a `Failed` message said why.
    SignInFailed,
    /// 3: no sign-in came in time.
    SignInTimedOut,
    /// 4: the lease ran out.
    LeaseExpired,
    /// 5: far more requests than the server takes.
    TooManyRequests,
    /// 6: the peer did not read what was sent to it.
    SlowReader,
    /// 7: what the peer sent is not the protocol.
    Malformed,
    /// 8: the server is going down.
    ShuttingDown,
    /// 9: the server has no room.
    Full,
    /// The connection was lost: nobody says so, so it has no code.
    Lost,
}

impl CloseReason {
    const CODED: [Self; 10] = [
        Self::SignedOut,
        Self::Replaced,
        Self::SignInFailed,
        Self::SignInTimedOut,
        Self::LeaseExpired,
        Self::TooManyRequests,
        Self::SlowReader,
        Self::Malformed,
        Self::ShuttingDown,
        Self::Full,
    ];

    /// The application close code; that of [`SignedOut`](Self::SignedOut) for a lost connection.
    pub fn code(self) -> u32 {
        let at = Self::CODED.iter().position(|&reason| reason == self);
        at.unwrap_or(0) as u32
    }

    /// What a close code means; `None` for one that this version does not know.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::CODED.get(usize::try_from(code).ok()?).copied()
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignedOut => "signed out",
            Self::Replaced => "the same key signed in elsewhere",
            Self::SignInFailed => "sign-in refused",
            Self::SignInTimedOut => "no sign-in in time",
            Self::LeaseExpired => "lease expired",
            Self::TooManyRequests => "too many requests",
            Self::SlowReader => "does not read its messages",
            Self::Malformed => "breaks the protocol",
            Self::ShuttingDown => "server going down",
            Self::Full => "server full",
            Self::Lost => "connection lost",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_the_protocol_page_says_and_come_back() {
        assert_eq!(CloseReason::Replaced.code(), 1);
        assert_eq!(CloseReason::ShuttingDown.code(), 8);
        for code in 0..10 {
            assert_eq!(CloseReason::from_code(code).unwrap().code(), code as u32);
        }
        assert_eq!(CloseReason::from_code(10), None);
    }
}
