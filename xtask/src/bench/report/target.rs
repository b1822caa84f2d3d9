//! What is promised, and whether it holds.

use anstyle::Style;
use serde::Serialize;

use super::heading;
use crate::bench::figures::Figure;
use crate::bench::files::Files;
use crate::bench::forward;
use crate::bench::message::Threads;
use crate::bench::relay::Relays;
use crate::bench::setup::Times;
use crate::bench::throughput::{Line, Variant};
use crate::bench::topic::Topics;
use crate::term::table::{Table, number, text};
use crate::term::{BAD, GOOD, paint};

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct Target {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) unit: &'static str,
    pub(super) limit: Limit,
    pub(super) met: bool,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::bench) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Judges what was measured.
    pub(in crate::bench) fn new(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        limit: Limit,
    ) -> Self {
        let met = match limit {
            Limit::AtLeast(least) => measured >= least,
            Limit::AtMost(most) => measured <= most,
        };
        Self {
            what: what.into(),
            measured,
            unit,
            limit,
            met,
        }
    }

    /// Whether it holds.
    pub(in crate::bench) fn met(&self) -> bool {
        self.met
    }
}

/// Of the simulator without loss: computing takes no time there, so these are exact.
pub(super) fn simulated(times: &Times) -> Vec<Target> {
    let at_most = |what: &str, ms, most| Target::new(what, ms, "ms", Limit::AtMost(most));
    let direct = times
        .direct
        .map_or((f64::NAN, f64::NAN), |d| (d.p50, d.p95));
    vec![
        at_most("simulated, signed in, p95", times.signed_in.p95, 130.0),
        at_most("simulated, connected, p50", times.connected.p50, 90.0),
        at_most("simulated, direct, p50", direct.0, 140.0),
        at_most("simulated, direct, p95", direct.1, 180.0),
    ]
}

/// Of loopback. The median: a scheduler that is busy elsewhere is not ours to judge.
pub(super) fn loopback(times: &Times) -> Vec<Target> {
    let direct = times.direct.map_or(f64::NAN, |direct| direct.p50);
    let limit = Limit::AtMost(10.0);
    vec![Target::new("loopback, direct, p50", direct, "ms", limit)]
}

/// Of iperf3 through a forward beside the session alone.
pub(super) fn forward(lines: &[forward::Line]) -> Vec<Target> {
    let target = |what: String, measured: Figure, least| {
        Target::new(what, measured.median, "x", Limit::AtLeast(least))
    };
    let session = lines.iter().map(|line| {
        let what = format!("forward / session, {}", line.what);
        target(what, line.ratio, 0.8)
    });
    // Over loopback iperf3's two processes and four copies take more of the processors than a session with
    // long datagrams does: what was reached, so that a step back is noticed.
    let long = lines.iter().filter_map(|line| {
        let what = format!("forward / long session, {}", line.what);
        Some(target(what, line.long_ratio?, 0.4))
    });
    session.chain(long).collect()
}

/// Of a publisher beside streams alone, at ease. Flooded, streams carry many messages in a packet, which
/// tells what QUIC can do and not what a publisher should cost.
pub(super) fn topic(topics: &Topics) -> Target {
    let p99 = topics.p99_ratio.median;
    Target::new("topic / streams, p99 at ease", p99, "x", Limit::AtMost(3.0))
}

/// Of files beside what they are measured against.
pub(super) fn files(files: &Files) -> Vec<Target> {
    let target =
        |what: String, measured, least| Target::new(what, measured, "x", Limit::AtLeast(least));
    let large = files.large.iter().map(|line| {
        let what = format!("file / session, {}, throughput", line.network);
        target(what, line.ratio.median, 0.9)
    });
    let mut targets: Vec<Target> = large.collect();
    // Over loopback both sides share the processors, of which a session with long datagrams takes as much as
    // hashing twice, reading and writing do: what was reached, so that a step back is noticed.
    let loopback = files.large.iter().filter(|line| line.is_loopback);
    targets.extend(loopback.map(|line| {
        let what = format!("file / long session, {}, throughput", line.network);
        target(what, line.long_ratio.median, 0.4)
    }));
    let small = files.small_ratio.median;
    targets.push(target("small files / tar pipe".to_owned(), small, 0.5));
    let wormhole = &files.wormhole;
    for (what, times) in [
        ("until its commands end", &wormhole.ended_ratio),
        ("until the file is on disk", &wormhole.on_disk_ratio),
    ] {
        let what = format!("magic-wormhole's time / send's, {what}");
        targets.push(target(what, times.median, 5.0));
    }
    targets
}

