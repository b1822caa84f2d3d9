//! `list connected`: whom this shell talks to.

use crate::output::{self, Output, Table};

use super::hall::Line;

/// A table, or an object a line.
pub(super) fn render(output: Output, lines: &[Line]) -> String {
    if output.is_json() {
        let lines: Vec<String> = lines.iter().map(output::json).collect();
        return lines.join("\n");
    }
    if lines.is_empty() {
        return "You are talking to nobody.".to_owned();
    }
    let mut table = Table::new(&["name", "state", "path", "undelivered"]);
    for line in lines {
        table.row(vec![
            line.label.clone(),
            line.state.to_owned(),
            line.path.unwrap_or("-").to_owned(),
            line.undelivered.to_string(),
        ]);
    }
    table.to_string()
}
