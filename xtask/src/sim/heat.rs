//! The map of all pairs as a picture.

use std::fmt::Write;

use gimlet_trial::{Expectation, Figures, Site};

use super::plan::Pair;
use super::report::Report;

/// Size of a cell, and where the first one is.
const CELL: (f64, f64) = (58.0, 40.0);
const ORIGIN: (f64, f64) = (112.0, 150.0);
const GAP: f64 = 2.0;

/// What a colour is made of. Blue and orange are told apart by every kind of colour vision, and differ
/// in brightness too.
struct Look {
    fill: &'static str,
    ink: &'static str,
}

const PLAIN: Look = Look {
    fill: "#1d6fb8",
    ink: "#ffffff",
};
const FOUND: Look = Look {
    fill: "#f0a830",
    ink: "#1f2937",
};
const SOME: Look = Look {
    fill: "#fbe3b5",
    ink: "#1f2937",
};
const RELAYED: Look = Look {
    fill: "#eceff3",
    ink: "#6b7280",
};

/// The picture.
pub(super) fn svg(report: &Report) -> String {
    let count = Site::ALL.len() as f64;
    let (width, height) = (
        ORIGIN.0 + count * CELL.0 + 40.0,
        ORIGIN.1 + count * CELL.1 + 76.0,
    );
    let mut out = String::new();
    let _infallible = write!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d" font-family="system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif">
  <title id="t">Which pairs of NATs Gimlet joins directly</title>
  <desc id="d">A square of sites: rows dial, columns answer. Blue pairs are joined by plain checks, orange ones by a search for a port, grey ones stay relayed. Each cell has the share of direct attempts and the median time.</desc>
  <rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>
  <text x="20" y="34" font-size="20" font-weight="600" fill="#0f172a">Which pairs of NATs Gimlet joins directly</text>
  <text x="20" y="56" font-size="13" fill="#475569">{}</text>
"##,
        subtitle(report)
    );
    for (n, site) in Site::ALL.into_iter().enumerate() {
        let (x, y) = at(n, n);
        label_column(&mut out, site, x + CELL.0 / 2.0);
        label_row(&mut out, site, y + CELL.1 / 2.0);
    }
    for (row, dialer) in Site::ALL.into_iter().enumerate() {
        for (column, acceptor) in Site::ALL.into_iter().enumerate() {
            if let Some(figures) = report.pooled.get(&Pair { dialer, acceptor }) {
                cell(
                    &mut out,
                    at(row, column),
                    Pair { dialer, acceptor },
                    figures,
                );
            }
        }
    }
    legend(&mut out, ORIGIN.1 + count * CELL.1 + 34.0);
    out + "</svg>\n"
}

fn subtitle(report: &Report) -> String {
    let losses: Vec<_> = report
        .losses
        .iter()
        .map(|loss| format!("{} %", 100.0 * loss))
        .collect();
    let attempts = report.pooled.values().map(|f| u64::from(f.direct.of)).sum();
    format!(
        "{} simulated attempts; one way 0 to 150 ms, {} loss, others behind the same NATs. Rows dial, columns answer.",
        thousands(attempts),
        losses.join(" and ")
    )
}

/// 123,456.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect();
    groups.join(",")
}

fn at(row: usize, column: usize) -> (f64, f64) {
    (
        ORIGIN.0 + column as f64 * CELL.0,
        ORIGIN.1 + row as f64 * CELL.1,
    )
}

fn label_column(out: &mut String, site: Site, x: f64) {
    let y = ORIGIN.1 - 8.0;
    let _infallible = writeln!(
        out,
        r##"  <text transform="translate({} {y}) rotate(-45)" font-size="13" fill="#0f172a">{site}</text>"##,
        x + 4.0
    );
}

fn label_row(out: &mut String, site: Site, y: f64) {
    let _infallible = writeln!(
        out,
        r##"  <text x="{}" y="{}" text-anchor="end" font-size="13" fill="#0f172a">{site}</text>"##,
        ORIGIN.0 - 8.0,
        y + 4.5
    );
}

fn cell(out: &mut String, (x, y): (f64, f64), pair: Pair, figures: &Figures) {
    let Look { fill, ink } = look(pair.expectation(), figures);
    let (width, height) = (CELL.0 - GAP, CELL.1 - GAP);
    let middle = x + width / 2.0;
    let tip = format!(
        "{} dials {}: {} direct",
        pair.dialer,
        pair.acceptor,
        super::table::share(&figures.direct)
    );
    let _infallible = writeln!(
        out,
        r##"  <g><title>{tip}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}"/>"##
    );
    let mut line = |y: f64, size: u32, weight: u32, text: &str| {
        let _infallible = write!(
            out,
            r##"<text x="{middle}" y="{y}" text-anchor="middle" font-size="{size}" font-weight="{weight}" fill="{ink}">{text}</text>"##
        );
    };
    match figures.after_connect_ms {
        Some(times) => {
            line(
                y + 16.5,
                13,
                600,
                &super::table::percent(figures.direct.value()),
            );
            line(y + 31.0, 11, 400, &format!("{:.2} s", times.p50 / 1000.0));
        }
        None => line(y + 23.0, 11, 400, "relay"),
    }
    out.push_str("</g>\n");
}

fn look(expectation: Expectation, figures: &Figures) -> &'static Look {
    match (figures.direct, expectation) {
        (direct, _) if direct.count == 0 => &RELAYED,
        (direct, _) if direct.value() < 0.9 => &SOME,
        (_, Expectation::Plain) => &PLAIN,
        (_, Expectation::Searched { .. } | Expectation::Measured | Expectation::Relayed { .. }) => {
            &FOUND
        }
    }
}

fn legend(out: &mut String, y: f64) {
    let entries = [
        (&PLAIN, "plain checks"),
        (&FOUND, "a search for a port"),
        (&SOME, "sometimes"),
        (&RELAYED, "stays relayed"),
    ];
    let mut x = ORIGIN.0;
    for (look, text) in entries {
        let _infallible = writeln!(
            out,
            r##"  <rect x="{x}" y="{}" width="18" height="18" rx="4" fill="{}"/><text x="{}" y="{}" font-size="13" fill="#334155">{text}</text>"##,
            y - 13.0,
            look.fill,
            x + 26.0,
            y + 1.0
        );
        x += 54.0 + 7.0 * text.len() as f64;
    }
    let _infallible = writeln!(
        out,
        r##"  <text x="{x}" y="{}" font-size="13" fill="#334155">share direct, median time from connect</text>"##,
        y + 1.0
    );
}
