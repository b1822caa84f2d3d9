//! The line typed last, as long as it stands right above the one being typed: it can be marked there.

use std::sync::{Arc, Mutex, PoisonError};

use crate::width;

/// Shared by the thread that reads and the one that prints.
#[derive(Clone, Default)]
pub(super) struct Last(Arc<Mutex<Typed>>);

#[derive(Debug, Default, Clone, Copy)]
struct Typed {
    /// How many lines were typed.
    number: u64,
    /// How many columns the last one takes, while nothing was printed behind it.
    columns: Option<usize>,
}

impl Last {
    /// A line was typed behind that prompt.
    pub(super) fn typed(&self, prompt: &str, line: &str) {
        // How wide other characters are depends on the terminal.
        let is_plain = prompt.is_ascii() && line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let columns = prompt.len() + line.len();
        let fits = is_plain && columns + 2 < width();
        self.change(|last| {
            last.number += 1;
            last.columns = fits.then_some(columns);
        });
    }

    /// Something else was printed.
    pub(super) fn printed(&self) {
        self.change(|last| last.columns = None);
    }

    /// What marks the line of that number, if it still stands right above the prompt: up, to its end, the
    /// mark, and down again.
    pub(super) fn mark(&self, number: u64) -> Option<String> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = last.columns.filter(|_| last.number == number)?;
        Some(format!("\x1b[1A\x1b[{}G✓\n", columns + 2))
    }

    fn change(&self, change: impl FnOnce(&mut Typed)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Columns of the terminal. Marks are printed on lines of their own where the cursor may not move as we
/// think.
fn width() -> usize {
    match cfg!(unix) {
        true => width::of_stdout().unwrap_or(80),
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_right_above_is_marked() {
        let last = Last::default();
        assert_eq!(last.mark(0), None);
        last.typed("bob> ", "hello");
        assert_eq!(last.mark(1).unwrap(), "\x1b[1A\x1b[12G✓\n");
        assert_eq!(last.mark(0), None, "another line came after it");
        last.printed();
        assert_eq!(last.mark(1), None, "something stands between");
        last.typed("bob> ", "é");
        assert_eq!(last.mark(2), None, "who knows how wide it is");
        last.typed("bob> ", &"x".repeat(10_000));
        assert_eq!(last.mark(3), None, "it takes several rows");
    }
}
