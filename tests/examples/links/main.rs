//! How congestion controllers do on links that are far, lossy or shared: the tables of `docs/links.md`.
//!
//! ```text
//! cargo run --release -p gimlet-tests --example links
//! cargo run --release -p gimlet-tests --example links -- lossy           # rows that have this in them
//! cargo run --release -p gimlet-tests --example links -- shared Gimlet   # of these, one controller's
//! cargo run --release -p gimlet-tests --example links -- grid Gimlet     # beside CUBIC on 33 lines
//! cargo run --release -p gimlet-tests --example links -- wander Gimlet   # jitter, by kind and seed
//! ```

use std::sync::Arc;

use gimlet_net::congestion::DiscerningConfig;
use gimlet_tests::Controllers;
use quinn::congestion::{BbrConfig, CubicConfig, NewRenoConfig};

mod alone;
mod grid;
mod jitter;
mod parallel;
mod shared;

const SEED: u64 = 1;

fn controllers() -> [(&'static str, Controllers); 4] {
    [
        ("CUBIC", Arc::new(CubicConfig::default())),
        ("NewReno", Arc::new(NewRenoConfig::default())),
        ("quinn's BBR", Arc::new(BbrConfig::default())),
        ("Gimlet", Arc::new(DiscerningConfig)),
    ]
}

/// The rows that are asked for: a part of the line's or the controller's name, and one of the controller's.
struct Wanted {
    row: String,
    controller: String,
}

impl Wanted {
    fn includes(&self, line: &str, controller: &str) -> bool {
        (line.contains(&self.row) || controller.contains(&self.row))
            && controller.contains(&self.controller)
    }
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(work)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted = Wanted {
        row: args.next().unwrap_or_default(),
        controller: args.next().unwrap_or_default(),
    };
    alone::print(&wanted);
    shared::print(&wanted);
    grid::print(&wanted);
    jitter::print(&wanted);
}
