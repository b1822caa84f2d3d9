//! Lines with jitter of every kind that lose packets: one plain flow, and whole sessions, by seed.

use std::time::Duration;

use gimlet_sim::JitterKind;
use gimlet_tests::{Controllers, Flow, Line, Session, Sites, World};

use super::{Wanted, controllers, in_virtual_time, parallel};

/// Kinds of jitter, and what the table calls them.
const KINDS: [(&str, JitterKind); 3] = [
    ("in order", JitterKind::InOrder),
    ("in turns", JitterKind::Turns),
    ("overtaking", JitterKind::Overtaking),
];

/// Most that a packet is late each way, ms.
const JITTERS: [u64; 3] = [2, 5, 20];

/// How often each is tried.
const SEEDS: u64 = 6;

/// How long each flow is watched, after the two seconds in which it begins.
const TIME: Duration = Duration::from_secs(20);

/// What goes over the line.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plain,
    Direct,
    Relayed,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    kind: (&'static str, JitterKind),
    ms: u64,
    loss: f64,
    way: Way,
}

impl Row {
    fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for kind in KINDS {
            for ms in JITTERS {
                for loss in [0.0, 0.005] {
                    rows.extend([Way::Plain, Way::Direct, Way::Relayed].map(|way| Self {
                        kind,
                        ms,
                        loss,
                        way,
                    }));
                }
            }
        }
        rows
    }

    fn name(self) -> String {
        let (kind, percent) = (self.kind.0, self.loss * 100.0);
        format!(
            "wander, {kind}, {} ms, {percent} %, {:?}",
            self.ms, self.way
        )
    }

    fn line(self) -> Line {
        Line {
            jitter: Duration::from_millis(self.ms),
            jitter_kind: self.kind.1,
            loss: self.loss,
            ..Line::common()
        }
    }

    /// MB a second that arrive.
    fn play(self, seed: u64, ours: &Controllers) -> f64 {
        let line = self.line();
        let relayed = match self.way {
            Way::Plain => return plain(seed, &line, ours.clone()),
            Way::Direct => false,
            Way::Relayed => true,
        };
        in_virtual_time(async {
            let session = Session::over(seed, &line, relayed).await;
            session.seen(TIME).await.goodput
        })
    }
}

fn plain(seed: u64, line: &Line, ours: Controllers) -> f64 {
    in_virtual_time(async {
        let mut world = World::new(seed);
        let (from, to) = Sites::new(&mut world, line).pair(&mut world);
        let flow = Flow::plain(&from, &to, ours).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        flow.watch(TIME).await.goodput
    })
}

/// Prints the table. Sessions have Gimlet's controller, whatever is asked for.
pub(super) fn print(wanted: &Wanted) {
    println!("\n| wander | controller | MB/s, by seed | least |\n| --- | --- | --- | --- |");
    for (name, ours) in controllers() {
        let mut rows = Row::all();
        rows.retain(|row| wanted.includes(&row.name(), name));
        rows.retain(|row| matches!(row.way, Way::Plain) || name == "Gimlet");
        parallel::in_order(
            &rows,
            |&row| (row, (1..=SEEDS).map(|seed| row.play(seed, &ours)).collect()),
            |(row, speeds): (Row, Vec<f64>)| {
                let least = speeds.iter().copied().fold(f64::INFINITY, f64::min);
                let speeds: Vec<_> = speeds.iter().map(|speed| format!("{speed:.1}")).collect();
                println!(
                    "| {} | {name} | {} | {least:.1} |",
                    row.name(),
                    speeds.join(", ")
                );
            },
        );
    }
}
