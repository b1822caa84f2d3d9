//! Tables, printed row by row as they are filled.

use anstyle::Style;

use super::{HEAD, paint};

/// A table with so many columns.
pub(crate) struct Table<'a, const N: usize>(pub(crate) [Column<'a>; N]);

/// A column of a table.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    title: &'a str,
    /// Width to fill; longer text is not cut.
    width: usize,
    /// Whether the text goes to the right, as numbers do.
    right: bool,
}

/// A column of words.
pub(crate) const fn text(title: &str, width: usize) -> Column<'_> {
    Column {
        title,
        width,
        right: false,
    }
}

/// A column of figures.
pub(crate) const fn number(title: &str, width: usize) -> Column<'_> {
    Column {
        title,
        width,
        right: true,
    }
}

impl<const N: usize> Table<'_, N> {
    /// Prints the titles of the columns.
    pub(crate) fn titles(&self) {
        self.painted(self.0.map(|column| (HEAD, column.title.to_owned())));
    }

    /// Prints a row.
    pub(crate) fn row(&self, cells: [String; N]) {
        self.painted(cells.map(|cell| (Style::new(), cell)));
    }

    /// Prints a row, each cell in a style.
    pub(crate) fn painted(&self, cells: [(Style, String); N]) {
        // Padded before it is painted: a style is letters too.
        let cells = self.0.iter().zip(cells).map(|(column, (style, text))| {
            let width = column.width;
            let padded = if column.right {
                format!("{text:>width$}")
            } else {
                format!("{text:<width$}")
            };
            paint(style, padded)
        });
        let row = cells.collect::<Vec<_>>().join("  ");
        anstream::println!("{}", row.trim_end());
    }
}
