//! What goes to standard output: JSON lines or text for people, never both.
//!
//! Everything printed is one value that is both [`Serialize`] and [`Display`](fmt::Display). Styles
//! are written always and taken out by anstream where the output is no terminal or `NO_COLOR` is
//! set. Text that a peer chose goes through [`printable`] first.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::width;

/// Prints results in the form asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether a program reads us.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person wants to be told what is going on.
    pub(crate) fn talks(&self) -> bool {
        !self.json && !self.quiet
    }

    /// Prints a result on standard output, at once.
    pub(crate) fn print<T: Serialize + fmt::Display>(&self, value: &T) -> io::Result<()> {
        self.line(self.render(value))
    }

    /// A result as one JSON line or as text, without a line end.
    pub(crate) fn render<T: Serialize + fmt::Display>(&self, value: &T) -> String {
        match self.json {
            true => json(value),
            false => value.to_string(),
        }
    }

    /// Prints what is rendered already.
    pub(crate) fn text(&self, value: &impl fmt::Display) -> io::Result<()> {
        self.line(value)
    }

    fn line(&self, line: impl fmt::Display) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Tells a person at the terminal something that is no result, on standard error.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if self.talks() {
            // Nobody can be told that standard error is gone.
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        }
    }
}

/// A value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what we print has text keys and finite numbers")
}

/// Milliseconds with one decimal: what every `_ms` key holds.
pub(crate) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The text without anything that could steer a terminal: control characters, and the marks that
/// reverse the order of what is shown.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if steers(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// One line of [`printable`] text.
pub(crate) fn printable_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// Rows with their columns aligned, two blanks apart, the first row as heading. In a terminal that is too
/// narrow, the last column goes on below itself.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let before_last = widths.iter().rev().skip(1).map(|width| width + 2).sum();
        let dim = anstyle::Style::new().dimmed();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match column + 1 == columns {
                true => width::hung(cell, before_last, width::of_stdout()),
                false => format!("{cell:<width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            match number {
                0 => write!(f, "{dim}{}{dim:#}", line.trim_end())?,
                _ => write!(f, "\n{}", line.trim_end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_decimal() {
        assert_eq!(ms(Duration::from_micros(12_345)), 12.3);
        assert_eq!(ms(Duration::from_micros(12_350)), 12.4);
        assert_eq!(ms(Duration::ZERO), 0.0);
    }

    #[test]
    fn a_peer_cannot_steer_the_terminal() {
        let shown = printable_line("\u{1b}[2Jhi\r\n\u{202e}\u{9b}x\ty\u{7f}");
        assert_eq!(shown, "\u{fffd}[2Jhi\u{fffd} \u{fffd}\u{fffd}x y\u{fffd}");
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["name", "lease"]);
        table.row(vec!["a-long-name".to_owned(), "9".to_owned()]);
        table.row(vec!["b".to_owned(), "60".to_owned()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, "name         lease\na-long-name  9\nb            60");
    }
}
