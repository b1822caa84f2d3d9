//! What tasks print: colours, and [tables](table). `anstream` drops the colours where they are not
//! wanted (no terminal, or `NO_COLOR`).

pub(crate) mod table;

use anstyle::{AnsiColor, Style};

/// For what went right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// For what went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what is neither, but worth an eye.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// For headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// For what matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// `text` in a style.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
