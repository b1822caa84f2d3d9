//! How wide terminals are, and text that fits.

use std::fmt::Write as _;
use std::io::IsTerminal;

/// Fewest columns that are taken for true: on less nothing could be read, and some report none at all.
const NARROWEST: usize = 20;

/// Columns of the terminal that standard output is; `None` where it is none.
#[cfg(unix)]
pub(crate) fn of_stdout() -> Option<usize> {
    let out = std::io::stdout();
    out.is_terminal().then(|| columns(&out)).flatten()
}

/// The same for standard error.
#[cfg(unix)]
pub(crate) fn of_stderr() -> Option<usize> {
    let out = std::io::stderr();
    out.is_terminal().then(|| columns(&out)).flatten()
}

#[cfg(unix)]
fn columns(terminal: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns >= NARROWEST)
}

/// Not asked for here.
#[cfg(not(unix))]
pub(crate) fn of_stdout() -> Option<usize> {
    std::io::stdout().is_terminal().then_some(4 * NARROWEST)
}

/// Not asked for here.
#[cfg(not(unix))]
pub(crate) fn of_stderr() -> Option<usize> {
    std::io::stderr().is_terminal().then_some(4 * NARROWEST)
}

/// Text in lines of at most so many columns; a longer word stands alone.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        let columns = line.chars().count();
        if columns > 0 && columns + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if columns > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Text that begins in that column and goes on there in the next line, where a terminal is too narrow for
/// it. For whoever reads it by program it stays one line.
pub(crate) fn hung(text: &str, column: usize, width: Option<usize>) -> String {
    let room = width.map(|width| width.saturating_sub(column));
    // A column of a few letters would only be harder to read.
    let Some(room) = room.filter(|&room| room >= NARROWEST / 2) else {
        return text.to_owned();
    };
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut lines = wrapped(text, room).into_iter();
    let mut hung = lines.next().unwrap_or_default();
    for line in lines {
        // Writing to text never fails.
        let _ = write!(hung, "\n{:column$}{line}", "");
    }
    hung
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_long_ones_stand_alone() {
        assert_eq!(
            wrapped("a bb ccc dddddd e", 4),
            ["a bb", "ccc", "dddddd", "e"]
        );
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn only_what_does_not_fit_hangs() {
        let text = "one two three four five";
        assert_eq!(hung(text, 4, None), text);
        assert_eq!(hung(text, 4, Some(80)), text);
        assert_eq!(hung(text, 4, Some(20)), "one two three\n    four five");
        assert_eq!(
            hung(text, 15, Some(20)),
            text,
            "there is no room to hang in"
        );
    }
}
