//! One line on the terminal that says what is going on, rewritten in place and gone at the end.

use std::fmt;
use std::io::{IsTerminal, Write};

use crate::output::Output;
use crate::width;

/// Shows nothing where standard error is no terminal, or nobody wants to read.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    enabled: bool,
}

/// Columns used at most: further right nobody looks.
const WIDEST: usize = 79;

/// Back to the first column, and the line cleared from there.
const CLEAR: &str = "\r\x1b[K";

impl Progress {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            shown: false,
            enabled: output.talks() && std::io::stderr().is_terminal(),
        }
    }

    /// Puts `text` in place of what was shown. What does not fit in a line is cut off: a line that
    /// wrapped could not be taken away again.
    pub(crate) fn show(&mut self, text: impl fmt::Display) {
        if self.enabled {
            self.shown = true;
            let text: String = text.to_string().chars().take(Self::columns()).collect();
            self.write(format_args!("{CLEAR}{text}"));
        }
    }

    /// How many of them fit. Some terminals wrap behind the last column, so that one is left free.
    pub(crate) fn columns() -> usize {
        width::of_stderr().map_or(WIDEST, |columns| (columns - 1).min(WIDEST))
    }

    /// Takes it away, so that other lines can be written.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            self.write(format_args!("{CLEAR}"));
        }
    }

    fn write(&self, text: fmt::Arguments<'_>) {
        let mut out = std::io::stderr().lock();
        // Nobody can be told that standard error is gone.
        let _ = out.write_fmt(text).and_then(|()| out.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
