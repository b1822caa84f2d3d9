//! Names of exposed services.

use std::fmt;
use std::str::FromStr;

/// What an exposed service is called: 1 to 64 of letters, digits, `-`, `_` and `.`. No `/`, which
/// separates it from its peer, and nothing that could steer a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

/// A text is no service name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a service's name has 1 to 64 letters, digits, '-', '_' and '.'")]
pub struct ParseServiceError;

impl ServiceName {
    /// Longest name, bytes.
    pub const MAX: usize = 64;

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = ParseServiceError;

    fn from_str(text: &str) -> Result<Self, ParseServiceError> {
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        match (1..=Self::MAX).contains(&text.len()) && text.bytes().all(sound) {
            true => Ok(Self(text.to_owned())),
            false => Err(ParseServiceError),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["web", "a", "db-1.example_x", &"x".repeat(64)] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "é", "a\u{1b}", "a:1", &"x".repeat(65)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?}");
        }
    }
}
