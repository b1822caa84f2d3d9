//! Who a peer or a server is: an Ed25519 public key, and how people write it; and which of its
//! control connections is meant.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

/// An Ed25519 public key that names a peer or a server.
///
/// The text form is z-base-32, 52 characters, a valid DNS label; [`short`](PeerId::short) is its
/// first ten. Any 32 bytes make a `PeerId`: whether somebody holds the private key is for TLS to
/// show, which also refuses weak keys.
///
/// # Examples
///
/// ```
/// use gimlet_proto::id::PeerId;
///
/// let id = PeerId::from_bytes([7; 32]);
/// assert_eq!(id.to_string().len(), 52);
/// assert_eq!(id.to_string().parse::<PeerId>()?, id);
/// # Ok::<(), gimlet_proto::id::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Characters of the text form.
    pub const TEXT_LEN: usize = 52;
    /// Characters of the short form: 50 bits, enough to tell apart all peers of one server.
    pub const SHORT_LEN: usize = 10;

    /// Wraps the 32 bytes of an Ed25519 public key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten characters of the text form.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(Self::SHORT_LEN);
        text
    }

    /// The TLS server name of this peer: its own, so that session state never mixes between peers.
    pub fn server_name(&self) -> String {
        format!("{self}.peer.invalid")
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z32::encode(&self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({})", self.short())
    }
}

impl FromStr for PeerId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != Self::TEXT_LEN {
            return Err(ParseIdError::Length { found: text.len() });
        }
        let bytes = z32::decode(text.as_bytes()).map_err(|_| ParseIdError::Alphabet)?;
        let id = Self(bytes.try_into().map_err(|_| ParseIdError::Alphabet)?);
        // 52 characters hold 260 bits: refuse the spellings that differ only in the spare four.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(ParseIdError::Alphabet)
        }
    }
}

/// Why a text is not a peer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// A full id has 52 characters; for a prefix ask the server to resolve it.
    #[error("a peer id has 52 characters, this has {found}")]
    Length {
        /// Bytes in the text given.
        found: usize,
    },
    /// A character outside z-base-32 (`ybndrfg8ejkmcpqxot1uwisza345h769`), or spare bits that are set.
    #[error("not z-base-32: a peer id uses only the characters ybndrfg8ejkmcpqxot1uwisza345h769")]
    Alphabet,
}

/// One control connection of a server, numbered by its shell. Numbers grow and are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_is_a_dns_label() {
        let id = PeerId::from_bytes(std::array::from_fn(|i| i as u8 * 7));
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert!(
            text.len() <= 63
                && text
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert!(text.starts_with(&id.short()));
    }

    #[test]
    fn another_spelling_of_the_same_bytes_is_refused() {
        let id = PeerId::from_bytes([0; 32]);
        let mut text = id.to_string();
        text.replace_range(51..52, "b");
        assert_eq!(text.parse::<PeerId>(), Err(ParseIdError::Alphabet));
    }

    #[test]
    fn wrong_lengths_say_how_long_they_are() {
        assert_eq!(
            "abc".parse::<PeerId>(),
            Err(ParseIdError::Length { found: 3 })
        );
    }
}
