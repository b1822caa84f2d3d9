//! The report as Markdown: the whole of it, and the page in `docs/`.

use std::fmt::Write;

use gimlet_trial::{Expectation, Figures, Site};

use super::report::{CellReport, Report, Weighted, in_words};
use super::table::{percent, share, spread, time};

/// `docs/traversal.md`.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::from(include_str!("../../data/traversal-head.md"));
    out += "\n![Which pairs of NATs are joined directly](traversal.svg)\n\n";
    let trials = super::heat::thousands(report.trials());
    let _infallible = writeln!(out, "This is seed {}: {trials} attempts.\n", report.seed);
    out += "## What must hold\n\n";
    checks(&mut out, report);
    out += "\n## Pairs that need a search\n\n";
    out += "All loss rates together, both directions. Times are from the call of `connect` until both sides have a direct path \
            that data has passed over, packets those that a side sends until then, p50 / p95.\n\n";
    searched(&mut out, report);
    out += "\n## When two hosts of a population meet\n\n";
    populations(&mut out, report);
    out += "\n## What the sites are\n\n";
    sites(&mut out);
    out += "\n";
    out += include_str!("../../data/traversal-tail.md");
    out
}

/// Everything, cell by cell.
pub(super) fn full(report: &Report) -> String {
    let mut out = format!("# Simulated attempts\n\nSeed {}.\n\n", report.seed);
    checks(&mut out, report);
    if report.complete {
        out += "\n![Which pairs of NATs are joined directly](sim.svg)\n\n";
        populations(&mut out, report);
    }
    out += "\n| dialer | acceptor | setting | loss | oracle | expected | direct | from connect | from exchange | packets, dialer | acceptor |\n";
    out += "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for cell in &report.cells {
        line(&mut out, cell);
    }
    out += "\nTimes and packets are p50 / p95; the interval is Wilson's, 95 %.\n";
    out
}

fn line(out: &mut String, cell: &CellReport) {
    let figures = &cell.figures;
    let missed = match cell.met {
        Some(false) => " **missed**",
        Some(true) | None => "",
    };
    let _infallible = writeln!(
        out,
        "| {} | {} | {} | {} % | {:?} | {}{missed} | {} | {} | {} | {} | {} |",
        cell.dialer,
        cell.acceptor,
        cell.setting,
        100.0 * cell.loss,
        cell.oracle,
        cell.expected,
        share(&figures.direct),
        spread(figures.after_connect_ms, time),
        spread(figures.after_exchange_ms, time),
        packets(figures.sent_by_dialer),
        packets(figures.sent_by_acceptor),
    );
}

fn packets(sent: gimlet_trial::Spread) -> String {
    spread(Some(sent), |n| format!("{n:.0}"))
}

fn checks(out: &mut String, report: &Report) {
    *out += "| | what must hold | found |\n| --- | --- | --- |\n";
    for check in &report.checks {
        let mark = if check.holds() { "yes" } else { "**no**" };
        let _infallible = writeln!(out, "| {mark} | {} | {} |", check.rule, check.found);
        for missed in &check.missed {
            let _infallible = writeln!(out, "| | | missed: {missed} |");
        }
    }
}

/// Every pair that plain checks cannot join and a search can, one line for both directions.
fn searched(out: &mut String, report: &Report) {
    *out += "| dials | answers | promised | direct | from connect | packets, dialer | acceptor | found by |\n";
    *out += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (pair, figures) in &report.pooled {
        match pair.expectation() {
            Expectation::Searched { .. } => (),
            Expectation::Measured if figures.direct.count > 0 => (),
            Expectation::Measured | Expectation::Plain | Expectation::Relayed { .. } => continue,
        }
        let _infallible = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            pair.dialer,
            pair.acceptor,
            in_words(pair.expectation()),
            share(&figures.direct),
            spread(figures.after_connect_ms, time),
            packets(figures.sent_by_dialer),
            packets(figures.sent_by_acceptor),
            found_by(figures),
        );
    }
}

fn found_by(figures: &Figures) -> String {
    let names: Vec<_> = figures.strategies.keys().copied().collect();
    match names.is_empty() {
        true => "–".to_owned(),
        false => names.join(", "),
    }
}

fn populations(out: &mut String, report: &Report) {
    let of = |w: &Weighted, strategy: &str| w.by_strategy.get(strategy).copied().unwrap_or(0.0);
    *out += "| population | direct | by plain checks | by predicting a port | by a birthday search | relayed |\n";
    *out += "| --- | --- | --- | --- | --- | --- |\n";
    for w in &report.populations {
        let _infallible = writeln!(
            out,
            "| {} | **{}** | {} | {} | {} | {} |",
            w.name,
            percent_1(w.direct),
            percent_1(w.plain),
            percent_1(w.direct - w.plain - of(w, "birthday")),
            percent_1(of(w, "birthday")),
            percent_1(1.0 - w.direct),
        );
    }
    *out += "\n";
    for w in &report.populations {
        let _infallible = writeln!(out, "- **{}**: {}", w.name, w.source.trim());
    }
}

fn percent_1(value: f64) -> String {
    percent((value * 1000.0).round() / 1000.0)
}

fn sites(out: &mut String) {
    *out += "| site | what it is | in terms of RFC 4787 |\n| --- | --- | --- |\n";
    for site in Site::ALL {
        let _infallible = writeln!(
            out,
            "| {site} | {} | {} |",
            site.in_words(),
            site.in_terms()
        );
    }
    let _infallible = writeln!(
        out,
        "\nEIM, ADM, APDM: endpoint-independent, address-dependent, address-and-port-dependent mapping. EIF, ADF, APDF: the same for filtering."
    );
}
