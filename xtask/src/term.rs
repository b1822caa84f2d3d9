//! What tasks print: colours, and columns that line up. `anstream` drops the colours where
//! they are not wanted (no terminal, or `NO_COLOR`).

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

/// One cell of a table row.
pub(crate) struct Column {
    /// Width to fill; longer text is not cut.
    pub(crate) width: usize,
    /// Whether the text goes to the right, as numbers do.
    pub(crate) right: bool,
}

/// A row of `cells`, each padded to its column before it is painted.
pub(crate) fn row(columns: &[Column], cells: &[(Style, String)]) -> String {
    let cells = columns.iter().zip(cells).map(|(column, (style, text))| {
        let width = column.width;
        let padded = if column.right {
            format!("{text:>width$}")
        } else {
            format!("{text:<width$}")
        };
        paint(*style, padded)
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}
