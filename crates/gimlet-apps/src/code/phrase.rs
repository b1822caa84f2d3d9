//! A code as people say, write and type it.

use std::fmt;
use std::str::FromStr;

use super::words;

/// Most words of a code: 88 bits, far more than one guess needs.
const MAX_WORDS: usize = 8;

/// A number and some words: `7-crystal-clock`. Secret until it was used.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    number: u32,
    words: Vec<&'static str>,
}

impl Code {
    /// A code with words drawn at random, 1 to 8 of them.
    pub fn draw(number: u32, words: usize, mut random: impl FnMut() -> u16) -> Self {
        let words = words.clamp(1, MAX_WORDS);
        Self {
            number,
            words: (0..words).map(|_| words::word(random())).collect(),
        }
    }

    /// The public part: where the offering side is found.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What both sides prove to know: the whole text, spelled one way.
    pub(super) fn secret(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.words.join("-"))
    }
}

/// Shows the public part alone.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-..)", self.number)
    }
}

/// Hyphens, blanks or dots between the parts; capitals and words cut short after the letters that tell
/// them apart, four at most, are understood.
impl FromStr for Code {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let separates = |c: char| c.is_whitespace() || c == '-' || c == '.';
        let mut parts = text.split(separates).filter(|part| !part.is_empty());
        let number = parts.next().ok_or(ParseCodeError::Number)?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| number.parse().ok()).flatten();
        let number = number.ok_or(ParseCodeError::Number)?;
        let mut words = Vec::new();
        for (nth, part) in parts.enumerate() {
            if nth == MAX_WORDS {
                return Err(ParseCodeError::Length);
            }
            words.push(words::meant(part).ok_or(ParseCodeError::Word { nth: nth + 1 })?);
        }
        match words.is_empty() {
            true => Err(ParseCodeError::Length),
            false => Ok(Self { number, words }),
        }
    }
}

/// Why a text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseCodeError {
    /// It does not begin with a number.
    #[error("a code begins with a number, as in 7-crystal-clock")]
    Number,
    /// No words, or too many.
    #[error("a code has 1 to 8 words after its number")]
    Length,
    /// Not in the list, or the beginning of several words.
    #[error("word {nth} of the code is none of those used in codes; check its spelling")]
    Word {
        /// Which one, from 1.
        nth: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ParseCodeError> {
        text.parse::<Code>().map(|code| code.to_string())
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        for text in [
            "7-clown-zoo",
            "7 clown zoo",
            " 7-CLOWN.Zoo ",
            "7-clow-zoo",
            "007-clow--zoo",
        ] {
            assert_eq!(parse(text).as_deref(), Ok("7-clown-zoo"), "{text}");
        }
    }

    #[test]
    fn what_is_no_code_says_where() {
        let word = |nth| Err(ParseCodeError::Word { nth });
        assert_eq!(parse(""), Err(ParseCodeError::Number));
        assert_eq!(parse("clown-zoo"), Err(ParseCodeError::Number));
        assert_eq!(parse("+7-zoo"), Err(ParseCodeError::Number));
        assert_eq!(parse("99999999999-zoo"), Err(ParseCodeError::Number));
        assert_eq!(parse("7"), Err(ParseCodeError::Length));
        assert_eq!(parse("7-zoo-clwon"), word(2));
        assert_eq!(parse("7-z"), word(1), "zebra, zero, zone, zoo");
        let nine = format!("7{}", "-zoo".repeat(9));
        assert_eq!(parse(&nine), Err(ParseCodeError::Length));
    }

    #[test]
    fn drawn_codes_read_back_and_debug_keeps_their_words() {
        let mut next = 0;
        let code = Code::draw(7, 3, || {
            next += 1;
            next * 9999
        });
        assert_eq!(code.to_string().parse(), Ok(code.clone()));
        assert_eq!(code.to_string().split('-').count(), 4);
        assert_eq!(format!("{code:?}"), "Code(7-..)");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_is_a_code_that_reads_back_or_an_error(text in "[0-9a-zA-Z .-]{0,40}|.*") {
            if let Ok(code) = text.parse::<Code>() {
                assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}
