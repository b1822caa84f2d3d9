//! What happens while a command stays signed in: an object a line for programs, a line for people.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::describe;
use crate::output::{ms, printable, printable_line};
use crate::session::{Found, Ready};
use gimlet::Path;

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Signed in for the first time.
    Ready {
        peer: String,
        name: Option<String>,
        /// `None` over TLS.
        observed: Option<SocketAddr>,
        transport: &'static str,
        sign_in_ms: f64,
    },
    /// Found on this network, with no server.
    #[serde(rename = "ready")]
    ReadyHere { peer: String, name: Option<String> },
    /// Signed in again.
    SignedIn {
        /// `None` over TLS.
        observed: Option<SocketAddr>,
        transport: &'static str,
    },
    /// The server is gone, or has let us go. While `retrying`, signing in is tried again by itself.
    SignedOut { reason: String, retrying: bool },
    /// A session with a peer.
    Connected {
        #[serde(flatten)]
        who: Who,
        protocol: String,
        path: &'static str,
    },
    /// A session's path changed.
    Path {
        #[serde(flatten)]
        who: Who,
        path: &'static str,
        strategy: Option<&'static str>,
        remote: Option<SocketAddr>,
        rtt_ms: Option<f64>,
    },
    /// A line of a conversation.
    Message {
        #[serde(flatten)]
        who: Who,
        text: String,
    },
    /// So many more of our lines have arrived.
    Delivered {
        #[serde(flatten)]
        who: Who,
        lines: usize,
    },
    /// So many of our lines have not arrived, and will not.
    Undelivered {
        #[serde(flatten)]
        who: Who,
        lines: usize,
    },
    /// Somebody asks for a conversation.
    Asked {
        #[serde(flatten)]
        who: Who,
    },
    /// A request of somebody can be answered no more.
    Expired {
        #[serde(flatten)]
        who: Who,
    },
    /// Our request for a conversation was not accepted.
    Refused {
        #[serde(flatten)]
        who: Who,
        reason: String,
    },
    /// The other side of a conversation is gone, and waited for.
    Away {
        #[serde(flatten)]
        who: Who,
    },
    /// It is there again.
    Back {
        #[serde(flatten)]
        who: Who,
        path: &'static str,
    },
    /// A peer was turned away.
    Declined {
        #[serde(flatten)]
        who: Who,
    },
    /// The relay drops some of what is sent to a peer.
    Throttled {
        #[serde(flatten)]
        who: Who,
        reason: String,
        dropped_bytes: u64,
    },
    /// A session ended.
    Closed {
        #[serde(flatten)]
        who: Who,
        reason: String,
    },
}

/// The peer an event is about.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Who {
    peer: String,
    #[serde(skip)]
    label: String,
}

impl Who {
    /// How a person calls it.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn new(found: &Found) -> Self {
        Self {
            peer: found.peer.to_string(),
            label: found.label.clone(),
        }
    }
}

impl Event {
    pub(crate) fn ready(ready: &Ready) -> Self {
        let peer = ready.peer.to_string();
        let name = ready.name.as_ref().map(ToString::to_string);
        match &ready.signed_in {
            Some(signed_in) => Self::Ready {
                peer,
                name,
                observed: describe::observed(signed_in),
                transport: describe::transport(signed_in.transport),
                sign_in_ms: ms(signed_in.elapsed),
            },
            None => Self::ReadyHere { peer, name },
        }
    }

    /// The same after a person had signed out.
    pub(crate) fn again(ready: &Ready) -> Self {
        match &ready.signed_in {
            Some(signed_in) => Self::SignedIn {
                observed: describe::observed(signed_in),
                transport: describe::transport(signed_in.transport),
            },
            None => Self::ready(ready),
        }
    }

