//! Whether the server lets us in.

use serde::Serialize;

use super::Words;
use crate::error::SignInError;
use crate::event::{SignedIn, Transport};

/// Found at [`Stage::SignIn`](super::Stage::SignIn).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum SignInFact {
    /// It does.
    SignedIn {
        /// The name it knows us by.
        name: Option<String>,
        /// Where it sees us, over UDP.
        observed: Option<std::net::SocketAddr>,
    },
    /// The token is missing or wrong.
    BadToken,
    /// Our key is not on its list.
    NotAllowed,
    /// The name is another key's.
    NameTaken,
    /// It is at a limit.
    Busy,
    /// It is going down.
    ShuttingDown,
    /// The connection to it was lost.
    Lost {
        /// Why.
        detail: String,
    },
    /// Another program uses this key.
    Replaced,
}

impl SignInFact {
    /// `None` where it did not come to signing in.
    pub(super) fn new(result: &Result<SignedIn, SignInError>) -> Option<Self> {
        Some(match result {
            Ok(signed_in) => Self::SignedIn {
                name: signed_in.name.as_ref().map(ToString::to_string),
                observed: match signed_in.transport {
                    Transport::Udp => Some(signed_in.observed),
                    Transport::Tls => None,
                },
            },
            Err(SignInError::BadToken) => Self::BadToken,
            Err(SignInError::NotAllowed) => Self::NotAllowed,
            Err(SignInError::NameTaken) => Self::NameTaken,
            Err(SignInError::Busy) => Self::Busy,
            Err(SignInError::ShuttingDown) => Self::ShuttingDown,
            Err(SignInError::Replaced) => Self::Replaced,
            Err(SignInError::Lost { detail }) => Self::Lost {
                detail: detail.clone(),
            },
            Err(SignInError::SignedOut) => Self::Lost {
                detail: "signed out".to_owned(),
            },
            Err(
                SignInError::NoServer
                | SignInError::Unresolved { .. }
                | SignInError::Unreachable { .. }
                | SignInError::Proxy(_)
                | SignInError::ProxySetting(_)
                | SignInError::WrongKey { .. }
                | SignInError::CertificateDate { .. }
                | SignInError::Protocol { .. },
            ) => return None,
        })
    }

    pub(super) fn words(&self) -> Words {
        match self {
            Self::SignedIn { name, observed } => {
                let name = name.as_ref().map(|name| format!(" as {name}"));
                let seen = observed.map(|observed| format!(" and sees me at {observed}"));
                let (name, seen) = (name.unwrap_or_default(), seen.unwrap_or_default());
                Words::good(format!("It lets me in{name}{seen}."))
            }
            Self::BadToken => Words::bad(
                "It refuses the token.",
                "paste the whole line that `gimlet serve` printed, up to its last character",
            ),
            Self::NotAllowed => Words::bad(
                "It lets only known keys in, and mine is none of them.",
                "send its operator what `gimlet id` prints",
            ),
            Self::NameTaken => Words::bad(
                "The name belongs to somebody else there.",
                "choose another one with --name",
            ),
            Self::Busy => Words::bad("It is full, or asked too often.", "try again in a minute"),
            Self::ShuttingDown => {
                Words::bad("It is shutting down.", "try again once it has been started")
            }
            Self::Lost { detail } => Words::bad(
                format!("The connection to it broke off ({detail})."),
                "try again; if it stays so, its operator finds the reason in its log",
            ),
            Self::Replaced => Words::bad(
                "Another program has signed in with the same key.",
                "give each program a key of its own with --identity",
            ),
        }
    }
}
