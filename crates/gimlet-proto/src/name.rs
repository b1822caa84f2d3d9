//! Names people give their peers: bound to a key by the server, first come, first served.

use std::fmt;
use std::str::FromStr;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

/// A peer's name: 1 to 63 of `a`–`z`, `0`–`9`, `-`, `_` and `.`, beginning with a letter or digit.
///
/// Lower case only, so that a name is a file name, a DNS label and a word to say over the phone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode)]
pub struct Name(String);

impl Name {
    /// Longest name: that of a DNS label.
    pub const MAX_LEN: usize = 63;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(ParseNameError::Length);
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let mut bytes = text.bytes();
        if !bytes.next().is_some_and(plain) || !bytes.all(|b| plain(b) || b"-_.".contains(&b)) {
            return Err(ParseNameError::Alphabet);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<Context> Decode<Context> for Name {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        String::decode(decoder)?
            .parse()
            .map_err(|_| DecodeError::Other("not a name"))
    }
}

bincode::impl_borrow_decode!(Name);

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// Empty, or longer than [`Name::MAX_LEN`].
    #[error("a name has 1 to 63 characters")]
    Length,
    /// A character outside the alphabet, or a first one that is not a letter or digit.
    #[error("a name uses a-z, 0-9, '-', '_' and '.', and begins with a letter or digit")]
    Alphabet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_labels() {
        for good in ["a", "alice", "web-1.home", "0x", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "Alice", "-a", ".a", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
