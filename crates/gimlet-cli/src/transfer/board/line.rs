//! The line that moves: how far all transfers are.

use gimlet_apps::files::Progress as Far;

use super::Side;
use super::rate::Rate;
use crate::transfer::news::units::{size, span};

/// A transfer under way.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) side: Side,
    pub(super) far: Far,
    pub(super) rate: Rate,
    pub(super) path: &'static str,
}

/// The line that moves, without its bar where it would not fit.
pub(super) fn line<'a>(rows: impl Iterator<Item = &'a Row>, columns: usize) -> Option<String> {
    let rows: Vec<&Row> = rows.filter(|row| row.far.total > 0).collect();
    let (bytes, total) = rows.iter().fold((0, 0), |(bytes, total), row| {
        (bytes + row.far.bytes, total + row.far.total)
    });
    let rate: f64 = rows.iter().map(|row| row.rate.now).sum();
    let first = rows.first()?;
    let arrow = match first.side {
        Side::Sending => "to",
        Side::Receiving => "from",
    };
    let who = match rows.len() {
        1 => format!("{arrow} {}", first.label),
        some => format!("{arrow} {some} peers"),
    };
    let part = bytes as f64 / total as f64;
    let mut text = format!(
        "{:3.0}% of {}, {}/s",
        (part * 100.0).floor(),
        size(total),
        size(rate as u64)
    );
    if rate > 0.0 && bytes < total {
        let left = (total - bytes) as f64 / rate;
        text += &format!(", {} left", span(left.min(360_000.0)));
    }
    text += &format!(", {} {who}", first.path);
    let whole = format!("{} {text}", bar(part));
    let fitting = match whole.chars().count() <= columns {
        true => whole,
        false => text,
    };
    Some(fitting.chars().take(columns).collect())
}

/// Ten columns of a bar.
fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * 10.0).floor() as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(10 - full))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn row(bytes: u64, total: u64, now: f64) -> Row {
        let far = Far {
            bytes,
            total,
            ..Far::default()
        };
        let mut rate = Rate::new(Instant::now());
        rate.now = now;
        Row {
            label: "bob".to_owned(),
            side: Side::Sending,
            far,
            rate,
            path: "direct",
        }
    }

    #[test]
    fn the_moving_line_has_rate_time_left_and_path_and_fits() {
        let half = row(512 << 20, 1 << 30, f64::from(64 << 20));
        assert_eq!(
            line([&half].into_iter(), 79).unwrap(),
            "[#####.....]  50% of 1.0 GiB, 64.0 MiB/s, 8.0 s left, direct to bob"
        );
        assert_eq!(
            line([&half, &half].into_iter(), 79).unwrap(),
            "[#####.....]  50% of 2.0 GiB, 128.0 MiB/s, 8.0 s left, direct to 2 peers"
        );
        assert_eq!(line([&row(0, 0, 0.0)].into_iter(), 79), None);
        let mut long = row(1, 1 << 50, 1.0);
        long.label = "x".repeat(100);
        assert_eq!(line([&long].into_iter(), 79).unwrap().chars().count(), 79);
        assert_eq!(
            line([&half].into_iter(), 60).unwrap(),
            " 50% of 1.0 GiB, 64.0 MiB/s, 8.0 s left, direct to bob"
        );
    }
}
