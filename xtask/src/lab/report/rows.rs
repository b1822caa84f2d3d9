//! The rows of the lab's tables.

use anstyle::Style;

use crate::lab::cell::Outcome;
use crate::lab::files::Carried;
use crate::lab::moving::Moved;
use crate::lab::plan::Path;
use crate::lab::tun::Probed;
use crate::term::{BAD, Column, DIM, GOOD, NOTE};

pub(super) const COLUMNS: [Column; 10] = [
    text(14),
    text(18),
    text(6),
    text(14),
    number(8),
    number(10),
    number(10),
    number(9),
    text(8),
    number(6),
];
pub(super) const TITLES: [&str; 10] = [
    "from",
    "to",
    "path",
    "strategy",
    "sign-in",
    "connected",
    "direct",
    "bench",
    "transfer",
    "took",
];

pub(super) const MOVED_COLUMNS: [Column; 6] = [
    text(18),
    text(14),
    number(9),
    number(9),
    number(9),
    number(7),
];
pub(super) const MOVED_TITLES: [&str; 6] =
    ["event", "both at", "back in", "at most", "verified", "took"];

pub(super) const CARRIED_TITLES: [&str; 9] = [
    "file, went",
    "size",
    "kills",
    "moves",
    "relayed",
    "sent twice",
    "at most",
    "pause",
    "took",
];
pub(super) const CARRIED_COLUMNS: [Column; 9] = [
    text(12),
    number(9),
    number(6),
    number(6),
    number(8),
    number(11),
    number(10),
    number(8),
    number(8),
];

pub(super) const PROBED_TITLES: [&str; 5] = ["site", "mapping", "filtering", "allocation", "took"];
pub(super) const PROBED_COLUMNS: [Column; 5] = [text(18), text(26), text(26), text(12), number(8)];

const fn text(width: usize) -> Column {
    Column {
        width,
        right: false,
    }
}

const fn number(width: usize) -> Column {
    Column { width, right: true }
}

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
