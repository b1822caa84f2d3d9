//! How congestion controllers do on links that are far, lossy or shared: the tables of `docs/links.md`.
//!
//! ```text
//! cargo run --release -p gimlet-tests --example links
//! cargo run --release -p gimlet-tests --example links -- lossy           # rows that have this in them
//! cargo run --release -p gimlet-tests --example links -- shared Gimlet   # of these, one controller's
//! ```

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::congestion::DiscerningConfig;
use gimlet_tests::{Controllers, Flow, Line, Seen, Sites, World};
use quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};

const SEED: u64 = 1;

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

fn controllers() -> [(&'static str, Controllers); 4] {
    [
        ("CUBIC", Arc::new(CubicConfig::default())),
        ("NewReno", Arc::new(NewRenoConfig::default())),
        ("quinn's BBR", Arc::new(BbrConfig::default())),
        ("Gimlet", Arc::new(DiscerningConfig)),
    ]
}

fn lines() -> Vec<(String, Line)> {
    let common = Line::common;
    let mut lines = vec![
        (
            "unlimited".to_owned(),
            Line {
                rate: None,
                ..common()
            },
        ),
        ("clean".to_owned(), common()),
        (
            "clean, 32 KiB queue".to_owned(),
            Line {
                queue: 32 << 10,
                ..common()
            },
        ),
        (
            "clean, 1 MiB queue".to_owned(),
            Line {
                queue: 1 << 20,
                ..common()
            },
        ),
    ];
    for percent in [0.1, 0.5, 1.0, 2.0, 5.0] {
        let line = Line {
            loss: percent / 100.0,
            ..common()
        };
        lines.push((format!("lossy, {percent} %"), line));
    }
    for ms in [5, 20] {
        let jitter = Duration::from_millis(ms);
        let line = Line {
            jitter,
            loss: 0.005,
            ..common()
        };
        lines.push((format!("jitter of {ms} ms, lossy, 0.5 %"), line));
    }
    for ms in [200, 300] {
        let far = Line {
            rtt: Duration::from_millis(ms),
            ..common()
        };
        lines.push((format!("far, {ms} ms"), far.clone()));
        lines.push((
            format!("far, {ms} ms, lossy, 0.5 %"),
            Line { loss: 0.005, ..far },
        ));
    }
    lines
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(work)
}

/// One flow alone, from its beginning.
fn alone(line: &Line, controllers: Controllers, time: Duration) -> Seen {
    in_virtual_time(async {
        let mut world = World::new(SEED);
        let mut sites = Sites::new(&mut world, line);
        let (from, to) = sites.pair(&mut world);
        Flow::plain(&from, &to, controllers).await.watch(time).await
    })
}

/// Two flows over one line, the second begun five seconds after the first, for a minute after they had
/// time to settle ([`settling`]): the first's share in percent, both in MB a second, and the median of
/// the first's round trip.
fn together(line: &Line, first: Controllers, second: Controllers) -> (f64, f64, Duration) {
    in_virtual_time(async {
        let mut world = World::new(SEED);
        let mut sites = Sites::new(&mut world, line);
        let (places, others) = (sites.pair(&mut world), sites.pair(&mut world));
        let first = Flow::plain(&places.0, &places.1, first).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let second = Flow::plain(&others.0, &others.1, second).await;
        tokio::time::sleep(settling(line)).await;
        let time = Duration::from_secs(60);
        let (first, second) = tokio::join!(first.watch(time), second.watch(time));
        let sum = first.goodput + second.goodput;
        (first.goodput / sum * 100.0, sum, first.rtt)
    })
}

/// Time in which flows find their shares: CUBIC comes back to a full window in some 14 s where that is
/// 3,500 packets (RFC 9438 section 4.2), and it takes some cuts.
fn settling(line: &Line) -> Duration {
    line.rtt * 300
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (wanted, only) = (
        args.next().unwrap_or_default(),
        args.next().unwrap_or_default(),
    );
    let is_wanted = |line: &str, name: &str| {
        (line.contains(&wanted) || name.contains(&wanted)) && name.contains(&only)
    };
    println!("| line | controller | MB/s | lost, % | round trip, median and p95, ms |");
    println!("| --- | --- | --- | --- | --- |");
    for (line_name, line) in lines() {
        for (name, controllers) in controllers() {
            if !is_wanted(&line_name, name) {
                continue;
            }
            let seconds = if line.rate.is_none() { 4 } else { 30 };
            let seen = alone(&line, controllers, Duration::from_secs(seconds));
            println!(
                "| {line_name} | {name} | {:.2} | {:.2} | {}, {} |",
                seen.goodput,
                seen.lost * 100.0,
                seen.rtt.as_millis(),
                seen.rtt_p95.as_millis()
            );
        }
    }
    println!(
        "\n| shared | controller | its share beside CUBIC, begun first, % | begun second | both, MB/s | \
         the first's of two of its kind, % | both, MB/s | round trip, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (kib, ms) in SHARED {
        let rtt = Duration::from_millis(ms);
        let line = Line {
            queue: kib << 10,
            rtt,
            ..Line::common()
        };
        let line_name = format!("shared, {kib} KiB queue, {ms} ms");
        for (name, controllers) in controllers() {
            if !is_wanted(&line_name, name) {
                continue;
            }
            let cubic: Controllers = Arc::new(CubicConfig::default());
            let (first, sum, _) = together(&line, controllers.clone(), cubic.clone());
            let (others, _, _) = together(&line, cubic, controllers.clone());
            let (twin, twins, rtt) = together(&line, controllers.clone(), controllers);
            println!(
                "| {line_name} | {name} | {first:.0} | {:.0} | {sum:.1} | {twin:.0} | {twins:.1} | {} |",
                100.0 - others,
                rtt.as_millis()
            );
        }
    }
}
