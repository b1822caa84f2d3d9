//! What `subscribe` says: objects for programs, notes for people.

use std::fmt;

use gimlet_apps::topic::Message;
use serde::Serialize;

use crate::output::printable_line;

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Line {
    Connected {
        peer: String,
        #[serde(skip)]
        label: String,
        path: &'static str,
    },
    Path {
        peer: String,
        #[serde(skip)]
        label: String,
        path: &'static str,
    },
    /// With `text` where it is text, with `base64` where it is not.
    Message {
        peer: String,
        topic: String,
        seq: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        published_ms: u64,
    },
    Missed {
        peer: String,
        topic: String,
        count: u64,
    },
    Disconnected {
        peer: String,
        #[serde(skip)]
        label: String,
        reason: String,
    },
}

impl Line {
    pub(super) fn message(peer: String, topic: String, message: Message) -> Self {
        let since = message.published_at.duration_since(std::time::UNIX_EPOCH);
        let text = String::from_utf8(message.payload.into());
        let (text, base64) = match text {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(base64(error.as_bytes()))),
        };
        Self::Message {
            peer,
            topic,
            seq: message.position.seq,
            text,
            base64,
            published_ms: since.map_or(0, |since| since.as_millis() as u64),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { label, path, .. } => write!(f, "Connected to {label}, {path}."),
            Self::Path { label, path, .. } => write!(f, "{label} is now {path}."),
            Self::Message { text, base64, .. } => {
                f.write_str(text.as_ref().or(base64.as_ref()).map_or("", String::as_str))
            }
            Self::Missed { count, .. } => {
                write!(
                    f,
                    "Missed {count}: the publisher does not keep them any more."
                )
            }
            Self::Disconnected { label, reason, .. } => {
                write!(f, "Lost {label}: {}. Trying again.", printable_line(reason))
            }
        }
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |nth: usize| u32::from(group.get(nth).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for nth in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * nth) & 63) as usize];
            text.push(if nth <= group.len() {
                letter.into()
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }
}
