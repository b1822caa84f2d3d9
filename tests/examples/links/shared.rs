//! Two flows in one queue: beside CUBIC, and beside their own kind.

use std::sync::Arc;
use std::time::Duration;

use gimlet_tests::{Controllers, Flow, Line, Sites, World};
use quinn::congestion::CubicConfig;

use super::{SEED, Wanted, controllers, in_virtual_time};

/// Queues in KiB and round trips in ms of lines that two flows share. At 40 ms a half, one and two
/// bandwidth-delay products are 244, 488 and 977 KiB, at 200 ms five times as much.
const SHARED: [(usize, u64); 9] = [
    (32, 40),
    (256, 40),
    (488, 40),
    (1024, 40),
    (256, 200),
    (1024, 200),
    (1221, 200),
    (2441, 200),
    (4883, 200),
];

/// Head start of the first of two flows.
const HEAD_START: Duration = Duration::from_secs(5);

/// What two flows over one line got.
#[derive(Debug, Clone, Copy)]
pub(super) struct Together {
    /// The first's share.
    pub(super) first: f64,
    /// Of both, MB a second.
    pub(super) goodput: f64,
    /// Median of the first's round trip.
    pub(super) rtt: Duration,
}

/// Two flows over one line, the second begun later by `head_start`, for a minute after they had time to
/// settle ([`settling`]).
pub(super) fn together(
    line: &Line,
    first: Controllers,
    second: Controllers,
    head_start: Duration,
) -> Together {
    in_virtual_time(async {
        let mut world = World::new(SEED);
        let mut sites = Sites::new(&mut world, line);
        let (places, others) = (sites.pair(&mut world), sites.pair(&mut world));
        let first = Flow::plain(&places.0, &places.1, first).await;
        tokio::time::sleep(head_start).await;
        let second = Flow::plain(&others.0, &others.1, second).await;
        tokio::time::sleep(settling(line)).await;
        let time = Duration::from_secs(60);
        let (first, second) = tokio::join!(first.watch(time), second.watch(time));
        let goodput = first.goodput + second.goodput;
        Together {
            first: first.goodput / goodput,
            goodput,
            rtt: first.rtt,
        }
    })
}

/// Time in which flows find their shares: CUBIC comes back to a full window in some 14 s where that is
/// 3,500 packets (RFC 9438 section 4.2), and it takes some cuts.
fn settling(line: &Line) -> Duration {
    line.rtt * 300
}

/// Prints the table.
pub(super) fn print(wanted: &Wanted) {
    println!(
        "\n| shared | controller | its share beside CUBIC, begun first, % | begun second | both, MB/s | \
         the first's of two of its kind, % | both, MB/s | round trip, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (kib, ms) in SHARED {
        let line = Line {
            queue: kib << 10,
            rtt: Duration::from_millis(ms),
            ..Line::common()
        };
        let line_name = format!("shared, {kib} KiB queue, {ms} ms");
        for (name, controllers) in controllers() {
            if !wanted.includes(&line_name, name) {
                continue;
            }
            let run = |first: &Controllers, second: &Controllers| {
                together(&line, first.clone(), second.clone(), HEAD_START)
            };
            let cubic: Controllers = Arc::new(CubicConfig::default());
            let begun_first = run(&controllers, &cubic);
            let begun_second = run(&cubic, &controllers);
            let twins = run(&controllers, &controllers);
            println!(
                "| {line_name} | {name} | {:.0} | {:.0} | {:.1} | {:.0} | {:.1} | {} |",
                begun_first.first * 100.0,
                100.0 - begun_second.first * 100.0,
                begun_first.goodput,
                twins.first * 100.0,
                twins.goodput,
                twins.rtt.as_millis()
            );
        }
    }
}
