//! How congestion controllers do on links that are far, lossy or shared: the tables of `docs/links.md`.
//!
//! ```text
//! cargo run --release -p gimlet-tests --example links
//! cargo run --release -p gimlet-tests --example links -- lossy   # rows whose name has this in it
//! ```

use std::sync::Arc;
use std::time::Duration;

use gimlet_net::congestion::DiscerningConfig;
use gimlet_tests::{Controllers, Flow, Line, Seen, Sites, World};
use quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};

const SEED: u64 = 1;

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

/// The share of one flow beside plain CUBIC in 30 s, begun five seconds before or after it.
fn beside_cubic(line: &Line, controllers: Controllers, first: bool) -> (f64, f64) {
    in_virtual_time(async {
        let mut world = World::new(SEED);
        let mut sites = Sites::new(&mut world, line);
        let ((from, to), (other_from, other_to)) = (sites.pair(&mut world), sites.pair(&mut world));
        let head_start = Duration::from_secs(5);
        let cubic = Arc::new(CubicConfig::default());
        let (flow, other);
        if first {
            flow = Flow::plain(&from, &to, controllers).await;
            tokio::time::sleep(head_start).await;
            other = Flow::plain(&other_from, &other_to, cubic).await;
        } else {
            other = Flow::plain(&other_from, &other_to, cubic).await;
            tokio::time::sleep(head_start).await;
            flow = Flow::plain(&from, &to, controllers).await;
        }
        let time = Duration::from_secs(30);
        let (ours, theirs) = tokio::join!(flow.watch(time), other.watch(time));
        let sum = ours.goodput + theirs.goodput;
        (ours.goodput / sum, sum)
    })
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    println!("| line | controller | MB/s | lost, % | round trip, median and p95, ms |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, line) in lines() {
        for (controller, factory) in controllers() {
            if !name.contains(&wanted) && !controller.contains(&wanted) {
                continue;
            }
            let time = if line.rate.is_none() { 4 } else { 30 };
            let seen = alone(&line, factory, Duration::from_secs(time));
            println!(
                "| {name} | {controller} | {:.2} | {:.2} | {} and {} |",
                seen.goodput,
                seen.lost * 100.0,
                seen.rtt.as_millis(),
                seen.rtt_p95.as_millis()
            );
        }
    }
    println!(
        "\n| beside CUBIC | controller | share begun first, % | begun second, % | both, MB/s |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (kib, ms) in [(32, 40), (256, 40), (1024, 40), (256, 200), (1024, 200)] {
        let rtt = Duration::from_millis(ms);
        let line = Line {
            queue: kib << 10,
            rtt,
            ..Line::common()
        };
        let name = format!("shared, {kib} KiB queue, {ms} ms");
        for (controller, factory) in controllers() {
            if !name.contains(&wanted) && !controller.contains(&wanted) {
                continue;
            }
            let (first, sum) = beside_cubic(&line, factory.clone(), true);
            let (second, _) = beside_cubic(&line, factory, false);
            println!(
                "| {name} | {controller} | {:.0} | {:.0} | {sum:.1} |",
                first * 100.0,
                second * 100.0
            );
        }
    }
}