/// Of direct streams beside plain quinn's.
pub(super) fn throughput(lines: &[Line]) -> Vec<Target> {
    let direct = lines.iter().filter(|line| line.variant == Variant::Direct);
    let targets = direct.filter_map(|line| {
        let ratios = line.ratios?;
        let threads = threads(line.threads);
        let target = |what, ratio, limit| {
            let what = format!("direct / plain, {threads}, {what}");
            Target::new(what, ratio, "x", limit)
        };
        let most = Limit::AtMost(1.15);
        Some([
            target("throughput", ratios.mb_per_s.median, Limit::AtLeast(0.9)),
            target("CPU sending", ratios.cpu_sender.median, most),
            target("CPU receiving", ratios.cpu_receiver.median, most),
        ])
    });
    targets.flatten().collect()
}

/// Of relayed streams over TLS beside those over UDP.
pub(super) fn tls(lines: &[Line]) -> Vec<Target> {
    let over_tls = lines.iter().filter(|line| line.variant == Variant::OverTls);
    let targets = over_tls.filter_map(|line| {
        let what = format!("relayed, TLS / UDP, {}, throughput", threads(line.threads));
        let ratio = line.ratios?.mb_per_s.median;
        Some(Target::new(what, ratio, "x", Limit::AtLeast(0.7)))
    });
    targets.collect()
}

/// The same where both are bound by a link, which is about what TCP's headers and their acknowledgements take.
pub(super) fn tls_link(lines: &[Line]) -> Vec<Target> {
    let over_tls = lines.iter().filter(|line| line.variant == Variant::OverTls);
    let targets = over_tls.filter_map(|line| {
        let ratio = line.ratios?.mb_per_s.median;
        let what = "relayed, TLS / UDP, 1 Gbit/s, throughput";
        Some(Target::new(what, ratio, "x", Limit::AtLeast(0.9)))
    });
    targets.collect()
}

/// Of the flooded server.
pub(super) fn relay(relays: &Relays) -> Target {
    let cpu = relays.server.cpu.median;
    Target::new("relay, CPU", cpu, "s/GiB", Limit::AtMost(0.35))
}

/// What a runtime is called.
pub(super) fn threads(threads: Threads) -> &'static str {
    match threads {
        Threads::One => "1 thread",
        Threads::Two => "2 workers",
    }
}

/// Prints all that were judged.
pub(super) fn print(targets: &[Target]) {
    heading("targets");
    let table = Table([text("", 42), number("", 14), text("", 10), text("", 6)]);
    for target in targets {
        let (style, word) = match target.met {
            true => (GOOD, "met"),
            false => (BAD, "missed"),
        };
        let limit = match target.limit {
            Limit::AtLeast(least) => format!(">= {least}"),
            Limit::AtMost(most) => format!("<= {most}"),
        };
        let measured = format!("{:.2} {}", target.measured, target.unit);
        let plain = Style::new();
        let cells = [
            (plain, target.what.clone()),
            (plain, measured),
            (plain, limit),
            (style, word.to_owned()),
        ];
        table.painted(cells);
    }
    if targets.is_empty() {
        anstream::println!("{}", paint(Style::new(), "none in these parts"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_may_be_reached_and_what_was_not_measured_is_missed() {
        let met = |measured, limit| Target::new("", measured, "", limit).met;
        assert!(met(0.9, Limit::AtLeast(0.9)) && !met(0.89, Limit::AtLeast(0.9)));
        assert!(met(1.15, Limit::AtMost(1.15)) && !met(1.16, Limit::AtMost(1.15)));
        assert!(!met(f64::NAN, Limit::AtMost(1.0)) && !met(f64::NAN, Limit::AtLeast(1.0)));
    }
}
