//! What messages are about.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, bytes: more than a line of a terminal shows.
const MAX_LEN: usize = 128;

/// A topic's name: 1 to 128 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// A text that is no [`Topic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic has 1 to 128 bytes and no control characters")]
pub struct ParseTopicError;

impl Topic {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Topic {
    /// `main`: for publishers with one thing to say.
    fn default() -> Self {
        Self("main".into())
    }
}

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, ParseTopicError> {
        match (1..=MAX_LEN).contains(&text.len()) && !text.contains(char::is_control) {
            true => Ok(Self(text.into())),
            false => Err(ParseTopicError),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_steer_no_terminal() {
        for (text, good) in [
            ("main", true),
            ("temperature/kitchen é", true),
            ("", false),
            ("two\nlines", false),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(text.parse::<Topic>().is_ok(), good, "{text:?}");
        }
    }
}
