//! A text as a QR code for the terminal: two rows of modules a line.

use std::fmt::Write as _;

use fast_qr::qr::QRBuilder;

/// Light modules around the code, without which it is not found (ISO/IEC 18004 asks for four).
const QUIET: usize = 4;

/// The picture; `None` where the text is too long for one. Light modules are drawn and dark ones are
/// left out: right on a dark terminal, and colours make it so on a light one.
pub(super) fn text(text: &str) -> Option<String> {
    let code = QRBuilder::new(text.as_bytes()).build().ok()?;
    let size = code.size;
    let light = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|&at| at < size);
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => !code[row][column].value(),
            _ => true,
        }
    };
    let all = size + 2 * QUIET;
    let style = anstyle::Style::new()
        .fg_color(Some(anstyle::AnsiColor::BrightWhite.into()))
        .bg_color(Some(anstyle::AnsiColor::Black.into()));
    let mut picture = String::new();
    for row in (0..all).step_by(2) {
        let cells = (0..all).map(|column| {
            // Below the last row there is nothing to draw.
            match (light(row, column), row + 1 < all && light(row + 1, column)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }
        });
        let cells: String = cells.collect();
        let end = if row + 2 < all { "\n" } else { "" };
        write!(picture, "{style}{cells}{style:#}{end}").expect("a string takes what it is given");
    }
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_its_corners_and_quiet_zone_and_fits_80_columns() {
        let picture = text("7-crystal-clock").unwrap();
        let plain = anstream::adapter::strip_str(&picture).to_string();
        let lines: Vec<Vec<char>> = plain.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(width <= 80 && lines.iter().all(|line| line.len() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        // Two rows of quiet zone in each of the first two lines.
        assert!(lines[..2].concat().iter().all(|cell| *cell == '█'));
        // The finder pattern: a dark row of seven, and a dark and light edge under it.
        let corner: String = lines[2][QUIET..QUIET + 8].iter().collect();
        assert_eq!(corner, " ▄▄▄▄▄ █");
    }

    #[test]
    fn what_fits_no_qr_code_has_none() {
        assert_eq!(text(&"x".repeat(5000)), None);
    }
}
