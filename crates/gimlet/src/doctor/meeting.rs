//! From knowing a peer to a session with it: found, willing, reached over the relay, authenticated.

use std::time::Duration;

use gimlet_proto::message::Resolved;
use serde::Serialize;

use super::{Words, ms};
use crate::error::{ConnectError, ResolveError};

/// Found at [`Stage::Peer`](super::Stage::Peer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum PeerFact {
    /// It is known and signed in.
    Online {
        /// Its id.
        peer: String,
        /// Its name.
        name: Option<String>,
    },
    /// It is known and not signed in.
    Offline {
        /// Its id.
        peer: String,
        /// Its name.
        name: Option<String>,
    },
    /// Nobody is called that.
    Unknown,
    /// Several ids begin like that.
    Ambiguous,
    /// It is ourselves.
    Myself,
    /// The server could not be asked.
    Unasked {
        /// Why.
        detail: String,
    },
}

impl PeerFact {
    pub(super) fn new(result: &Result<Resolved, ResolveError>, is_me: bool) -> Self {
        match result {
            Ok(_) if is_me => Self::Myself,
            Ok(resolved) => {
                let peer = resolved.peer.to_string();
                let name = resolved.name.as_ref().map(ToString::to_string);
                match resolved.online {
                    true => Self::Online { peer, name },
                    false => Self::Offline { peer, name },
                }
            }
            Err(ResolveError::Unknown { .. }) => Self::Unknown,
            Err(ResolveError::Ambiguous { .. }) => Self::Ambiguous,
            Err(ResolveError::Request(error)) => Self::Unasked {
                detail: error.to_string(),
            },
        }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Online { .. } => Words::good("It is there, signed in to the same server."),
            Self::Offline { .. } => Words::bad(
                "It is not signed in now.",
                "let it run `gimlet up` with the same server; if it does, `gimlet doctor` there \
                 tells why the server does not see it: often its network lets no UDP out",
            ),
            Self::Unknown => Words::bad(
                "The server knows nobody by that name.",
                "`gimlet list` shows who is there; is the other side signed in to the same server?",
            ),
            Self::Ambiguous => Words::bad(
                "Several peers' ids begin like that.",
                "give more characters of the id",
            ),
            Self::Myself => Words::bad("That is this machine itself.", "name another peer"),
            Self::Unasked { detail } => {
                Words::bad(format!("The server could not say ({detail})."), "try again")
            }
        }
    }
}

/// Found at [`Stage::Introduction`](super::Stage::Introduction).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum IntroductionFact {
    /// The other side agreed.
    Accepted {
        /// After how long.
        ms: Option<f64>,
    },
    /// It has left since it was looked up.
    Offline,
    /// It does not want us.
    Declined,
    /// Nobody decided there in time.
    Unanswered,
    /// The server or the peer is at a limit.
    Busy,
    /// The server does not understand us.
    Rejected,
    /// We have lost the server.
    SignedOut {
        /// Why.
        detail: String,
    },
}

/// Found at [`Stage::Relay`](super::Stage::Relay).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum RelayFact {
    /// Packets go both ways through the server.
    Works {
        /// When the session was up.
        ms: f64,
        /// Round trip between the two sides then.
        rtt_ms: f64,
    },
    /// Both sides agreed, and then nothing came.
    Silent,
}

/// Found at [`Stage::Handshake`](super::Stage::Handshake).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum HandshakeFact {
    /// The peer holds its key, and the session is encrypted.
    Done,
    /// Who answered does not hold the peer's key.
    WrongKey,
    /// The peer does not serve what we ask for.
    NoProtocol,
    /// It broke off.
    Lost {
        /// Why.
        detail: String,
    },
}

/// What a connection that did not come about says of the stages on its way: as many as were reached,
/// the one that failed last.
pub(super) fn failed(
    error: &ConnectError,
) -> (IntroductionFact, Option<RelayFact>, Option<HandshakeFact>) {
    use IntroductionFact as I;
    let introduced = I::Accepted { ms: None };
    match error {
        ConnectError::Offline | ConnectError::NotHere => (I::Offline, None, None),
        ConnectError::Declined => (I::Declined, None, None),
        ConnectError::Unanswered => (I::Unanswered, None, None),
        ConnectError::Busy => (I::Busy, None, None),
        ConnectError::Rejected | ConnectError::Myself => (I::Rejected, None, None),
        ConnectError::NotSignedIn(error) => {
            let detail = error.to_string();
            (I::SignedOut { detail }, None, None)
        }
        ConnectError::TimedOut => (introduced, Some(RelayFact::Silent), None),
        ConnectError::WrongKey => (introduced, None, Some(HandshakeFact::WrongKey)),
        ConnectError::NoProtocol => (introduced, None, Some(HandshakeFact::NoProtocol)),
        ConnectError::Lost { detail } => {
            let detail = detail.clone();
            (introduced, None, Some(HandshakeFact::Lost { detail }))
        }
    }
}

impl IntroductionFact {
    pub(super) fn accepted(after: Option<Duration>) -> Self {
        let ms = after.map(ms);
        Self::Accepted { ms }
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::Accepted { ms: Some(ms) } => {
                Words::good(format!("It agreed to talk after {ms:.0} ms."))
            }
            Self::Accepted { ms: None } => Words::good("It agreed to talk."),
            Self::Offline => Words::bad(
                "It has just left.",
                "let it run `gimlet up` with the same server",
            ),
            Self::Declined => Words::bad(
                "It does not want to talk to me.",
                "ask its owner to let you in: `gimlet up --accept all`, or your id in --known. \
                 `gimlet id` prints it",
            ),
            Self::Unanswered => Words::bad(
                "It is signed in, but nobody answered the request there.",
                "ask its owner to look at the question on its screen, and try again",
            ),
            Self::Busy => Words::bad(
                "The server or the peer has too much to do.",
                "try again in a minute",
            ),
            Self::Rejected => Words::bad(
                "The server does not understand the request.",
                "bring both sides and the server to the same version",
            ),
            Self::SignedOut { detail } => {
                Words::bad(format!("I have lost the server ({detail})."), "try again")
            }
        }
    }
}

impl RelayFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Works { ms, rtt_ms } => Words::good(format!(
                "The session was up after {ms:.0} ms; round trip then {rtt_ms:.0} ms."
            )),
            Self::Silent => Words::bad(
                "Both agreed to talk, but no packet came through the server.",
                "the peer may have lost its network just now: try again; if it stays so, look at \
                 the server's log and its firewall",
            ),
        }
    }
}

impl HandshakeFact {
    pub(super) fn words(&self) -> Words {
        match self {
            Self::Done => Words::good("It has proven its key; the session is encrypted."),
            Self::WrongKey => Words::bad(
                "Who answered does not hold the peer's key.",
                "do not go on: the server introduced somebody else, or somebody is in between. \
                 Compare the ids with the peer's owner",
            ),
            Self::NoProtocol => Words::bad(
                "It is there, but does not serve what the doctor asks for.",
                "let it run `gimlet up`",
            ),
            Self::Lost { detail } => Words::bad(
                format!("The handshake broke off ({detail})."),
                "try again; bring both sides to the same version",
            ),
        }
    }
}
