//! The rows of the lab's tables.

use anstyle::Style;

use crate::lab::cell::Outcome;
use crate::lab::files::Carried;
use crate::lab::moving::Moved;
use crate::lab::plan::Path;
use crate::lab::tun::Probed;
use crate::term::table::{Table, number, text};
use crate::term::{BAD, DIM, GOOD, NOTE};

/// Pairs of sites.
pub(super) const PAIRS: Table<'_, 10> = Table([
    text("from", 14),
    text("to", 18),
    text("path", 6),
    text("strategy", 14),
    number("sign-in", 8),
    number("connected", 10),
    number("direct", 10),
    number("bench", 9),
    text("transfer", 8),
    number("took", 6),
]);

/// Transfers that had to survive something.
pub(super) const MOVED: Table<'_, 6> = Table([
    text("event", 18),
    text("both at", 14),
    number("back in", 9),
    number("at most", 9),
    number("verified", 9),
    number("took", 7),
]);

/// Files.
pub(super) const CARRIED: Table<'_, 9> = Table([
    text("file, went", 12),
    number("size", 9),
    number("kills", 6),
    number("moves", 6),
    number("relayed", 8),
    number("sent twice", 11),
    number("at most", 10),
    number("pause", 8),
    number("took", 8),
]);

/// What the prober says of each NAT.
pub(super) const PROBED: Table<'_, 5> = Table([
    text("site", 18),
    text("mapping", 26),
    text("filtering", 26),
    text("allocation", 12),
    number("took", 8),
]);

pub(super) fn cells(outcome: &Outcome) -> [(Style, String); 10] {
    let plain = Style::new();
    let path = outcome.word("path").to_owned();
    let path_style = match outcome.expected.path {
        expected if path != expected.word() => BAD,
        Path::Direct => GOOD,
        Path::Relay => NOTE,
    };
    let ms = |key| {
        (
            plain,
            outcome
                .ms(key)
                .map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
        )
    };
    let rate = outcome.bench["mib_per_s"].as_f64();
    let transfer = match outcome.verified_bytes {
        Some(_) => (GOOD, "verified".to_owned()),
        None => (BAD, "failed".to_owned()),
    };
    [
        (plain, outcome.a.to_owned()),
        (plain, outcome.b.to_owned()),
        (path_style, path),
        (plain, outcome.word("strategy").to_owned()),
        ms("sign_in_ms"),
        ms("connected_ms"),
        ms("direct_ms"),
        (
            plain,
            rate.map_or("-".to_owned(), |rate| format!("{rate:.0} MiB/s")),
        ),
        transfer,
        (DIM, format!("{:.1} s", outcome.elapsed_ms as f64 / 1000.0)),
    ]
}

pub(super) fn probed_cells(probed: &Probed) -> [(Style, String); 5] {
    let plain = Style::new();
    let [mapping, filtering, allocation] = [0, 1, 2].map(|at| {
        let says = probed.says[at].as_deref();
        let style = if says == Some(probed.must[at]) {
            GOOD
        } else {
            BAD
        };
        (style, says.unwrap_or("-").to_owned())
    });
    let took = probed
        .took_ms
        .map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
    let site = (plain, probed.site.to_owned());
    [site, mapping, filtering, allocation, (DIM, took)]
}

pub(super) fn carried_cells(carried: &Carried) -> [(Style, String); 9] {
    let plain = Style::new();
    let style = if carried.failure.is_none() { GOOD } else { BAD };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let share = carried.relayed_share;
    let lost =
        |bytes: Option<u64>| bytes.map_or("-".to_owned(), |bytes| format!("{:.2} MiB", mib(bytes)));
    [
        (plain, carried.way.name().to_owned()),
        (plain, format!("{:.0} MiB", mib(carried.bytes))),
        (plain, carried.kills.to_string()),
        (plain, carried.moves.to_string()),
        (
            plain,
            share.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0)),
        ),
        (plain, lost(carried.twice)),
        (style, lost(carried.most)),
        (plain, carried.pause_ms.map_or("-".to_owned(), seconds)),
        (DIM, seconds(carried.elapsed_ms)),
    ]
}

pub(super) fn moved_cells(moved: &Moved) -> [(Style, String); 6] {
    let plain = Style::new();
    let style = if moved.failure.is_none() { GOOD } else { BAD };
    let ms = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let verified = moved.verified_bytes.map_or("-".to_owned(), mib);
    [
        (plain, moved.event.describe().to_owned()),
        (plain, moved.site.to_owned()),
        (style, ms(moved.back_ms)),
        (DIM, ms(Some(moved.limit_ms))),
        (plain, verified),
        (DIM, format!("{:.1} s", moved.elapsed_ms as f64 / 1000.0)),
    ]
}