    /// Whether this endpoint will not be signed in again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::SignedOut {
                retrying: false,
                ..
            }
        )
    }

    pub(crate) fn path(who: Who, path: &Path) -> Self {
        Self::Path {
            who,
            path: describe::path_kind(path.kind),
            strategy: path.strategy.map(gimlet::Strategy::name),
            remote: path.remote,
            rtt_ms: path.rtt.map(ms),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = anstyle::Style::new().bold();
        match self {
            Self::Ready {
                peer,
                name,
                observed,
                sign_in_ms,
                ..
            } => {
                let name = name.as_deref().unwrap_or("(no name)");
                writeln!(
                    f,
                    "Signed in as {bold}{name}{bold:#} after {sign_in_ms:.1} ms."
                )?;
                write!(f, "  id   {peer}\n  seen ")?;
                match observed {
                    Some(observed) => write!(f, "{observed}"),
                    None => write!(f, "nowhere: UDP is blocked; connected over TLS"),
                }
            }
            Self::ReadyHere { peer, name } => {
                let name = name.as_deref().unwrap_or("(no name)");
                write!(f, "On this network as {bold}{name}{bold:#}, {peer}")
            }
            Self::SignedIn { observed, .. } => match observed {
                Some(observed) => write!(f, "Signed in again, seen as {observed}."),
                None => write!(f, "Signed in again, over TLS: UDP is blocked."),
            },
            Self::SignedOut { reason, retrying } => {
                write!(f, "Signed out: {}.", printable_line(reason))?;
                match retrying {
                    true => write!(f, " Trying again; direct sessions go on."),
                    false => Ok(()),
                }
            }
            Self::Connected { who, path, .. } => write!(f, "{} connected, {path}.", who.label),
            Self::Path {
                who, path, rtt_ms, ..
            } => match rtt_ms {
                Some(rtt) => write!(f, "{} is now {path}, {rtt:.1} ms.", who.label),
                None => write!(f, "{} is now {path}.", who.label),
            },
            // A text of several lines must not look as if others had said the rest.
            Self::Message { who, text } => {
                let text = printable(text).replace('\n', "\n  ");
                write!(f, "{bold}{}:{bold:#} {text}", who.label)
            }
            Self::Delivered { who, lines } => write!(f, "{} has {lines} more.", who.label),
            Self::Undelivered { who, lines: 1 } => {
                write!(f, "A line to {} has not arrived.", who.label)
            }
            Self::Undelivered { who, lines } => {
                write!(f, "{lines} lines to {} have not arrived.", who.label)
            }
            Self::Asked { who } => {
                write!(f, "{0} wants to talk: accept {0}, or deny {0}", who.label)
            }
            Self::Expired { who } => write!(f, "{} no longer waits.", who.label),
            Self::Refused { who, reason } => {
                write!(f, "{} {}.", who.label, printable_line(reason))
            }
            Self::Away { who } => {
                write!(f, "{} is away; what you type is kept for it.", who.label)
            }
            Self::Back { who, path } => write!(f, "{} is back, {path}.", who.label),
            Self::Declined { who } => write!(f, "{} was turned away.", who.label),
            Self::Throttled {
                who,
                reason,
                dropped_bytes,
            } => write!(
                f,
                "The relay dropped {dropped_bytes} bytes to {}: {reason}.",
                who.label
            ),
            Self::Closed { who, reason } => {
                write!(f, "{} left: {}.", who.label, printable_line(reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimlet::PeerId;

    fn bob() -> Who {
        Who::new(&Found {
            peer: PeerId::from_bytes([0; 32]),
            label: "bob".to_owned(),
        })
    }

    #[test]
    fn an_event_is_one_flat_object_with_its_name() {
        let value = serde_json::to_value(Event::Message {
            who: bob(),
            text: "hi".to_owned(),
        });
        let peer = "y".repeat(52);
        let expected = serde_json::json!({"event": "message", "peer": peer, "text": "hi"});
        assert_eq!(value.unwrap(), expected);
    }

    #[test]
    fn a_message_of_two_lines_cannot_speak_for_somebody_else() {
        let message = Event::Message {
            who: bob(),
            text: "hi\nalice: I agree\u{1b}[1A".to_owned(),
        };
        let text = anstream::adapter::strip_str(&message.to_string()).to_string();
        assert_eq!(text, "bob: hi\n  alice: I agree\u{fffd}[1A");
    }
}
