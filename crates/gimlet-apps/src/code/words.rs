//! The words of codes: BIP-39's English list, 2,048 words that no two letters' slip turns into another,
//! each known by its first four letters.

use std::sync::LazyLock;

/// How many words there are: 11 bits each.
pub(super) const COUNT: usize = 2048;

/// In alphabetical order.
static WORDS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("english.txt").lines().collect());

/// The word with that index, modulo [`COUNT`].
pub(super) fn word(index: u16) -> &'static str {
    WORDS[usize::from(index) % COUNT]
}

/// The words that begin so, in alphabetical order: what a person typing a code may mean. Four letters
/// leave at most one.
///
/// # Examples
///
/// ```
/// assert_eq!(gimlet_apps::code::complete("cros"), ["cross"]);
/// assert_eq!(gimlet_apps::code::complete("zo"), ["zone", "zoo"]);
/// ```
pub fn complete(prefix: &str) -> &'static [&'static str] {
    let prefix = prefix.to_ascii_lowercase();
    let from = WORDS.partition_point(|word| *word < prefix.as_str());
    let fitting = WORDS[from..]
        .iter()
        .take_while(|word| word.starts_with(&prefix));
    &WORDS[from..from + fitting.count()]
}

/// The one word that is meant by a text: itself, or what only it begins with.
pub(super) fn meant(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    match (text.is_empty(), complete(&text)) {
        (true, _) | (false, []) => None,
        (false, [only]) => Some(only),
        // "add" is a word, and the beginning of "addict" and "address".
        (false, [first, ..]) => (*first == text).then_some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_known_by_four_letters() {
        assert_eq!(WORDS.len(), COUNT);
        assert!(WORDS.is_sorted());
        let beginning = |word: &'static str| &word[..word.len().min(4)];
        let mut beginnings: Vec<_> = WORDS.iter().map(|word| beginning(word)).collect();
        beginnings.dedup();
        assert_eq!(beginnings.len(), COUNT);
    }

    #[test]
    fn a_unique_beginning_means_its_word() {
        assert_eq!(meant("Clow"), Some("clown"));
        assert_eq!(meant("add"), Some("add"));
        assert_eq!(meant("addr"), Some("address"));
        for text in ["", "ad", "xyzzy", "addressee", "ä"] {
            assert_eq!(meant(text), None, "{text}");
        }
    }
}
