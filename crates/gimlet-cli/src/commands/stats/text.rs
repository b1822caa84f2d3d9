//! Statistics as a person reads them: tables within 80 columns.

use std::fmt;

use gimlet::stats::{PairRow, Reached, Spread, Summary};

use super::Whose;
use crate::describe;
use crate::output::Table;

/// All that is known.
pub(super) struct Tables<'a> {
    pub(super) whose: Whose,
    pub(super) summary: &'a Summary,
}

impl fmt::Display for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = anstyle::Style::new().bold();
        match self.whose {
            Whose::Server { counted_s } => {
                let since = span(counted_s);
                write!(f, "{bold}Everybody on this server{bold:#}, for {since}")?;
            }
            Whose::Own => write!(f, "{bold}My own attempts{bold:#}, the last 1,000 at most")?,
        }
        let introductions = &self.summary.introductions;
        if introductions.asked == 0 {
            return f.write_str("\n\nNobody has dialled yet.");
        }
        let mut asked = Table::new(&["introductions", "count", "share"]);
        let of = introductions.asked;
        asked.row(vec!["asked for".to_owned(), of.to_string()]);
        asked.row(counted("accepted", introductions.accepted, of));
        for refusal in &introductions.refused {
            let reason = describe::word(&refusal.reason);
            asked.row(counted(&reason, refusal.count, of));
        }
        write!(f, "\n\n{asked}")?;
        if self.summary.all.attempts == 0 {
            return f.write_str("\n\nNo attempt has been reported.");
        }
        write!(f, "\n\n{}\n\n{}", self.stages(), self.pairs())?;
        if !self.summary.strategies.is_empty() {
            write!(f, "\n\n{}", self.strategies())?;
        }
        if !self.summary.failures.is_empty() {
            write!(f, "\n\n{}", self.failures())?;
        }
        match self.summary.ignored {
            0 => Ok(()),
            ignored => write!(
                f,
                "\n\n{ignored} reports were not counted: too many, or of nobody's session."
            ),
        }
    }
}

impl Tables<'_> {
    fn stages(&self) -> Table {
        let all = &self.summary.all;
        let mut table = Table::new(&["attempts", "count", "share", "half in", "95 % in"]);
        table.row(vec![
            "introduced, reported".to_owned(),
            all.attempts.to_string(),
        ]);
        for reached in &Reached::ALL[1..] {
            let stage = all.stage(*reached);
            let mut row = counted(&reached.to_string(), stage.count, all.attempts);
            row.extend(within(stage.ms));
            table.row(row);
        }
        table.row(counted("left before it was clear", all.left, all.attempts));
        table
    }

    fn pairs(&self) -> Table {
        let whose = match self.whose {
            Whose::Server { .. } => "dialer's NAT x the other's",
            Whose::Own => "my NAT x the other's",
        };
        let mut table = Table::new(&[whose, "attempts", "direct", "half in", "95 % in"]);
        for PairRow { local, remote, row } in &self.summary.pairs {
            let direct = row.stage(Reached::Direct);
            let mut cells = vec![
                format!("{local} x {remote}"),
                row.attempts.to_string(),
                format!("{} ({})", direct.count, percent(direct.count, row.attempts)),
            ];
            cells.extend(within(direct.ms));
            table.row(cells);
        }
        table
    }

    fn strategies(&self) -> Table {
        let direct = self.summary.all.stage(Reached::Direct).count;
        let heading = [
            "direct paths by",
            "count",
            "share",
            "half in",
            "95 % in",
            "checks",
        ];
        let mut table = Table::new(&heading);
        for found in &self.summary.strategies {
            let mut row = counted(found.strategy.name(), found.count, direct);
            row.extend(within(found.ms));
            row.push(
                found
                    .packets
                    .p50
                    .map_or_else(String::new, |n| n.to_string()),
            );
            table.row(row);
        }
        table
    }

    fn failures(&self) -> Table {
        let mut table = Table::new(&["not direct because", "count", "share of attempts"]);
        for failed in &self.summary.failures {
            let reason = failed.failure.reason.name();
            table.row(counted(reason, failed.count, self.summary.all.attempts));
        }
        table
    }
}

fn counted(what: &str, count: u64, of: u64) -> Vec<String> {
    let share = format!("{} of {of}", percent(count, of));
    vec![what.to_owned(), count.to_string(), share]
}

fn percent(count: u64, of: u64) -> String {
    match of {
        0 => "-".to_owned(),
        // One in a thousand is as much as anybody reads out of it; an exact hundred stays one.
        of => {
            let thousandths = u128::from(count) * 1000 / u128::from(of);
            format!("{}.{} %", thousandths / 10, thousandths % 10)
        }
    }
}

fn within(spread: Spread) -> [String; 2] {
    [spread.p50, spread.p95].map(|ms| ms.map_or_else(String::new, |ms| format!("{ms} ms")))
}

fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests;
