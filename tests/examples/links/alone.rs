//! One flow alone, under each controller.

use std::time::Duration;

use gimlet_tests::{Controllers, Flow, Line, Seen, Sites, World};

use super::{SEED, Wanted, controllers, in_virtual_time};

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

/// One flow alone, from its beginning.
fn alone(line: &Line, controllers: Controllers, time: Duration) -> Seen {
    in_virtual_time(async {
        let mut world = World::new(SEED);
        let mut sites = Sites::new(&mut world, line);
        let (from, to) = sites.pair(&mut world);
        Flow::plain(&from, &to, controllers).await.watch(time).await
    })
}

/// Prints the table.
pub(super) fn print(wanted: &Wanted) {
    println!("| line | controller | MB/s | lost, % | round trip, median and p95, ms |");
    println!("| --- | --- | --- | --- | --- |");
    for (line_name, line) in lines() {
        for (name, controllers) in controllers() {
            if !wanted.includes(&line_name, name) {
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
}
